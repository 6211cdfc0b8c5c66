"""Labelled recordings of event cameras in their published layouts, framed for training.

Folders are read as the archives unpack; nothing is downloaded, unpacked or unpickled.

- **N-MNIST** (Orchard et al. 2015): ``Train`` and ``Test``, a folder per digit, ``.bin``.
- **DVS-Gesture** (Amir et al. 2017) as tonic publishes it, cut into gestures:
  ``ibmGestureTrain`` (23 subjects) and ``ibmGestureTest`` (6), a folder per subject and light,
  ``<class>.npy``.
- **CIFAR10-DVS** (Li et al. 2017): a folder per class, ``cifar10_<class>_<number>.aedat4`` as
  tonic publishes it, or the original ``.aedat``. There is no published split. As is customary,
  numbers 0 to 899 of each class are for training and 900 to 999 for testing; the number decides,
  so a recording stays in its part if others are missing.

Time begins with N-MNIST's clock and with the first event of the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from snnbench.core.errors import DataError
from snnbench.data.camera_files import DVS128_SIDE, read_cifar10_dvs, read_gesture
from snnbench.data.dataset import Part
from snnbench.data.events import (
    NMNIST_SIDE,
    Events,
    Framing,
    fit_to_sensor,
    frame_events,
    read_recording,
)
from snnbench.data.folders import children
from snnbench.data.frame_cache import Frames, cached_frames, default_folder
from snnbench.results.run import DataInfo

Kind = Literal["nmnist", "dvs-gesture", "cifar10-dvs"]

_FORMAT = 1
"""Counted up when the same recordings and framing come to give other frames."""
_CIFAR10 = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
_CIFAR10_DVS_TRAINING = 900
_GESTURES = tuple(str(number) for number in range(11))
_ARCHIVES = ("*.zip", "*.tar.gz", "*.tgz")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Published:
    """How a set is published.

    Attributes:
        title: What it is called.
        home: The folder that tonic puts it into.
        patterns: Of its recordings by part; the first that finds any is taken.
        label: Class of a recording; ``None`` if its name is none of the set's.
        belongs: Whether a recording found is of the part.
        read: Reads a recording.
        side: Of the camera in pixels.
        classes: Number of classes.
        recordings: How many there are by part.
    """

    title: str
    home: str
    patterns: Mapping[Part, tuple[str, ...]]
    label: Callable[[Path], int | None]
    belongs: Callable[[Path, Part], bool] = lambda _path, _part: True
    read: Callable[[Path], Events]
    side: int
    classes: int
    recordings: Mapping[Part, int]


@dataclass(kw_only=True)
class Recordings:
    """A ``LabelledSet`` of framed recordings, which are not normalised.

    Attributes:
        info: Provenance; ``sha256`` is over the names and contents of the files.
        classes: Number of classes.
        labels: ``int64`` [S].
        frames: Frames of one recording by its index, ``uint8`` [T, 2, H, W].
    """

    info: DataInfo
    classes: int
    labels: Tensor
    frames: Callable[[int], Frames]
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    peak: float = 1.0

    def __len__(self) -> int:
        """Recordings."""
        return len(self.labels)

    def batch(
        self,
        indices: Sequence[int],
        views: Tensor | None = None,  # noqa: ARG002 - events are not augmented (ZH21, suppl. C)
    ) -> tuple[Tensor, Tensor]:
        """Fetch recordings.

        Args:
            indices: Which, each in 0..len - 1.
            views: Not used.

        Returns:
            Frames ``uint8`` [T, N, 2, H, W] and labels ``int64`` [N].

        Raises:
            DataError: A recording is missing or broken; only if frames could not be cached, since
                otherwise all have been read when the set was opened.
        """
        frames = np.stack([self.frames(index) for index in indices], axis=1)
        return torch.from_numpy(frames), self.labels[list(indices)]


def open_recordings(
    kind: Kind,
    path: Path,
    *,
    part: Part,
    framing: Framing,
    cache: Path | None = None,
    show: Callable[[int], None] | None = None,
) -> Recordings:
    """Open a part of a set of recordings, complete or not, and frame it unless the cache has it.

    The cache knows recordings by content: a copy elsewhere finds the same entry, and a changed
    file another. Every file is read for that.

    Args:
        kind: Which set.
        path: Its folder, or the one that tonic was told to save to.
        part: ``train`` or ``test``.
        framing: How recordings are cut. Counts above 255 become 255.
        cache: Folder of cached frames; ``None`` takes ``SNNBENCH_CACHE`` or the user's cache
            folder. If it cannot be written, each batch is framed anew, with a warning.
        show: Called with the number of recordings framed so far, if any have to be.

    Raises:
        DataError: No recordings, or a broken one.
    """
    published = _PUBLISHED[kind]
    root, files = _find(published, path, part)
    labels = [_label(published, file) for file in files]
    content = _sha256(root, files)
    frame = partial(_frame, published, framing)

    def frame_all() -> Iterator[Frames]:
        for done, file in enumerate(files, start=1):
            yield frame(file)
            if show is not None:
                show(done)

    frames = cached_frames(
        sha256(repr((_FORMAT, kind, part, asdict(framing), content)).encode()).hexdigest(),
        (len(files), framing.timesteps, 2, *framing.sensor),
        frame_all,
        folder=default_folder() if cache is None else cache,
    )
    return Recordings(
        info=DataInfo(
            name=path.resolve().name,
            description=(
                f"{published.title}, {part} part, {len(files):,} of "
                f"{published.recordings[part]:,} recordings, {framing.values} frames of "
                f"{framing.slice_us:,} us" + (", at most 255" * (framing.values == "counts"))
            ),
            sha256=content,
            samples=len(files),
            labelled=True,
        ),
        classes=published.classes,
        labels=torch.tensor(labels, dtype=torch.int64),
        frames=(lambda index: frame(files[index])) if frames is None else frames.__getitem__,
    )


def _find(published: _Published, path: Path, part: Part) -> tuple[Path, list[Path]]:
    """The set's folder and the part's recordings, sorted."""
    children(path)  # says what is wrong with the folder itself
    patterns = published.patterns[part]
    for root in (path, path / published.home):
        for pattern in patterns:
            found = [
                file
                for file in root.glob(pattern)
                if not file.name.startswith(".") and published.belongs(file, part)
            ]
            if found:
                return root, sorted(found)
    homes = (path, path / published.home)
    packed = sorted(file.name for home in homes for kind in _ARCHIVES for file in home.glob(kind))
    remedy = f"unpack {', '.join(packed)} there" if packed else "give the folder that holds them"
    msg = (
        f"data folder {path} holds no {part} recordings of {published.title}, which are "
        f"{' or '.join(patterns)} in it or in its folder {published.home}; {remedy}"
    )
    raise DataError(msg)


def _label(published: _Published, file: Path) -> int:
    label = published.label(file)
    if label is None:
        msg = (
            f"recording {file} is of no class of {published.title}; "
            "restore its published name and folder or remove it"
        )
        raise DataError(msg)
    return label


def _sha256(root: Path, files: Sequence[Path]) -> str:
    """Digest of names within the set's folder and contents."""
    digest = sha256()
    for file in files:
        try:
            with file.open("rb") as stream:
                content = file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            msg = f"recording {file} cannot be read: {(error.strerror or str(error)).lower()}"
            raise DataError(msg) from error
        line = f"{content} {file.relative_to(root).as_posix()}\n"
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()


