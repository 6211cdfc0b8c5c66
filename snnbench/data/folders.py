"""What every source of input shares: the drawn samples, folders on disk, the seeded choice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from snnbench.core.errors import DataError

Split = Literal["test", "calibration"]
Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]

_FOLDER_NAMES = {"test": ("test", "val"), "calibration": ("train",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """Which samples to take from a source.

    Attributes:
        samples: How many.
        seed: The same seed draws the same samples.
        split: ``test`` for counting, ``calibration`` for a second draw.
        classes: Outputs of the network, which decide whether labels fit; ``None`` is unknown.
    """

    samples: int
    seed: int = 0
    split: Split = "test"
    classes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Samples as a source delivers them, before they become tensors.

    Attributes:
        name: Of the source.
        description: One sentence on what the samples are.
        values: Images, ``uint8`` [S, C, H, W], or frames of events, ``float32`` [T, S, 2, H, W].
        labels: Class of each sample, [S]; ``None`` unless they are the network's classes.
    """

    name: str
    description: str
    values: npt.NDArray[Any]
    labels: Labels | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Files of a folder, sorted by path.

    Attributes:
        paths: The files.
        labels: Index of each file's folder among the sorted class folders; ``None`` if flat.
        classes: Number of class folders; 0 if flat.
    """

    paths: tuple[Path, ...]
    labels: Labels | None
    classes: int


def generator(seed: int, stream: int = 0) -> np.random.RandomState:
    """Random numbers that stay the same over NumPy versions (its legacy stream is frozen)."""
    return np.random.RandomState([seed, stream])


def choose(available: int, draw: Draw, source: str, *, separate: bool) -> npt.NDArray[np.int64]:
    """Indices of a seeded draw without replacement, [samples].

    Unless the splits are ``separate`` data anyway, the test draw takes the front of one permutation
    and the calibration draw its back: they share nothing as long as together they ask for no more
    than there is.

    Raises:
        DataError: More samples are asked for than there are.
    """
    if draw.samples > available:
        msg = (
            f"{source} holds {available} samples, {draw.samples} were asked for; "
            f"ask for at most {available} or add data"
        )
        raise DataError(msg)
    order = generator(draw.seed).permutation(available)
    front = separate or draw.split == "test"
    return np.asarray(order if front else order[::-1], dtype=np.int64)[: draw.samples]


def children(folder: Path) -> tuple[list[Path], list[Path]]:
    """Files and folders directly in a folder, each sorted, hidden ones left out.

    Raises:
        DataError: The folder is missing, is a file, or may not be read.
    """
    try:
        entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        folders = [path for path in entries if path.is_dir()]
    except FileNotFoundError:
        msg = f"data folder {folder} does not exist"
        raise DataError(msg) from None
    except NotADirectoryError:
        msg = f"data path {folder} is a file; give the folder that holds the data"
        raise DataError(msg) from None
    except PermissionError:
        msg = f"data folder {folder} cannot be read: permission denied"
        raise DataError(msg) from None
    inner = set(folders)
    return [path for path in entries if path not in inner], folders


def split_folder(root: Path, split: Split) -> tuple[Path, bool]:
    """The folder to draw from, and whether the data has a folder of its own for each split.

    A root with both a ``train`` and a ``test`` or ``val`` folder (any case) is entered.
    """
    by_name = {path.name.lower(): path for path in children(root)[1]}
    if all(by_name.keys() & set(names) for names in _FOLDER_NAMES.values()):
        return next(by_name[name] for name in _FOLDER_NAMES[split] if name in by_name), True
    return root, False


def list_files(root: Path, suffixes: tuple[str, ...], kind: str) -> Listing:
    """Files with the right suffix in a flat folder or in one folder per class.

    Files directly in ``root`` make it flat; otherwise each folder in it is a class, numbered in
    sorted order, the empty ones included.

    Raises:
        DataError: There is none; says what is accepted.
    """
    files, folders = children(root)
    flat = tuple(path for path in files if path.suffix.lower() in suffixes)
    if flat:
        return Listing(paths=flat, labels=None, classes=0)
    pairs = [
        (path, label)
        for label, folder in enumerate(folders)
        for path in children(folder)[0]
        if path.suffix.lower() in suffixes
    ]
    if not pairs:
        accepted = f"{kind} ({', '.join(suffixes)})"
        msg = (
            f"data folder {root} holds no {accepted}, neither directly nor in one folder per class"
            if files or folders
            else f"data folder {root} is empty; put {accepted} into it"
        )
        raise DataError(msg)
    return Listing(
        paths=tuple(path for path, _ in pairs),
        labels=np.array([label for _, label in pairs], dtype=np.int64),
        classes=len(folders),
    )


def draw_files(
    root: Path, suffixes: tuple[str, ...], kind: str, draw: Draw
) -> tuple[list[Path], Labels | None]:
    """Choose files of a folder (see ``split_folder``, ``list_files``, ``choose``).

    Folder indices count as labels only if there are exactly as many folders as ``draw.classes``.

    Raises:
        DataError: No or too few files.
    """
    folder, separate = split_folder(root, draw.split)
    listing = list_files(folder, suffixes, kind)
    indices = choose(len(listing.paths), draw, f"data folder {folder}", separate=separate)
    labels = listing.labels if listing.classes == draw.classes else None
    return [listing.paths[i] for i in indices], None if labels is None else labels[indices]


def read_bytes(path: Path) -> bytes:
    """Content of a file.

    Raises:
        DataError: It is missing or may not be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        msg = f"data file {path} cannot be read: {(error.strerror or str(error)).lower()}"
        raise DataError(msg) from error
