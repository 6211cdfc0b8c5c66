"""Opening a labelled data set for training or evaluation."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

from snnbench.core.errors import DataError
from snnbench.data.cifar import find_batches
from snnbench.data.dataset import LabelledSet, Part
from snnbench.data.events import Framing
from snnbench.data.folders import Split, children, split_folder
from snnbench.data.image_folders import open_folder
from snnbench.data.imagenet import is_imagenet, open_imagenet
from snnbench.data.load import check_statistics, framing_of
from snnbench.data.recordings import open_recordings
from snnbench.data.stored import open_cifar, open_digits, open_saccades
from snnbench.zoo.card import InputSpec

ImageKind = Literal["cifar10", "imagenet", "images"]
EventKind = Literal["nmnist", "dvs-gesture", "cifar10-dvs"]

IMAGE_KINDS: tuple[ImageKind, ...] = get_args(ImageKind)
EVENT_KINDS: tuple[EventKind, ...] = get_args(EventKind)

_SPLITS: dict[Part, Split] = {"train": "calibration", "test": "test"}
_EVENT_FILES: dict[str, EventKind] = {
    ".bin": "nmnist",
    ".npy": "dvs-gesture",
    ".aedat": "cifar10-dvs",
    ".aedat4": "cifar10-dvs",
}


def open_set(
    spec: InputSpec,
    *,
    data: str | None,
    part: Part,
    timesteps: int,
    cache: Path | None = None,
    show: Callable[[int], None] | None = None,
) -> LabelledSet:
    """Open the training or the test part of a data set.

    Args:
        spec: What the network takes; images of another size are resized, events merged.
        data: ``KIND=PATH`` with a kind of ``IMAGE_KINDS`` or ``EVENT_KINDS``, a bare PATH, whose
            kind is found by looking, or ``None`` for the embedded data of the benchmark: digits
            as images or as simulated events.
        part: ``train`` or ``test``; of the 1,797 digits 1,497 and 300.
        timesteps: Frames of ``spec.slice_us`` per recording; images do not use it.
        cache: Folder of framed recordings; ``None`` is the user's cache folder.
        show: Called with the number of files done so far, where opening takes long.

    Raises:
        DataError: Data is missing, damaged, unlabelled, or does not fit ``spec``.
    """
    check_statistics(spec)
    if timesteps < 1:
        msg = f"timesteps must be at least 1, not {timesteps}"
        raise DataError(msg)
    if data is None:
        return _open_embedded(spec, part, timesteps)
    kind, path = _parse(data)
    if spec.kind == "events":
        return _open_events(kind, path, part, framing_of(spec, timesteps), cache=cache, show=show)
    return _open_images(spec, kind, path, _SPLITS[part], show)


def _parse(data: str) -> tuple[str | None, Path]:
    """The kind, ``None`` for a bare path, and the path."""
    kind, separator, path = data.partition("=")
    kinds = (*IMAGE_KINDS, *EVENT_KINDS)
    if kind in kinds and path:
        return kind, Path(path).expanduser()
    bare = Path(data).expanduser()
    if not bare.exists() and (separator or kind in kinds):
        msg = f"data {data!r} is not KIND=PATH; the kinds are {', '.join(kinds)}"
        raise DataError(msg)
    return None, bare


def _open_embedded(spec: InputSpec, part: Part, timesteps: int) -> LabelledSet:
    split = _SPLITS[part]
    match spec.kind, spec.embedded:
        case "image", "digits":
            return open_digits(spec, split)
        case "events", "digit-saccades":
            return open_saccades(framing_of(spec, timesteps), split)
        case kind, embedded:
            reason = "have no labels" if embedded == "photos" else "do not fit its input"
            kinds = IMAGE_KINDS if kind == "image" else EVENT_KINDS
            msg = (
                f"the benchmark's embedded {embedded} {reason}; give labelled data with "
                f"{' or '.join(f'{name}=PATH' for name in kinds)}"
            )
            raise DataError(msg)


def _open_images(
    spec: InputSpec, kind: str | None, path: Path, split: Split, show: Callable[[int], None] | None
) -> LabelledSet:
    match kind or _image_kind(path, split):
        case "cifar10":
            return open_cifar(path, spec, split)
        case "imagenet":
            return open_imagenet(path, spec, split)
        case "images":
            return open_folder(path, spec, split, show=show)
        case other:
            msg = (
                f"{other} holds events, but the benchmark's input is an image; the kinds are "
                f"{', '.join(IMAGE_KINDS)}"
            )
            raise DataError(msg)


def _image_kind(path: Path, split: Split) -> ImageKind:
    if find_batches(path, split) is not None:
        return "cifar10"
    if is_imagenet(path):
        return "imagenet"
    if split_folder(path, split)[1]:
        return "images"
    msg = (
        f"{path} holds neither CIFAR-10 files nor a folder train and a folder test or val; give "
        f"KIND=PATH with one of {', '.join(IMAGE_KINDS)}"
    )
    raise DataError(msg)


def _open_events(
    kind: str | None,
    path: Path,
    part: Part,
    framing: Framing,
    *,
    cache: Path | None,
    show: Callable[[int], None] | None,
) -> LabelledSet:
    wanted = kind or _event_kind(path)
    for known in EVENT_KINDS:
        if wanted == known:
            return open_recordings(known, path, part=part, framing=framing, cache=cache, show=show)
    msg = (
        f"{wanted} holds images, but the benchmark's input is events; the kinds are "
        f"{', '.join(EVENT_KINDS)}"
    )
    raise DataError(msg)


def _event_kind(path: Path) -> EventKind:
    """By the first file of a known suffix; each of the sets has one of its own."""
    children(path)  # says what is wrong with the folder itself
    for _, folders, files in os.walk(path):
        folders.sort()
        for file in sorted(files):
            if Path(file).suffix in _EVENT_FILES:
                return _EVENT_FILES[Path(file).suffix]
    msg = (
        f"{path} holds no recordings ({', '.join(_EVENT_FILES)}); give KIND=PATH with one of "
        f"{', '.join(EVENT_KINDS)}"
    )
    raise DataError(msg)
