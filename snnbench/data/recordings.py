"""Recordings of event cameras in their published layouts, framed.

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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache as once, partial
from hashlib import file_digest, sha256
from itertools import chain, product
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from snnbench.core.errors import DataError
from snnbench.data.camera_files import (
    DVS128_SIDE,
    NMNIST_SIDE,
    read_cifar10_dvs,
    read_gesture,
    read_nmnist,
)
from snnbench.data.dataset import DataSet, Draw, Part, Wanted
from snnbench.data.events import (
    Events,
    FrameValues,
    Framing,
    fit_to_sensor,
    frame_events,
    framing_of,
)
from snnbench.data.folders import (
    Listing,
    children,
    holds,
    list_files,
    split_folder,
    unreadable,
)
from snnbench.data.frame_cache import Frames, cached_frames, default_folder

_FORMAT = 1
"""Version of cached frames: raised when the same recordings and framing give other frames."""
_CIFAR10 = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
_CIFAR10_DVS_TRAINING = 900
_ARCHIVES = ("*.zip", "*.tar.gz", "*.tgz")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recordings:
    """Reader of one set of recordings, as ``open.Reader`` demands.

    Attributes:
        title: Name of the set.
        home: Folder into which tonic unpacks it.
        patterns: Patterns of file names by part; the first that matches any file is used.
        classes: Names of its classes, in order.
        class_of: Finds the class's name of a recording.
        read_events: Reads a recording.
        side: Width and height of the camera in pixels.
        published: Published number of recordings, by part.
        belongs: Tells whether a recording with a matching name is in the part.
    """

    title: str
    home: str
    patterns: Mapping[Part, tuple[str, ...]]
    classes: tuple[str, ...]
    class_of: Callable[[Path], str]
    read_events: Callable[[Path], Events]
    side: int
    published: Mapping[Part, int]
    belongs: Callable[[Path, Part], bool] = lambda _path, _part: True

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Suffixes of the recordings' files, which no other set shares."""
        patterns = chain.from_iterable(self.patterns.values())
        return tuple(sorted({Path(pattern).suffix for pattern in patterns}))

    def recognises(self, root: Path, wanted: Wanted) -> bool:  # noqa: ARG002
        """Tell whether ``root`` holds files of the set's format."""
        return holds(root, self.suffixes)

    def read(self, root: Path, wanted: Wanted, values: FrameValues = "binary") -> DataSet:
        """Open a part of the set, complete or not, and frame it unless the cache has it.

        A draw frames its own recordings only, and also takes them from a flat folder, or class
        folders of other names; these give labels only if there are as many as the network has
        outputs.

        The cache identifies recordings by content, so every file is read: a copy elsewhere has the
        same entry, a changed file another. If the cache cannot be written, each batch is framed
        anew, with a warning.

        Args:
            root: The set's folder, or the one in which tonic saved it.
            wanted: Part, frames, and where to cache them.
            values: Values of the frames; counts above 255 become 255.

        Raises:
            DataError: There are no recordings, or one is broken.
        """
        framing = framing_of(wanted.spec, wanted.timesteps, values)
        listing, description = self._find(root, wanted.part, wanted.draw)
        files = [listing.root / name for name in listing.names]
        content = once(partial(_sha256, listing))

        def frame_all() -> Iterator[Frames]:
            for done, file in enumerate(files, start=1):
                yield self._frame(file, framing)
                if wanted.show is not None:
                    wanted.show(done)

        frames = None
        if wanted.draw is None:
            key = repr((_FORMAT, self.title, wanted.part, asdict(framing), content()))
            frames = cached_frames(
                sha256(key.encode()).hexdigest(),
                (len(files), framing.timesteps, 2, *framing.sensor),
                frame_all,
                folder=default_folder() if wanted.cache is None else wanted.cache,
            )

        def fetch(indices: Sequence[int], _views: Tensor | None) -> Tensor:
            # events are not augmented (ZH21, supplement C)
            chosen = [
                self._frame(files[index], framing) if frames is None else frames[index]
                for index in indices
            ]
            return torch.from_numpy(np.stack(chosen, axis=1))

        return DataSet(
            name=root.resolve().name,
            description=(
                f"{description}, {framing.values} frames of {framing.slice_us:,} us"
                + (", at most 255" if values == "counts" else "")
            ),
            samples=len(files),
            values=fetch,
            digest=content,
            labels=None if listing.labels is None else torch.tensor(listing.labels),
            classes=len(listing.classes),
        )

    def _find(self, path: Path, part: Part, draw: Draw | None) -> tuple[Listing, str]:
        """List the part's recordings, sorted, and describe them."""
        children(path)  # says what is wrong with the folder itself
        homes = (path, path / self.home)
        for root, pattern in product(homes, self.patterns[part]):
            files = [
                file
                for file in sorted(root.glob(pattern))
                if not file.name.startswith(".") and self.belongs(file, part)
            ]
            if files:
                listing = Listing(
                    root=root,
                    names=tuple(file.relative_to(root).as_posix() for file in files),
                    labels=tuple(self._label(file) for file in files),
                    classes=self.classes,
                )
                count = f"{len(files):,} of {self.published[part]:,} recordings"
                return listing, f"{self.title}, {part} part, {count}"
        if draw is not None and holds(path, self.suffixes):
            folder, what = split_folder(path, part)[0], f"recordings of {self.title}"
            listing = list_files(folder, self.suffixes, what, flat=True).for_outputs(draw.outputs)
            return listing, f"event recordings of a folder, {part} draw, {listing.labelling}"
        raise DataError(self._nothing_found(path, part, homes))

    def _nothing_found(self, path: Path, part: Part, homes: Iterable[Path]) -> str:
        packed = sorted(
            file.name for home in homes for archive in _ARCHIVES for file in home.glob(archive)
        )
        remedy = "give the folder that holds them"
        if packed:
            remedy = f"unpack {', '.join(packed)} there"
        return (
            f"data folder {path} holds no {part} recordings of {self.title}, which are "
            f"{' or '.join(self.patterns[part])} in it or in its folder {self.home}; {remedy}"
        )

    def _label(self, file: Path) -> int:
        name = self.class_of(file)
        if name not in self.classes:
            msg = (
                f"recording {file} belongs to none of the classes of {self.title}; "
                "restore its published name and folder or remove it"
            )
            raise DataError(msg)
        return self.classes.index(name)

    def _frame(self, file: Path, framing: Framing) -> Frames:
        """Frame one recording, [T, 2, H, W]."""
        events = self.read_events(file)
        seen = events[events["t"] < framing.timesteps * framing.slice_us]
        fitted = fit_to_sensor(seen, framing.sensor, self.side)
        frames = frame_events([fitted], framing)[:, 0]
        return np.minimum(frames, 255).astype(np.uint8)


