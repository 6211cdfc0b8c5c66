"""Folders of images, decoded when asked for or all at once."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from snnbench.core.errors import DataError
from snnbench.data.augment import mirrored, shifted
from snnbench.data.dataset import DataSet, Wanted, stored_images
from snnbench.data.feed import Feed, batches
from snnbench.data.folders import (
    TITLES,
    Listing,
    children,
    holds,
    list_files,
    read_bytes,
    split_folder,
    unreadable,
)
from snnbench.data.images import SUFFIXES, is_small, mode_of, read_crop

MEMORY_LIMIT_BYTES = 2**30
"""Small images are decoded into memory up to this."""

_DECODED_AT_ONCE = 256


def recognises(root: Path, wanted: Wanted) -> bool:
    """Tell whether ``root`` has folders of parts or, for a draw, holds any image."""
    return split_folder(root, wanted.part)[1] or (wanted.draw is not None and holds(root, SUFFIXES))


def read(root: Path, wanted: Wanted) -> DataSet:
    """Open images in ``train`` and in ``test`` or ``val``, each with one folder per class.

    Small images (see ``images.is_small``) are decoded into memory, up to ``MEMORY_LIMIT_BYTES``,
    unless a few are drawn. A draw also takes a flat folder, and class folders without parts; these
    give labels only if there are as many as the network has outputs.

    Raises:
        DataError: A folder is missing, the parts differ in their classes, or an image is broken.
    """
    shape, draw = wanted.spec.shape, wanted.draw
    train, test = (split_folder(root, part)[0] for part in ("train", "test"))
    folder, parted = split_folder(root, wanted.part)
    if draw is None:
        if not parted:
            msg = f"data folder {root} must hold a folder train and a folder test or val"
            raise DataError(msg)
        _check_same_classes(train, test)
    listing = list_files(folder, SUFFIXES, "images", flat=draw is not None)
    if draw is None or (parted and listing.classes and _classes(train) == _classes(test)):
        description = (
            f"{TITLES[wanted.part]} images of a folder, {len(listing.classes):,} classes in sorted "
            "order"
        )
    else:
        listing = listing.for_outputs(draw.outputs)
        description = f"images of a folder, {wanted.part} draw, centre-cropped; {listing.labelling}"
    lazy = lazy_images(listing, shape, root.resolve().name, description)
    fits = is_small(shape[1:]) and len(lazy) * math.prod(shape) <= MEMORY_LIMIT_BYTES
    return _decoded(lazy, listing, wanted) if fits and draw is None else lazy


def lazy_images(
    listing: Listing, shape: tuple[int, int, int], name: str, description: str
) -> DataSet:
    """Open images that are decoded whenever they are fetched, for an input of shape (C, H, W).

    A view of an input above 64 pixels is the usual one for ImageNet: the short side is resized to
    256/224 of the input, and a crop of the input's size is taken anywhere and perhaps mirrored.
    Smaller inputs are moved like CIFAR-10's. The digest covers names, sizes and labels only, since
    there may be very many files.
    """
    mode_of(shape)
    # Decoding threads cannot silence warnings for themselves. Pillow's are on odd metadata, which
    # does not change the pixels, and on size, which is checked.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    return DataSet(
        name=name,
        description=description,
        samples=len(listing.names),
        values=partial(_decode, listing, shape),
        digest=partial(_sha256, listing, "{name}\t{measured}\t{label}\n", _size_bytes),
        digested="the names, sizes and labels of the files",
        labels=None if listing.labels is None else torch.tensor(listing.labels),
        classes=0 if listing.labels is None else len(listing.classes),
    )


def _decode(
    listing: Listing, shape: tuple[int, int, int], indices: Sequence[int], views: Tensor | None
) -> Tensor:
    small = is_small(shape[1:])
    places: Iterable[tuple[float, float] | None] = [None] * len(indices)
    if views is not None and not small:
        places = ((across, down) for across, down, _ in views.tolist())
    crops = [
        read_crop(listing.root / listing.names[index], shape, at)
        for index, at in zip(indices, places, strict=True)
    ]
    images = torch.from_numpy(np.stack(crops))
    if views is None:
        return images
    return mirrored(shifted(images, views) if small else images, views)


def _classes(folder: Path) -> set[str]:
    return {path.name for path in children(folder)[1]}


def _check_same_classes(train: Path, test: Path) -> None:
    for present, absent in ((train, test), (test, train)):
        names = sorted(_classes(present) - _classes(absent))
        if names:
            some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            msg = (
                f"{len(names)} class folders of {present} are not in {absent} ({some}); "
                "both must hold the same classes"
            )
            raise DataError(msg)


def _decoded(lazy: DataSet, listing: Listing, wanted: Wanted) -> DataSet:
    images = torch.empty((len(lazy), *wanted.spec.shape), dtype=torch.uint8)
    requests = batches(len(lazy), _DECODED_AT_ONCE, shuffle=False, drop_last=False)
    done = 0
    for values, _ in Feed(lazy, requests, threads=torch.get_num_threads()):
        images[done : done + len(values)] = values
        done += len(values)
        if wanted.show is not None:
            wanted.show(done)
    return replace(
        lazy,
        values=stored_images(images),
        # of the files, not their pixels, which decoders round differently
        digest=partial(_sha256, listing, "{name}\t{label}\t{measured}\n", _content_sha256),
        digested="the names, labels and contents of the files",
    )


def _sha256(listing: Listing, line: str, measure: Callable[[Path], object]) -> str:
    """Hash a line for each file, with its name, label and a measure of its content."""
    digest = hashlib.sha256()
    for index, name in enumerate(listing.names):
        label = None if listing.labels is None else listing.labels[index]
        text = line.format(name=name, label=label, measured=measure(listing.root / name))
        digest.update(text.encode(errors="surrogateescape"))
    return digest.hexdigest()


def _content_sha256(path: Path) -> str:
    return hashlib.sha256(read_bytes(path)).hexdigest()


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise unreadable("data path", path, error) from error
