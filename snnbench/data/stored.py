"""Samples that are held in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from snnbench.data.augment import mirrored, shifted
from snnbench.data.dataset import Values


def stored_images(
    images: Tensor, *, mirror: bool = True, fit: Callable[[Tensor], Tensor] = lambda images: images
) -> Values:
    """Make the function ``dataset.DataSet.values`` of images in memory.

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
