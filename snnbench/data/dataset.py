"""Data sets: samples that are fetched by index, with or without labels, also from memory."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from snnbench.core.errors import DataError
from snnbench.data.augment import mirrored, shifted
from snnbench.results.run import DataInfo
from snnbench.zoo.card import InputSpec

Part = Literal["train", "test"]
Values = Callable[[Sequence[int], Tensor | None], Tensor]

ENDLESS = sys.maxsize
"""Length of a set that generates samples without end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """A few samples to take from a set.

    Attributes:
        samples: Number of samples.
        seed: The same seed draws the same samples.
        outputs: Outputs of the network, which decide whether labels fit; ``None`` if unknown.
    """

    samples: int
    seed: int = 0
    outputs: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The request that a reader gets; fields are arguments of ``open.open_set``, see there."""

    spec: InputSpec
    part: Part
    timesteps: int = 1
    draw: Draw | None = None
    cache: Path | None = None
    show: Callable[[int], None] | None = None


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """Samples that are fetched by index, a batch at a time, from any thread.

    Attributes:
        name: Name of the set.
        description: A phrase on what the samples are.
        samples: Number of samples.
        values: Fetches samples by index: uint8 images [N, C, H, W] or frames of events
            [T, N, 2, H, W]. The second argument, float32 [N, 3] uniform in [0, 1), augments them:
            numbers for across, down and mirror, which the set may use (images are moved and
            mirrored; digits are not mirrored, and events not augmented at all). ``None`` gives the
            plain, centred view for testing. Raises ``DataError`` if a file is missing, truncated,
            or of another shape.
        labels: Class of each sample, ``int64`` [samples]; ``None`` if they are unknown.
        classes: Number of classes; 0 without labels.
        digest: Computes the SHA-256 of the set's content, maybe from every file; ``None`` hashes
            values and labels.
        digested: A phrase on what ``digest`` covers.
        mean: Mean per channel of values divided by ``peak``; empty for events.
        std: Standard deviation per channel, likewise.
        peak: Divisor of values before normalisation: 255 for images, 1 for frames of events.
    """

    name: str
    description: str
    samples: int
    values: Values
    digest: Callable[[], str] | None = None
    digested: str = ""
    labels: Tensor | None = None
    classes: int = 0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    peak: float = 1.0

    def __len__(self) -> int:
        """Return the number of samples."""
        return self.samples

    def batch(self, indices: Sequence[int], views: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Fetch samples with their labels, ``int64`` [N]; see ``values``.

        Raises:
            DataError: A file is missing or broken, or there are no labels.
        """
        if self.labels is None:
            msg = f"{self.name} has no labels; choose labelled data"
            raise DataError(msg)
        return self.values(indices, views), self.labels[list(indices)]

    @cached_property
    def info(self) -> DataInfo:
        """Provenance of the whole set."""
        digested = f"; SHA-256 over {self.digested}" if self.digested else ""
        return DataInfo(
            name=self.name,
            description=self.description + digested,
            sha256=self._content_sha256() if self.digest is None else self.digest(),
            samples=self.samples,
            labelled=self.labels is not None,
        )

    def _content_sha256(self) -> str:
        values = self.values(range(self.samples), None)
        return sha256_of(
            {"images" if values.ndim == 4 else "frames": values, "labels": self.labels}
        )


def stored_images(
    images: Tensor, *, mirror: bool = True, fit: Callable[[Tensor], Tensor] = lambda images: images
) -> Values:
    """Make ``DataSet.values`` of images in memory.

    A view moves an image by up to 1/8 of each side (black comes in) and mirrors it.

    Args:
        images: ``uint8`` [S, C, h, w].
        mirror: Whether views may mirror images, unlike digits.
        fit: Brings images to the network's size, when they are fetched.
    """

    def values(indices: Sequence[int], views: Tensor | None) -> Tensor:
        chosen = fit(images[list(indices)])
        if views is None:
            return chosen
        moved = shifted(chosen, views)
        return mirrored(moved, views) if mirror else moved

    return values


def stored_frames(frames: Tensor) -> Values:
    """Make ``DataSet.values`` of frames in memory, ``uint8`` [T, S, 2, H, W], never augmented."""
    return lambda indices, _views: frames[:, list(indices)]


def normalise(values: Tensor, data: DataSet) -> Tensor:
    """Return ``(values / peak - mean) / std`` per channel, float32, on the device of ``values``."""
    scaled = values.to(torch.float32) / data.peak
    if not data.mean:
        return scaled
    mean, std = (
        torch.tensor(column, device=values.device).view(-1, 1, 1)
        for column in (data.mean, data.std)
    )
    return (scaled - mean) / std


def sha256_of(tensors: Mapping[str, Tensor | None]) -> str:
    """Hash the names, types, shapes and values of tensors; ``None`` is left out."""
    digest = hashlib.sha256()
    for name, tensor in tensors.items():
        if tensor is not None:
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(np.ascontiguousarray(tensor.numpy()).data)
    return digest.hexdigest()
