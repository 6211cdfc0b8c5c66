"""What training and evaluation ask of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import torch
from torch import Tensor

from snnbench.results.run import DataInfo

Part = Literal["train", "test"]


class LabelledSet(Protocol):
    """Labelled samples that are fetched by index, a batch at a time, from any thread.

    Attributes:
        info: Provenance; ``sha256`` is over the set's content, not over what a batch makes of it.
        classes: Number of classes.
        mean: Per channel, in units of ``batch``'s values divided by ``peak``; empty for events.
        std: Likewise.
        peak: What a value is divided by first: 255 for images, 1 for frames of events.
    """

    info: DataInfo
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    peak: float

    def __len__(self) -> int:
        """Samples."""
        ...

    def batch(self, indices: Sequence[int], views: Tensor | None) -> tuple[Tensor, Tensor]:
        """Fetch samples.

        Args:
            indices: Which, each in 0..len - 1.
            views: How each is augmented, float32 [N, 3] uniform in [0, 1): across, down and mirror.
                What they mean is the set's business (crop and flip for images, nothing for
                digits' mirror or events). ``None`` takes the plain, centred view for testing.

        Returns:
            Values, uint8 images [N, C, H, W] or frames of events [T, N, 2, H, W], and labels
            int64 [N].

        Raises:
            DataError: A file is missing, truncated, or of another shape.
        """
        ...


def normalise(values: Tensor, data: LabelledSet) -> Tensor:
    """``(values / peak - mean) / std`` per channel, float32, on the device of ``values``."""
    scaled = values.to(torch.float32) / data.peak
    if not data.mean:
        return scaled
    mean, std = (
        torch.tensor(column, device=values.device).view(-1, 1, 1)
        for column in (data.mean, data.std)
    )
    return (scaled - mean) / std
