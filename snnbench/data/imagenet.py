"""ImageNet in the layout of ILSVRC 2012 (Russakovsky et al. 2015)."""

from __future__ import annotations

import re
from pathlib import Path

from snnbench.core.errors import DataError
from snnbench.data.folders import Split, children, read_bytes
from snnbench.data.image_folders import Files, FolderImages, lazy_images, list_classes, list_images
from snnbench.zoo.card import InputSpec

CLASSES = 1000
IMAGES: dict[Split, int] = {"test": 50_000, "calibration": 1_281_167}
"""Of each part as published."""

_FOLDERS: dict[Split, str] = {"test": "val", "calibration": "train"}
_WNID = re.compile(r"n\d{8}")
_TABLE = "LOC_val_solution.csv"
_ROW = re.compile(r"^(ILSVRC2012_val_\d{8}),(n\d{8}) ", re.MULTILINE)


def is_imagenet(root: Path) -> bool:
    """Whether ``root`` has a folder ``train`` or ``val`` of the thousand classes."""
    inner = {path.name: path for path in children(root)[1]}
    return any(len(_wnids(inner[name])) == CLASSES for name in _FOLDERS.values() if name in inner)


def open_imagenet(root: Path, spec: InputSpec, split: Split) -> FolderImages:
    """``train/nXXXXXXXX/*.JPEG`` or ``val/nXXXXXXXX/*.JPEG``, decoded when asked for.

    A class's index is the place of its WordNet id in sorted order, as everywhere but in the
    development kit. Only the kit's ``meta.mat`` translates its numbers, and the known reader of
    MATLAB files crashes on damaged ones; a flat ``val``, as the archive unpacks, takes its labels
    from the table ``LOC_val_solution.csv`` of ImageNet's edition on Kaggle instead.

    Raises:
        DataError: A folder or the table is missing or damaged, or there are not 1,000 classes.
    """
    folder = root / _FOLDERS[split]
    wnids, loose = _wnids(folder), children(folder)[0]
    if split == "test" and not wnids and loose:
        files = _flat_validation(root, folder)
    else:
        if len(wnids) != CLASSES:
            msg = (
                f"ImageNet folder {folder} holds {len(wnids):,} of the {CLASSES:,} class folders "
                "nXXXXXXXX; complete it, or open it as images=PATH"
            )
            raise DataError(msg)
        files = list_classes(folder)
    part = "validation" if split == "test" else "training"
    count = f"{len(files.names):,} of {IMAGES[split]:,}"
    return lazy_images(files, spec, "ImageNet", f"{part} images of ILSVRC 2012, {count}")


def _wnids(folder: Path) -> list[str]:
    return [path.name for path in children(folder)[1] if _WNID.fullmatch(path.name)]


def _flat_validation(root: Path, folder: Path) -> Files:
    table = root / _TABLE
    if not table.is_file():
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
    images = list_images(folder)
    unknown = [name for name, _ in images if Path(name).stem not in wnid_of]
    if unknown:
        msg = (
            f"{table} gives no class for {len(unknown):,} of the images in {folder} "
            f"({unknown[0]}); remove them or give them their published names"
        )
        raise DataError(msg)
    return Files(
        root=folder,
        names=tuple(name for name, _ in images),
        sizes_bytes=tuple(size for _, size in images),
        labels=tuple(index_of[wnid_of[Path(name).stem]] for name, _ in images),
        classes=classes,
    )
