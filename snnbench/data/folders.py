"""Folders and files on disk, parts and classes of data sets, and frozen random numbers."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from snnbench.core.errors import DataError
from snnbench.data.dataset import Part

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]

TITLES: dict[Part, str] = {"test": "test", "train": "training"}
"""Name of each part in descriptions."""

_FOLDER_NAMES: dict[Part, tuple[str, ...]] = {"test": ("test", "val"), "train": ("train",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Files of a folder, in order.

    Attributes:
        root: The folder.
        names: Paths below it; strings take a fifth of the memory of ``Path``.
        labels: Class of each file; ``None`` if unknown.
        classes: Names of the class folders.
    """

    root: Path
    names: tuple[str, ...]
    labels: tuple[int, ...] | None = None
    classes: tuple[str, ...] = ()

    @property
    def labelling(self) -> str:
        """Phrase on the origin of the labels, for descriptions."""
        return "unlabelled" if self.labels is None else "labels are the sorted class folders"

    def for_outputs(self, outputs: int | None) -> Listing:
        """Drop the labels, unless a network has as many outputs as there are classes."""
        return self if len(self.classes) == outputs else replace(self, labels=None, classes=())


def generator(seed: int, stream: int = 0) -> np.random.RandomState:
    """Make random numbers that no NumPy version changes, since its legacy stream is frozen."""
    return np.random.RandomState([seed, stream])


def children(folder: Path) -> tuple[list[Path], list[Path]]:
    """List the files and the folders directly in a folder, sorted, without hidden ones.

    Raises:
        DataError: The folder is missing, is a file, or cannot be read.
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
    except OSError as error:
        raise unreadable("data folder", folder, error) from error
    inner = set(folders)
    return [path for path in entries if path not in inner], folders


def names_in(folder: Path, suffixes: tuple[str, ...]) -> tuple[str, ...]:
    """List the names of files in a folder with one of the suffixes, sorted, without hidden ones.

    Raises:
        DataError: The folder cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return tuple(
                sorted(
                    entry.name
                    for entry in entries
                    if entry.name.lower().endswith(suffixes)
                    and not entry.name.startswith(".")
                    and not entry.is_dir()
                )
            )
    except OSError as error:
        raise unreadable("data folder", folder, error) from error


def holds(root: Path, suffixes: tuple[str, ...]) -> bool:
    """Tell whether a file with one of the (lower case) suffixes lies anywhere below a folder."""
    return any(name.lower().endswith(suffixes) for *_, files in os.walk(root) for name in files)


def split_folder(root: Path, part: Part) -> tuple[Path, bool]:
    """Find the folder that holds a part, and tell whether parts have folders of their own.

    They have if the root holds a folder ``train`` and a folder ``test`` or ``val``, in any case.
    """
    by_name = {path.name.lower(): path for path in children(root)[1]}
    if all(by_name.keys() & set(names) for names in _FOLDER_NAMES.values()):
        return next(by_name[name] for name in _FOLDER_NAMES[part] if name in by_name), True
    return root, False


def list_files(root: Path, suffixes: tuple[str, ...], what: str, *, flat: bool) -> Listing:
    """List files in one folder per class; classes are numbered in sorted order, empty ones too.

    Args:
        root: Folder that holds the class folders.
        suffixes: Endings of the files' names, lower case.
        what: Kind of the files, for messages.
        flat: Whether files directly in ``root`` are accepted, as files without classes.

    Raises:
        DataError: There are no such files, or some lie directly in ``root`` without ``flat``.
    """
    files, folders = children(root)
    loose = names_in(root, suffixes)
    if flat and loose:
        return Listing(root=root, names=loose)
    if not flat and (loose or not folders):
        msg = f"data folder {root} must hold one folder of {what} per class, and none directly"
        raise DataError(msg)
    labelled = [
        (f"{folder.name}/{name}", label)
        for label, folder in enumerate(folders)
        for name in names_in(folder, suffixes)
    ]
    if not labelled:
        accepted = f"{what} ({', '.join(suffixes)})"
        msg = (
            f"data folder {root} holds no {accepted}, neither directly nor in one folder per class"
            if files or folders
            else f"data folder {root} is empty; put {accepted} into it"
        )
        raise DataError(msg)
    names, labels = zip(*labelled, strict=True)
    classes = tuple(folder.name for folder in folders)
    return Listing(root=root, names=names, labels=labels, classes=classes)


def read_bytes(path: Path) -> bytes:
    """Read a file.

    Raises:
        DataError: It is missing or may not be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable("data file", path, error) from error


def unreadable(what: str, path: Path, error: OSError) -> DataError:
    """Make the error that says why the system could not read a path."""
    reason = (error.strerror or str(error)).lower()
    return DataError(f"{what} {path} cannot be read: {reason}")
