"""CIFAR-10 in its two published formats (Krizhevsky 2009), read without running pickled code."""

from __future__ import annotations

import hashlib
import io
import pickle
from functools import partial
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from snnbench.core.errors import DataError
from snnbench.data.dataset import DataSet, Part, Wanted, stored_images
from snnbench.data.folders import TITLES, Labels, Pixels, children, read_bytes
from snnbench.data.images import mode_of, planes

CLASSES = 10
RECORD_BYTES = 3073
"""One label byte, then 32 x 32 red, green and blue pixels."""

RECORDS: dict[Part, int] = {"test": 10_000, "train": 50_000}
"""Published number of images in each part."""

# Size in bytes and MD5 of the Python version's files (torchvision pins the same digests). None are
# published for the files of the binary version.
_OFFICIAL = {
    "data_batch_1": (31_035_704, "c99cafc152244af753f735de768cd75f"),
    "data_batch_2": (31_035_320, "d4bba439e000b95fd0a9bffe97cbabec"),
    "data_batch_3": (31_035_999, "54ebc095f3ab1f0389bbae665268c751"),
    "data_batch_4": (31_035_696, "634d18415352ddfa80567beed471001a"),
    "data_batch_5": (31_035_623, "482c414d41f54cd18b22e5b47cb7c3cb"),
    "test_batch": (31_035_526, "40351d587109b95175f43aff81a1287e"),
}
_FOLDERS = ("cifar-10-batches-bin", "cifar-10-batches-py")
_STEMS: dict[Part, tuple[str, ...]] = {
    "test": ("test_batch",),
    "train": tuple(f"data_batch_{number}" for number in range(1, 6)),
}
_ARRAY_PARTS = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
}
# What the pickle machine raises on truncated or nonsensical input.
_PICKLE_ERRORS = (
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
)


class _Recipe:
    """Arguments and state that a pickle gives to a NumPy object.

    NumPy itself never sees them: its ``__setstate__`` trusts them and corrupts memory if wrong.
    """

    def __init__(self, *arguments: object) -> None:
        self.arguments = arguments
        self.state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state


