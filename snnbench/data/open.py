"""Opening a data set: by kind, by looking, or the embedded one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from snnbench.core.errors import DataError
from snnbench.data.cifar import is_cifar10, open_cifar10
from snnbench.data.dataset import DataSet, Draw, Part, Wanted
from snnbench.data.embedded import open_digits, open_photos, open_saccades
from snnbench.data.events import framing_of
from snnbench.data.folders import children
from snnbench.data.image_folders import is_folder, open_folder
from snnbench.data.imagenet import is_imagenet, open_imagenet
from snnbench.data.recordings import Kind, is_set, open_recordings
from snnbench.zoo.card import InputSpec

_PEAK = 255.0
"""Of a pixel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A kind of data sets in files.

    Attributes:
        holds: What the benchmark's input must be.
        found: Whether a folder looks like one.
        open: Reads one; normalisation is added by ``open_set``.
    """

    holds: Literal["image", "events"]
    found: Callable[[Path, Wanted], bool]
    open: Callable[[Path, Wanted], DataSet]


def _recordings(kind: Kind) -> Format:
    def opened(path: Path, wanted: Wanted) -> DataSet:
        framing = framing_of(wanted.spec, wanted.timesteps)
        return open_recordings(
            kind,
            path,
            part=wanted.part,
            framing=framing,
            draw=wanted.draw,
            cache=wanted.cache,
            show=wanted.show,
        )

    return Format(holds="events", found=lambda path, _: is_set(kind, path), open=opened)


FORMATS: dict[str, Format] = {
    "cifar10": Format(holds="image", found=is_cifar10, open=open_cifar10),
    "imagenet": Format(holds="image", found=is_imagenet, open=open_imagenet),
    "images": Format(holds="image", found=is_folder, open=open_folder),
    "nmnist": _recordings("nmnist"),
    "dvs-gesture": _recordings("dvs-gesture"),
    "cifar10-dvs": _recordings("cifar10-dvs"),
}
"""By kind, in the order in which a folder without a kind is looked at."""

_EMBEDDED = {
    "digits": ("image", open_digits),
    "photos": ("image", open_photos),
    "digit-saccades": ("events", open_saccades),
}


def open_set(
    spec: InputSpec,
    *,
    data: str | None,
    part: Part,
    timesteps: int,
    draw: Draw | None = None,
    cache: Path | None = None,
    show: Callable[[int], None] | None = None,
) -> DataSet:
    """Open the training or the test part of a data set.

    Args:
        spec: What the network takes; images of another size are resized, events merged.
        data: ``KIND=PATH`` with a kind of ``FORMATS``, a bare PATH, whose kind is found by looking,
            or ``None`` for the embedded data of the benchmark.
        part: ``train`` or ``test``; of the 1,797 digits 1,497 and 300.
        timesteps: Frames of ``spec.slice_us`` per recording; images do not use it.
        draw: Given if only a few samples are fetched, once; see ``dataset.Wanted``.
        cache: Folder of framed recordings; ``None`` is the user's cache folder.
        show: Called with the number of files done so far, where opening takes long.

    Raises:
        DataError: Data is missing, damaged, unlabelled although labels are required, or does not
            fit ``spec``.
    """
    if spec.kind == "image":
        _check_statistics(spec)
    if timesteps < 1:
        msg = f"timesteps must be at least 1, not {timesteps}"
        raise DataError(msg)
    wanted = Wanted(spec=spec, part=part, timesteps=timesteps, draw=draw, cache=cache, show=show)
    opened = _open_embedded(wanted) if data is None else _open_files(data, wanted)
    if spec.kind == "events":
        return opened
    return replace(opened, mean=spec.mean, std=spec.std, peak=_PEAK)


def kind_of(spec: InputSpec, data: str | None) -> str:
    """The kind of data that a run is fed: what shipped weights are named by.

    Args:
        spec: Of the benchmark's input.
        data: As for ``open_set``.

    Returns:
        The name of the embedded data, or a kind of ``FORMATS``.

    Raises:
        DataError: The path does not exist, may not be read, or holds nothing that is known.
    """
    if data is None:
        return spec.embedded
    return _parse(data, Wanted(spec=spec, part="test", draw=Draw(samples=1)))[0]


def _open_embedded(wanted: Wanted) -> DataSet:
    name = wanted.spec.embedded
    holds, read = _EMBEDDED[name]
    if holds != wanted.spec.kind:
        raise DataError(_misfit(f"embedded data {name}", holds, wanted))
    return read(wanted)


def _open_files(data: str, wanted: Wanted) -> DataSet:
    kind, path = _parse(data, wanted)
    if FORMATS[kind].holds != wanted.spec.kind:
        raise DataError(_misfit(kind, FORMATS[kind].holds, wanted))
    return FORMATS[kind].open(path, wanted)


def _parse(data: str, wanted: Wanted) -> tuple[str, Path]:
    """The kind, which is looked for if it is not given, and the path."""
    kind, separator, rest = data.partition("=")
    if kind in FORMATS and rest:
        return kind, Path(rest).expanduser()
    path = Path(data).expanduser()
    if not path.exists() and (separator or kind in FORMATS):
        msg = f"data {data!r} is not KIND=PATH; the kinds are {', '.join(FORMATS)}"
        raise DataError(msg)
    children(path)  # says what is wrong with the folder itself
    fitting = {name: known for name, known in FORMATS.items() if known.holds == wanted.spec.kind}
    for name, known in fitting.items():
        if known.found(path, wanted):
            return name, path
    msg = (
        f"data folder {path} holds no data set that is known by its layout; give KIND=PATH with "
        f"one of {', '.join(fitting)} to see what is missing"
    )
    raise DataError(msg)


def _misfit(what: str, holds: str, wanted: Wanted) -> str:
    wants = "an image" if wanted.spec.kind == "image" else "events"
    kinds = ", ".join(name for name, known in FORMATS.items() if known.holds == wanted.spec.kind)
    return (
        f"{what} holds {'images' if holds == 'image' else holds}, but the benchmark's input is "
        f"{wants}; the kinds that fit are {kinds}"
    )


def _check_statistics(spec: InputSpec) -> None:
    """Refuse a card whose mean and std do not fit its channels.

    Raises:
        DataError: Not one value each per channel, or none.
    """
    channels = spec.shape[0]
    if {len(spec.mean), len(spec.std)} - {0, channels} or len(spec.mean) != len(spec.std):
        msg = (
            f"the card's mean and std have {len(spec.mean)} and {len(spec.std)} values "
            f"for {channels} channels; give one per channel or none"
        )
        raise DataError(msg)
