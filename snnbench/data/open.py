"""Opening of data sets: by kind, by the layout of a folder, or embedded ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Literal, Protocol

from snnbench.core.errors import DataError

if TYPE_CHECKING:  # the command line's help lists the kinds, and must not load torch
    from snnbench.data.dataset import DataSet, Draw, Part, Wanted
    from snnbench.zoo.card import InputSpec

_PEAK = 255.0
"""The largest value of a pixel."""


class Reader(Protocol):
    """Reader of a kind of data sets: a module or an object."""

    def recognises(self, root: Path, wanted: Wanted) -> bool:
        """Tell whether a folder looks like a data set of this kind.

        Raises:
            DataError: It does, but the wanted part is missing.
        """
        ...

    def read(self, root: Path, wanted: Wanted) -> DataSet:
        """Open a data set, without the normalisation, which ``open_set`` adds.

        Raises:
            DataError: It is missing, damaged, unlabelled although labels are required, or does not
                fit the benchmark.
        """
        ...


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of data sets in files.

    Attributes:
        holds: Kind of input that a benchmark must have to use it.
        reader: Name of the ``Reader``, ``module`` or ``module:object``.
    """

    holds: Literal["image", "events"]
    reader: str

    def load(self) -> Reader:
        """Import the reader."""
        reader: Reader = resolve_name(self.reader)
        return reader


FORMATS: dict[str, Format] = {
    "cifar10": Format("image", "snnbench.data.cifar"),
    "imagenet": Format("image", "snnbench.data.imagenet"),
    "images": Format("image", "snnbench.data.image_folders"),
    "nmnist": Format("events", "snnbench.data.recordings:nmnist"),
    "dvs-gesture": Format("events", "snnbench.data.recordings:dvs_gesture"),
    "cifar10-dvs": Format("events", "snnbench.data.recordings:cifar10_dvs"),
}
"""Formats by kind, in the order in which they are tried on a folder without a kind."""


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
        spec: Input of the network; images of another size are resized, events merged.
        data: ``KIND=PATH`` with a kind of ``FORMATS``, a bare PATH, whose kind is recognised by its
            layout, or ``None`` for the embedded data of the benchmark.
        part: ``train`` or ``test``; of the 1,797 digits 1,497 and 300.
        timesteps: Frames of ``spec.slice_us`` per recording; images do not use it.
        draw: Given if only a few samples are fetched, once: then labels may be absent, and nothing
            is decoded or framed ahead. Otherwise the whole set is used, and labels are required.
        cache: Folder of framed recordings; ``None`` is the user's cache folder.
        show: Called with the number of files done so far, where opening takes long.

    Raises:
        DataError: Data is missing, damaged, unlabelled although labels are required, or does not
            fit ``spec``.
    """
    from snnbench.data.dataset import Wanted

    if spec.kind == "image":
        _check_statistics(spec)
    if timesteps < 1:
        msg = f"timesteps must be at least 1, not {timesteps}"
        raise DataError(msg)
    wanted = Wanted(spec=spec, part=part, timesteps=timesteps, draw=draw, cache=cache, show=show)
    opened = _open(data, wanted)
    if draw is None and opened.labels is None:
        msg = (
            f"{opened.name} has no labels, without which nothing is trained or evaluated; "
            "choose labelled data"
        )
        raise DataError(msg)
    if spec.kind == "events":
        return opened
    return replace(opened, mean=spec.mean, std=spec.std, peak=_PEAK)


def kind_of(spec: InputSpec, data: str | None) -> str:
    """Name the kind of data that a run uses, by which shipped weights are chosen.

    Arguments are those of ``open_set``. The name is that of the embedded data, or a kind of
    ``FORMATS``.

    Raises:
        DataError: The path does not exist, may not be read, or has no known layout.
    """
    if data is None:
        return spec.embedded
    from snnbench.data.dataset import Draw, Wanted

    return _parse(data, Wanted(spec=spec, part="test", draw=Draw(samples=1)))[0]


def _open(data: str | None, wanted: Wanted) -> DataSet:
    """Find the reader, check that its data fits the benchmark's input, and read."""
    read: Callable[[Wanted], DataSet]
    if data is None:
        from snnbench.data.embedded import EMBEDDED

        what = f"embedded data {wanted.spec.embedded}"
        holds, read = EMBEDDED[wanted.spec.embedded]
    else:
        what, path = _parse(data, wanted)
        holds, read = FORMATS[what].holds, partial(FORMATS[what].load().read, path)
    if holds != wanted.spec.kind:
        wants = "an image" if wanted.spec.kind == "image" else "events"
        msg = (
            f"{what} holds {'images' if holds == 'image' else holds}, but the benchmark's input is "
            f"{wants}; the kinds that fit are {', '.join(_fitting(wanted))}"
        )
        raise DataError(msg)
    return read(wanted)


def _parse(data: str, wanted: Wanted) -> tuple[str, Path]:
    """Split ``KIND=PATH``, or recognise the kind of a bare path."""
    from snnbench.data.folders import children

    kind, separator, rest = data.partition("=")
    if kind in FORMATS and rest:
        return kind, Path(rest).expanduser()
    path = Path(data).expanduser()
    if (separator or kind in FORMATS) and not path.exists():
        msg = f"data {data!r} is not KIND=PATH; the kinds are {', '.join(FORMATS)}"
        raise DataError(msg)
    children(path)  # says what is wrong with the folder itself
    for name in _fitting(wanted):
        if FORMATS[name].load().recognises(path, wanted):
            return name, path
    msg = (
        f"data folder {path} holds no data set that is known by its layout; give KIND=PATH with "
        f"one of {', '.join(_fitting(wanted))} to see what is missing"
    )
    raise DataError(msg)


def _fitting(wanted: Wanted) -> list[str]:
    """List the kinds whose data fits the benchmark's input."""
    return [kind for kind, known in FORMATS.items() if known.holds == wanted.spec.kind]


def _check_statistics(spec: InputSpec) -> None:
    """Refuse a card whose mean and std have neither one value per channel nor none."""
    channels = spec.shape[0]
    if {len(spec.mean), len(spec.std)} - {0, channels} or len(spec.mean) != len(spec.std):
        msg = (
            f"the card's mean and std have {len(spec.mean)} and {len(spec.std)} values "
            f"for {channels} channels; give one per channel or none"
        )
        raise DataError(msg)