class _PlainUnpickler(pickle.Unpickler):
    """Builds containers, numbers, strings and recipes of arrays; refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ARRAY_PARTS:
            wanted = f"{module}.{name}"
            msg = f"it asks for {wanted!r}, which no CIFAR-10 file needs and which may be unsafe"
            raise pickle.UnpicklingError(msg)
        return _Recipe


def _pixels(recipe: object) -> Pixels | None:
    """Build the array of bytes [N, 3072] that a recipe describes; ``None`` if it is another."""
    match recipe:
        case _Recipe(
            state=(
                _,
                (int() as rows, int() as columns),
                _Recipe() as dtype,
                fortran,
                bytes() as raw,
            )
        ) if dtype.arguments[:1] in ((b"u1",), ("u1",)):
            if rows > 0 and columns == RECORD_BYTES - 1 and rows * columns == len(raw):
                order: Literal["C", "F"] = "F" if fortran else "C"
                return np.frombuffer(raw, dtype=np.uint8).reshape((rows, columns), order=order)
    return None


def _refuse(path: Path, problem: object) -> NoReturn:
    msg = f"CIFAR-10 file {path} was not read: {problem}; download it again"
    raise DataError(msg)


def read_binary(path: Path) -> tuple[Pixels, Labels]:
    """Read a file of the binary version; one with fewer than 10,000 records is fine.

    Returns:
        Pixels ``uint8`` [N, 3, 32, 32] and labels [N].

    Raises:
        DataError: Not whole records, or a label above 9.
    """
    raw = np.frombuffer(read_bytes(path), dtype=np.uint8)
    if raw.size == 0 or raw.size % RECORD_BYTES:
        _refuse(path, f"its {raw.size} bytes are not whole records of {RECORD_BYTES} bytes")
    records = raw.reshape(-1, RECORD_BYTES)
    labels = _checked_labels(records[:, 0].astype(np.int64), path)
    return records[:, 1:].reshape(-1, 3, 32, 32), labels


def read_python(path: Path) -> tuple[Pixels, Labels]:
    """Read a file of the Python version (a pickled dictionary) with a restricted unpickler.

    Returns:
        Pixels ``uint8`` [N, 3, 32, 32] and labels [N].

    Raises:
        DataError: The pickle is broken, holds anything but plain data, or lacks data or labels.
    """
    try:
        content = _PlainUnpickler(io.BytesIO(read_bytes(path)), encoding="bytes").load()
    except _PICKLE_ERRORS as error:
        _refuse(path, str(error) or "its pickle is truncated")
    if not isinstance(content, dict):
        _refuse(path, "it does not hold a dictionary")
    data = _pixels(content.get(b"data", content.get("data")))
    labels = content.get(b"labels", content.get("labels"))
    if data is None:
        _refuse(path, f"'data' is not an array of bytes of shape (N, {RECORD_BYTES - 1})")
    if not (isinstance(labels, list) and all(type(label) is int for label in labels)):
        _refuse(path, "'labels' is not a list of integers")
    if len(labels) != len(data):
        _refuse(path, f"it has {len(data)} images but {len(labels)} labels")
    clipped = np.clip(labels, -1, CLASSES).astype(np.int64)
    return data.reshape(-1, 3, 32, 32), _checked_labels(clipped, path)


def _checked_labels(labels: Labels, path: Path) -> Labels:
    wrong = np.flatnonzero((labels < 0) | (labels >= CLASSES))
    if wrong.size:
        _refuse(path, f"the label of record {wrong[0]} is outside 0..{CLASSES - 1}")
    return labels


def find_batches(root: Path, part: Part) -> list[Path] | None:
    """Find the files of a part in ``root`` or in the folder that the archives unpack to.

    Returns:
        The files, or ``None`` if no CIFAR-10 file is there.

    Raises:
        DataError: There are CIFAR-10 files, but none of the part.
    """
    files, folders = children(root)
    for folder in (root, *(inner for inner in folders if inner.name in _FOLDERS)):
        names = {path.name for path in (files if folder == root else children(folder)[0])}
        for suffix in (".bin", ""):
            wanted = [f"{stem}{suffix}" for stem in _STEMS[part]]
            present = [folder / name for name in wanted if name in names]
            if present:
                return present
            if any(f"{stem}{suffix}" in names for stems in _STEMS.values() for stem in stems):
                msg = f"CIFAR-10 folder {folder} lacks {' and '.join(wanted)} ({part} images)"
                raise DataError(msg)
    return None


def _complete_batches(root: Path, part: Part) -> list[Path]:
    """List all files of a part, in order; files may be shortened, but not missing or damaged."""
    batches = find_batches(root, part)
    if batches is None:
        msg = (
            f"data folder {root} holds no CIFAR-10 files (data_batch_1.bin or data_batch_1 to 5 "
            f"and test_batch); give {' or '.join(_FOLDERS)}, unpacked"
        )
        raise DataError(msg)
    present = {path.stem for path in batches}
    missing = [f"{stem}{batches[0].suffix}" for stem in _STEMS[part] if stem not in present]
    if missing:
        msg = (
            f"CIFAR-10 folder {batches[0].parent} lacks {' and '.join(missing)}; "
            "copy the whole folder again"
        )
        raise DataError(msg)
    for path in batches:
        _check_digest(path)
    return batches


def _check_digest(path: Path) -> None:
    size, expected = _OFFICIAL.get(path.name, (None, None))
    if size is None or path.stat().st_size != size:
        return
    actual = hashlib.md5(read_bytes(path), usedforsecurity=False).hexdigest()
    if actual != expected:
        _refuse(path, f"it has the published size but MD5 {actual} instead of {expected}")


def recognises(root: Path, wanted: Wanted) -> bool:
    """Tell whether ``root`` holds files of CIFAR-10.

    Raises:
        DataError: It does, but none of the part.
    """
    return find_batches(root, wanted.part) is not None


def read(root: Path, wanted: Wanted) -> DataSet:
    """Open CIFAR-10 in either published version; sizes other than 32 x 32 are resized (bilinear).

    All files of a part must be there. A file may hold fewer records than published, which the
    description mentions; a file with the published size of the Python version must have its MD5.

    Raises:
        DataError: A file is missing, damaged or of another shape; a card without three channels.
    """
    shape, part = wanted.spec.shape, wanted.part
    if mode_of(shape) != "RGB":
        msg = f"CIFAR-10 has 3 channels, but the benchmark's input has {shape[0]}"
        raise DataError(msg)
    contents = [
        read_binary(path) if path.suffix == ".bin" else read_python(path)
        for path in _complete_batches(root, part)
    ]
    # concatenating copies: arrays over the bytes of a file are read-only
    images, labels = (torch.from_numpy(np.concatenate(x)) for x in zip(*contents, strict=True))
    published = RECORDS[part]
    count = "all" if len(labels) == published else f"{len(labels):,} of"
    return DataSet(
        name="CIFAR-10",
        description=f"{TITLES[part]} images of CIFAR-10, {count} {published:,} records",
        samples=len(labels),
        values=stored_images(images, fit=partial(resized, shape=shape)),
        labels=labels,
        classes=CLASSES,
    )


def resized(images: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Resize images [N, 3, h, w] to [N, 3, H, W] (bilinear), unless they have that size."""
    if images.shape[1:] == shape:
        return images
    size = (shape[2], shape[1])
    pictures = [Image.fromarray(image.transpose(1, 2, 0)) for image in images.numpy()]
    fitted = [planes(picture.resize(size, Image.Resampling.BILINEAR)) for picture in pictures]
    return torch.from_numpy(np.stack(fitted))
