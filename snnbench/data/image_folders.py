"""Folders of labelled images, one folder per class, decoded when asked for or all at once."""

from __future__ import annotations

import hashlib
import math
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from snnbench.core.errors import DataError
from snnbench.data.augment import mirrored, shifted
from snnbench.data.feed import batches, feed
from snnbench.data.folders import Split, children, read_bytes, split_folder
from snnbench.data.images import SUFFIXES, is_small, mode_of, read_crop
from snnbench.data.stored import StoredImages
from snnbench.results.run import DataInfo
from snnbench.zoo.card import InputSpec

MEMORY_LIMIT_BYTES = 2**30
"""Small images are decoded into memory up to this."""

_DECODED_AT_ONCE = 256


@dataclass(slots=True, kw_only=True)
class FolderImages:
    """Images that are decoded whenever they are asked for; see ``dataset.LabelledSet``.

    A view of an input above 64 pixels is the usual one for ImageNet: short side to 256/224 of the
    input, a crop of the input's size anywhere, mirrored or not. Smaller ones move like CIFAR-10's.

    Attributes:
        root: Of the files.
        files: Their paths below ``root``; strings take a fifth of the memory of ``Path``.
        labels: ``int64`` [S].
        shape: (C, H, W) of the input.
    """

    info: DataInfo
    classes: int
    root: Path
    files: tuple[str, ...]
    labels: Tensor
    shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    peak: float = 255.0

    def __len__(self) -> int:
        return len(self.files)

    def batch(self, indices: Sequence[int], views: Tensor | None) -> tuple[Tensor, Tensor]:
        """Images and labels; see ``dataset.LabelledSet.batch``."""
        small = is_small(self.shape[1:])
        places: Iterable[tuple[float, float] | None] = [None] * len(indices)
        if views is not None and not small:
            places = ((across, down) for across, down, _ in views.tolist())
        images = torch.from_numpy(
            np.stack(
                [
                    read_crop(self.root / self.files[index], self.shape, at)
                    for index, at in zip(indices, places, strict=True)
                ]
            )
        )
        if views is not None:
            images = mirrored(shifted(images, views) if small else images, views)
        return images, self.labels[torch.as_tensor(indices, dtype=torch.int64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Labelled files below a folder, in order.

    Attributes:
        root: The folder.
        names: Paths below it.
        sizes_bytes: Of the files.
        labels: Class of each.
        classes: Names of the classes.
    """

    root: Path
    names: tuple[str, ...]
    sizes_bytes: tuple[int, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]


def list_classes(root: Path) -> Files:
    """Images of a folder with one folder per class, numbered in sorted order.

    Raises:
        DataError: There is none, or images lie beside the class folders.
    """
    loose, folders = children(root)
    if not folders or any(path.suffix.lower() in SUFFIXES for path in loose):
        msg = f"data folder {root} must hold one folder of images per class, and no image itself"
        raise DataError(msg)
    found = [
        (f"{folder.name}/{name}", size, label)
        for label, folder in enumerate(folders)
        for name, size in list_images(folder)
    ]
    if not found:
        msg = f"the {len(folders)} class folders of {root} hold no images ({', '.join(SUFFIXES)})"
        raise DataError(msg)
    names, sizes, labels = zip(*found, strict=True)
    return Files(
        root=root,
        names=names,
        sizes_bytes=sizes,
        labels=labels,
        classes=tuple(folder.name for folder in folders),
    )


def list_images(folder: Path) -> list[tuple[str, int]]:
    """Names and sizes in bytes of the images in a folder, sorted.

    Raises:
        DataError: It, or a file in it, cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(
                (entry.name, entry.stat().st_size)
                for entry in entries
                if entry.name.lower().endswith(SUFFIXES) and not entry.name.startswith(".")
            )
    except OSError as error:
        path = error.filename or folder
        msg = f"data path {path} cannot be read: {(error.strerror or str(error)).lower()}"
        raise DataError(msg) from error


def open_folder(
    root: Path, spec: InputSpec, split: Split, *, show: Callable[[int], None] | None = None
) -> FolderImages | StoredImages:
    """Images in ``train`` and in ``test`` or ``val``, each with one folder per class.

    Small ones (see ``images.is_small``) are decoded into memory, up to ``MEMORY_LIMIT_BYTES``.

    Args:
        root: Holds the two folders.
        spec: Of the benchmark's input.
        split: Which of them to open.
        show: Called with the number of images decoded into memory so far.

    Raises:
        DataError: A folder is missing, the two have other classes, or an image is broken.
    """
    folders = {part: split_folder(root, part) for part in ("calibration", "test")}
    folder, separate = folders[split]
    if not separate:
        msg = f"data folder {root} must hold a folder train and a folder test or val"
        raise DataError(msg)
    _check_same_classes(*(path for path, _ in folders.values()))
    part = "test" if split == "test" else "training"
    lazy = lazy_images(
        list_classes(folder), spec, root.resolve().name, f"{part} images of a folder"
    )
    if is_small(spec.shape[1:]) and len(lazy) * math.prod(spec.shape) <= MEMORY_LIMIT_BYTES:
        return _decoded(lazy, show)
    return lazy


def lazy_images(files: Files, spec: InputSpec, name: str, description: str) -> FolderImages:
    """Files as a set whose digest is over their names, sizes and labels, since they are many."""
    mode_of(spec.shape)
    # Decoding threads cannot silence warnings for themselves. Pillow's are on odd metadata, which
    # does not change the pixels, and on size, which is checked.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    lines = "".join(
        f"{name}\t{size}\t{label}\n"
        for name, size, label in zip(files.names, files.sizes_bytes, files.labels, strict=True)
    )
    return FolderImages(
        info=DataInfo(
            name=name,
            description=(
                f"{description}, {len(files.classes):,} classes in sorted order; SHA-256 over the "
                "names, sizes and labels of the files"
            ),
            sha256=hashlib.sha256(lines.encode(errors="surrogateescape")).hexdigest(),
            samples=len(files.names),
            labelled=True,
        ),
        classes=len(files.classes),
        root=files.root,
        files=files.names,
        labels=torch.tensor(files.labels, dtype=torch.int64),
        shape=spec.shape,
        mean=spec.mean,
        std=spec.std,
    )


def _check_same_classes(train: Path, test: Path) -> None:
    training, testing = ({path.name for path in children(folder)[1]} for folder in (train, test))
    for names, present, absent in (
        (training - testing, train, test),
        (testing - training, test, train),
    ):
        if names:
            some = ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "")
            msg = (
                f"{len(names)} class folders of {present} are not in {absent} ({some}); "
                "both must hold the same classes"
            )
            raise DataError(msg)


def _decoded(lazy: FolderImages, show: Callable[[int], None] | None) -> StoredImages:
    images = torch.empty((len(lazy), *lazy.shape), dtype=torch.uint8)
    requests = batches(len(lazy), _DECODED_AT_ONCE, shuffle=False, drop_last=False)
    done = 0
    for values, _ in feed(lazy, requests, threads=torch.get_num_threads()):
        images[done : done + len(values)] = values
        done += len(values)
        if show is not None:
            show(done)
    description = lazy.info.description.partition("; SHA-256")[0]
    return StoredImages(
        info=replace(
            lazy.info,
            description=f"{description}; SHA-256 over the names, labels and contents of the files",
            sha256=_content_sha256(lazy),
        ),
        classes=lazy.classes,
        images=images,
        labels=lazy.labels,
        mean=lazy.mean,
        std=lazy.std,
    )


def _content_sha256(lazy: FolderImages) -> str:
    """Over the files, not their pixels, which decoders round differently."""
    digest = hashlib.sha256()
    for name, label in zip(lazy.files, lazy.labels.tolist(), strict=True):
        content = hashlib.sha256(read_bytes(lazy.root / name)).hexdigest()
        digest.update(f"{name}\t{label}\t{content}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()
