"""Labelled sets that are held in memory: CIFAR-10, and the embedded digits as images or events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from snnbench.data.augment import mirrored, shifted
from snnbench.data.cifar import (
    CLASSES,
    RECORDS,
    check_channels,
    complete_batches,
    read_batches,
    resized,
)
from snnbench.data.embedded import DIGIT_CLASSES, describe_digits, digit_images, enlarge_digits
from snnbench.data.events import Framing, describe_saccades, saccade_frames
from snnbench.data.folders import Labels, Split
from snnbench.data.images import mode_of
from snnbench.data.load import sha256_of
from snnbench.results.run import DataInfo
from snnbench.zoo.card import InputSpec

_RECORDINGS_AT_ONCE = 64
"""The simulated camera keeps whole recordings of events in memory."""


@dataclass(slots=True, kw_only=True)
class StoredImages:
    """Images in memory; see ``dataset.LabelledSet``.

    A view moves an image by up to 1/8 of each side (black comes in) and mirrors it.

    Attributes:
        images: ``uint8`` [S, C, H, W].
        labels: ``int64`` [S].
        mirror: Whether views may mirror; digits they may not.
    """

    info: DataInfo
    classes: int
    images: Tensor
    labels: Tensor
    mean: tuple[float, ...]
    std: tuple[float, ...]
    mirror: bool = True
    peak: float = 255.0

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: Sequence[int], views: Tensor | None) -> tuple[Tensor, Tensor]:
        """Images and labels; see ``dataset.LabelledSet.batch``."""
        at = torch.as_tensor(indices, dtype=torch.int64)
        images = self.images[at]
        if views is not None:
            images = shifted(images, views)
            if self.mirror:
                images = mirrored(images, views)
        return images, self.labels[at]


@dataclass(slots=True, kw_only=True)
class StoredFrames:
    """Frames of events in memory, not augmented; see ``dataset.LabelledSet``.

    Attributes:
        frames: ``uint8`` [T, S, 2, H, W].
        labels: ``int64`` [S].
    """

    info: DataInfo
    classes: int
    frames: Tensor
    labels: Tensor
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    peak: float = 1.0

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: Sequence[int], views: Tensor | None) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """Frames and labels; see ``dataset.LabelledSet.batch``."""
        at = torch.as_tensor(indices, dtype=torch.int64)
        return self.frames[:, at], self.labels[at]


def open_cifar(root: Path, spec: InputSpec, split: Split) -> StoredImages:
    """CIFAR-10 in either published version.

    All files of a part must be there. One may hold fewer records than published, which the
    description says; one of the Python version's exact size must have its MD5.

    Raises:
        DataError: A file is missing, damaged or of another shape; a card without three channels.
    """
    check_channels(spec.shape)
    pixels, labels = read_batches(complete_batches(root, split))
    part = "test" if split == "test" else "training"
    count = f"all {len(labels):,}"
    if len(labels) != RECORDS[split]:
        count = f"{len(labels):,} of {RECORDS[split]:,}"
    # a copy: arrays over the bytes of a file are read-only
    images = torch.from_numpy(np.array(resized(pixels, spec.shape)))
    return _stored_images(
        spec,
        images,
        labels,
        name="CIFAR-10",
        description=f"{part} images of CIFAR-10, {count} records",
        classes=CLASSES,
    )


def open_digits(spec: InputSpec, split: Split) -> StoredImages:
    """The digits that come with scikit-learn: 1,497 for training, 300 for testing.

    Raises:
        DataError: A card with neither 1 nor 3 channels.
    """
    mode_of(spec.shape)
    grey, labels = digit_images(split)
    images = torch.from_numpy(enlarge_digits(grey, spec.shape))
    stored = _stored_images(
        spec,
        images,
        labels,
        name="digits",
        description=describe_digits(spec.shape, split),
        classes=DIGIT_CLASSES,
    )
    stored.mirror = False
    return stored


def _stored_images(
    spec: InputSpec,
    images: Tensor,
    labels: Labels,
    *,
    name: str,
    description: str,
    classes: int,
) -> StoredImages:
    answers = torch.from_numpy(labels)
    return StoredImages(
        info=DataInfo(
            name=name,
            description=description,
            sha256=sha256_of({"images": images, "labels": answers}),
            samples=len(answers),
            labelled=True,
        ),
        classes=classes,
        images=images,
        labels=answers,
        mean=spec.mean,
        std=spec.std,
    )


def open_saccades(framing: Framing, split: Split) -> StoredFrames:
    """The same digits as ``open_digits``, seen by the simulated event camera.

    Counts of events above 255 are kept as 255.
    """
    grey, labels = digit_images(split)
    parts = [
        np.minimum(saccade_frames(grey[start : start + _RECORDINGS_AT_ONCE], framing), 255).astype(
            np.uint8
        )
        for start in range(0, len(grey), _RECORDINGS_AT_ONCE)
    ]
    frames, answers = torch.from_numpy(np.concatenate(parts, axis=1)), torch.from_numpy(labels)
    return StoredFrames(
        info=DataInfo(
            name="digit-saccades",
            description=describe_saccades(framing, split),
            sha256=sha256_of({"frames": frames, "labels": answers}),
            samples=len(answers),
            labelled=True,
        ),
        classes=DIGIT_CLASSES,
        frames=frames,
        labels=answers,
    )