def _sha256(listing: Listing) -> str:
    """Hash the names within the set's folder, and the contents."""
    digest = sha256()
    for name in listing.names:
        file = listing.root / name
        try:
            with file.open("rb") as stream:
                content = file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise unreadable("recording", file, error) from error
        digest.update(f"{content} {name}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _is_cifar10_dvs(file: Path, part: Part) -> bool:
    number = re.search(r"\d+$", file.stem)
    if number is None:
        msg = (
            f"recording {file} has no number at the end of its name, which decides its part; "
            "restore its published name or remove it"
        )
        raise DataError(msg)
    return (int(number.group()) < _CIFAR10_DVS_TRAINING) == (part == "train")


nmnist = Recordings(
    title="N-MNIST",
    home="NMNIST",
    patterns={"train": ("[Tt]rain/[0-9]/*.bin",), "test": ("[Tt]est/[0-9]/*.bin",)},
    classes=tuple("0123456789"),
    class_of=lambda file: file.parent.name,
    read_events=read_nmnist,
    side=NMNIST_SIDE,
    published={"train": 60_000, "test": 10_000},
)
dvs_gesture = Recordings(
    title="DVS-Gesture",
    home="DVSGesture",
    patterns={"train": ("ibmGestureTrain/*/*.npy",), "test": ("ibmGestureTest/*/*.npy",)},
    classes=tuple(str(number) for number in range(11)),
    class_of=lambda file: file.stem,
    read_events=read_gesture,
    side=DVS128_SIDE,
    published={"train": 1_077, "test": 264},
)
cifar10_dvs = Recordings(
    title="CIFAR10-DVS",
    home="CIFAR10DVS",
    patterns=dict.fromkeys(("train", "test"), ("*/*.aedat4", "*/*.aedat")),
    classes=_CIFAR10,
    class_of=lambda file: file.parent.name,
    belongs=_is_cifar10_dvs,
    read_events=read_cifar10_dvs,
    side=DVS128_SIDE,
    published={"train": 9_000, "test": 1_000},
)
