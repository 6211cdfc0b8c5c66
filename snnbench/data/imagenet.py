"""ImageNet in the layout of ILSVRC 2012 (Russakovsky et al. 2015)."""

from __future__ import annotations

import re
from pathlib import Path

from snnbench.core.errors import DataError
from snnbench.data.dataset import DataSet, Part, Wanted
from snnbench.data.folders import Listing, children, list_files, names_in, read_bytes
from snnbench.data.image_folders import lazy_images
from snnbench.data.images import SUFFIXES

CLASSES = 1000
IMAGES: dict[Part, int] = {"test": 50_000, "train": 1_281_167}
"""Published number of images in each part."""

_FOLDERS: dict[Part, str] = {"test": "val", "train": "train"}
_WNID = re.compile(r"n\d{8}")
_TABLE = "LOC_val_solution.csv"
_ROW = re.compile(r"^(ILSVRC2012_val_\d{8}),(n\d{8}) ", re.MULTILINE)


def recognises(root: Path, wanted: Wanted) -> bool:
    """Tell whether ``root`` has a folder ``train`` or ``val`` of the thousand classes.

    If the folder of the part holds only some of them, it is an ordinary folder of images.
    """
    inner = {path.name: path for path in children(root)[1]}
    counts = {name: len(_wnids(inner[name])) for name in _FOLDERS.values() if name in inner}
    return CLASSES in counts.values() and counts.get(_FOLDERS[wanted.part]) in (None, 0, CLASSES)


def read(root: Path, wanted: Wanted) -> DataSet:
    """Open ``train/nXXXXXXXX/*.JPEG`` or ``val/nXXXXXXXX/*.JPEG``, decoded when fetched.

    A class's index is the place of its WordNet id in sorted order, as everywhere but in the
    development kit. Only the kit's ``meta.mat`` translates its numbers, and SciPy's reader of
    MATLAB files crashes on damaged ones. So a flat ``val``, as the archive unpacks, takes its
    labels from the table ``LOC_val_solution.csv`` of ImageNet's edition on Kaggle.

    Raises:
        DataError: A folder or the table is missing or damaged, or there are not 1,000 classes.
    """
    folder = root / _FOLDERS[wanted.part]
    wnids, loose = _wnids(folder), children(folder)[0]
    if wanted.part == "test" and not wnids and loose:
        listing = _flat_validation(root, folder, labelled=wanted.draw is None)
    else:
        if len(wnids) != CLASSES:
            msg = (
                f"ImageNet folder {folder} holds {len(wnids):,} of the {CLASSES:,} class folders "
                "nXXXXXXXX; complete it, or open it as images=PATH"
            )
            raise DataError(msg)
        listing = list_files(folder, SUFFIXES, "images", flat=False)
    part = "validation" if wanted.part == "test" else "training"
    count = f"{len(listing.names):,} of {IMAGES[wanted.part]:,}"
    classes = "unlabelled"
    if listing.labels is not None:
        classes = f"{len(listing.classes):,} classes in sorted order"
    description = f"{part} images of ILSVRC 2012, {count}, {classes}"
    return lazy_images(listing, wanted.spec.shape, "ImageNet", description)


def _wnids(folder: Path) -> list[str]:
    return [path.name for path in children(folder)[1] if _WNID.fullmatch(path.name)]


def _flat_validation(root: Path, folder: Path, *, labelled: bool) -> Listing:
    """List the images of a flat folder with labels from the table, which a draw can do without."""
    images, table = names_in(folder, SUFFIXES), root / _TABLE
    if not table.is_file():
        if not labelled:
            return Listing(root=folder, names=images)
        msg = (
            f"{folder} has no class folders, so the labels of its images are unknown; sort them "
            f"into one folder nXXXXXXXX per class, or put {_TABLE} of ImageNet's edition on Kaggle "
            f"into {root}"
        )
        raise DataError(msg)
    wnid_of = dict(_ROW.findall(read_bytes(table).decode("ascii", errors="replace")))
    classes = tuple(sorted(set(wnid_of.values())))
    if len(classes) != CLASSES:
        msg = f"{table} names {len(classes):,} classes, not {CLASSES:,}; download it again"
        raise DataError(msg)
    index_of = {wnid: index for index, wnid in enumerate(classes)}
    unknown = [name for name in images if Path(name).stem not in wnid_of]
    if unknown:
        msg = (
            f"{table} gives no class for {len(unknown):,} of the images in {folder} "
            f"({unknown[0]}); remove them or give them their published names"
        )
        raise DataError(msg)
    labels = tuple(index_of[wnid_of[Path(name).stem]] for name in images)
    return Listing(root=folder, names=images, labels=labels, classes=classes)
