"""Augmentation of batches of images by random views: shifted and mirrored copies."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

PADDING = 8
"""An image is padded by its size divided by this: CIFAR-10's 32 pixels by the usual 4."""


def shifted(images: Tensor, views: Tensor) -> Tensor:
    """Move each image by up to 1/8 of its sides, the usual augmentation of CIFAR-10.

    The border is black (zero before normalisation, as torchvision pads). All crops of the batch
    are gathered at once.

    Args:
        images: ``uint8`` [N, C, H, W].
        views: [N, 3] in [0, 1); the first two are the places across and down.
    """
    height, width = images.shape[-2:]
    down, across = height // PADDING, width // PADDING
    padded = functional.pad(images, (across, across, down, down))
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    # in float32 the product may round up to the number of positions
    places = views[:, :2].double() * torch.tensor([2 * across + 1, 2 * down + 1])
    left, top = places.long().unbind(1)
    return windows[torch.arange(len(images)), :, top, left]


def mirrored(images: Tensor, views: Tensor) -> Tensor:
    """Mirror those of the images [N, C, H, W] whose third view number is below 0.5."""
    return torch.where(views[:, 2].view(-1, 1, 1, 1) < 0.5, images.flip(3), images)
