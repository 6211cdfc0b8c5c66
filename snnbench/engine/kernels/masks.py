"""Spikes between layers as bit masks: [T, N, H, W, ceil(C / 16)] uint16.

Bit b of word i is channel 16 i + b. A vector of features has H = W = 1. Bits beyond the last
channel are zero.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from snnbench.engine.kernels.loops import unpack_words
from snnbench.engine.kernels.vector.formats import LANES

Masks = NDArray[np.uint16]


def words(channels: int) -> int:
    """Return the number of words that hold so many channels."""
    return -(-channels // LANES)


def pack(spikes: Tensor) -> Masks:
    """Make bit masks of spikes [T, N, C, H, W] or [T, N, F]; all but zeros are spikes."""
    sites = spikes.reshape(*spikes.shape[:3], *(spikes.shape[3:] or (1, 1))).movedim(2, -1)
    fired = sites.bool().numpy()
    channels = fired.shape[-1]
    padded = np.zeros((*fired.shape[:-1], words(channels) * LANES), bool)
    padded[..., :channels] = fired
    packed = np.packbits(padded, axis=-1, bitorder="little").view("<u2")
    return packed.astype(np.uint16, copy=False)


def unpack(masks: Masks, channels: int, dtype: torch.dtype) -> Tensor:
    """Turn masks into spikes 0.0 and 1.0, [T, N, C, H, W], channels last in memory.

    Args:
        masks: Contiguous masks from ``pack`` or a neuron step.
        channels: C.
        dtype: float32 or float64.
    """
    out = torch.empty((*masks.shape[:-1], masks.shape[-1] * LANES), dtype=dtype)
    real = np.float64(0) if dtype == torch.float64 else np.float32(0)
    unpack_words(real, masks.reshape(-1), out.numpy().reshape(-1))
    return out.movedim(-1, 2)[:, :, :channels]