def _frame(published: _Published, framing: Framing, file: Path) -> Frames:
    """Frames of one recording, [T, 2, H, W]."""
    events = published.read(file)
    seen = events[events["t"] < framing.timesteps * framing.slice_us]
    fitted = fit_to_sensor(seen, framing.sensor, published.side)
    frames = frame_events([fitted], framing)[:, 0]
    return np.minimum(frames, 255).astype(np.uint8)


def _index(names: Sequence[str], name: str) -> int | None:
    return names.index(name) if name in names else None


def _is_cifar10_dvs(file: Path, part: Part) -> bool:
    number = re.search(r"\d+$", file.stem)
    if number is None:
        msg = (
            f"recording {file} has no number at the end of its name, which decides on its part; "
            "restore its published name or remove it"
        )
        raise DataError(msg)
    return (int(number.group()) < _CIFAR10_DVS_TRAINING) == (part == "train")


_PUBLISHED: Mapping[Kind, _Published] = {
    "nmnist": _Published(
        title="N-MNIST",
        home="NMNIST",
        patterns={"train": ("[Tt]rain/[0-9]/*.bin",), "test": ("[Tt]est/[0-9]/*.bin",)},
        label=lambda file: int(file.parent.name),
        read=read_recording,
        side=NMNIST_SIDE,
        classes=10,
        recordings={"train": 60_000, "test": 10_000},
    ),
    "dvs-gesture": _Published(
        title="DVS-Gesture",
        home="DVSGesture",
        patterns={"train": ("ibmGestureTrain/*/*.npy",), "test": ("ibmGestureTest/*/*.npy",)},
        label=lambda file: _index(_GESTURES, file.stem),
        read=read_gesture,
        side=DVS128_SIDE,
        classes=11,
        recordings={"train": 1_077, "test": 264},
    ),
    "cifar10-dvs": _Published(
        title="CIFAR10-DVS",
        home="CIFAR10DVS",
        patterns=dict.fromkeys(("train", "test"), ("*/*.aedat4", "*/*.aedat")),
        label=lambda file: _index(_CIFAR10, file.parent.name),
        belongs=_is_cifar10_dvs,
        read=read_cifar10_dvs,
        side=DVS128_SIDE,
        classes=10,
        recordings={"train": 9_000, "test": 1_000},
    ),
}
