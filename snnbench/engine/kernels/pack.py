"""Weights in the layout of the event kernels: rows of output channels, blocks that fit a cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numba import types
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from snnbench.engine.kernels.vector.formats import FIXED_POINT_LIMIT, FORMATS, LANES, Format

# Blocks of weights that a first-level cache of 48 KiB holds beside events, where an event is
# decoded once for three windows; larger where it is decoded for each: fewer windows, each with its
# own start and end, then outweigh misses that the second level serves.
_ROW_BLOCK_BYTES = 36 * 1024
_WINDOW_BLOCK_BYTES = 72 * 1024
_ALIGNMENT = 64

_TYPES: dict[str, tuple[Any, np.dtype[Any]]] = {
    "float32": (types.float32, np.dtype(np.float32)),
    "float64": (types.float64, np.dtype(np.float64)),
    "int16": (types.int16, np.dtype(np.int16)),
    "bfloat16": (types.uint16, np.dtype(np.uint16)),
}


def row_format(weights_dtype: str) -> Format:
    """Return the layout of one row of weights."""
    return FORMATS[_TYPES[weights_dtype][0]]


def element_dtype(weights_dtype: str) -> np.dtype[np.generic]:
    """Return NumPy's type of a stored weight; bfloat16 is stored as its bits."""
    return _TYPES[weights_dtype][1]


def aligned(count: int, dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    """Allocate an uninitialised flat array that begins on a cache line."""
    raw = np.empty(count * dtype.itemsize + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + count * dtype.itemsize].view(dtype)


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedWeights:
    """Weights of one convolution.

    Attributes:
        data: Flat [output blocks, input blocks, kernel_x, kernel_y * channels + 1, row]: the last
            row of a column is zeros.
        input_blocks: Number of blocks of input channels.
        input_words: Words of sixteen channels in a full block.
        row_bytes: Bytes of one row.
        tap_bytes: Bytes of all input channels of one kernel row.
        column_bytes: Bytes of all kernel rows of one kernel column, and the row of zeros.
    """

    data: NDArray[np.generic]
    input_blocks: int
    input_words: int
    row_bytes: int
    tap_bytes: int
    column_bytes: int


def fixed_point_steps(weights: list[Tensor]) -> NDArray[np.float64]:
    """Choose step sizes, [C_out], that fit every weight of an output channel into int16.

    Args:
        weights: [C_out, C_in, kernel_y, kernel_x] of all convolutions whose sums are added.
    """
    largest = torch.stack([w.abs().amax(dim=(1, 2, 3)) for w in weights]).amax(dim=0)
    steps = largest.double().numpy() / FIXED_POINT_LIMIT
    return np.where(steps > 0, steps, 1.0)


def pack_weights(
    weight: Tensor,
    weights_dtype: str,
    steps: NDArray[np.float64] | None = None,
    *,
    by_row: bool = False,
) -> PackedWeights:
    """Lay weights out in blocks.

    Args:
        weight: [C_out, C_in, kernel_y, kernel_x].
        weights_dtype: ``float32``, ``float64``, ``int16`` or ``bfloat16``.
        steps: For int16, the result of ``fixed_point_steps``.
        by_row: Whether ``accumulate_row`` will read them.
    """
    layout = row_format(weights_dtype)
    dtype = element_dtype(weights_dtype)
    outputs, inputs, kernel_y, kernel_x = weight.shape
    row_bytes = layout.vectors * layout.vector_bytes
    block_bytes = _ROW_BLOCK_BYTES if by_row else _WINDOW_BLOCK_BYTES
    words = max(1, block_bytes // (kernel_y * kernel_x * row_bytes * LANES))
    words = min(words, -(-inputs // LANES))
    channels = words * LANES
    input_blocks, output_blocks = -(-inputs // channels), -(-outputs // layout.channels)
    column_rows = kernel_y * channels + 1
    shape = (output_blocks, input_blocks, kernel_x, column_rows, layout.channels)
    data = aligned(int(np.prod(shape)), dtype)
    # torch permutes several times as fast as numpy; it sees bfloat16's bits as int16
    view = torch.from_numpy(data.view(np.int16 if dtype.itemsize == 2 else dtype)).view(shape)
    view[..., -1, :] = 0
    steps_of = None if steps is None else torch.from_numpy(steps).view(-1, 1, 1, 1)
    missing = (0, 0, 0, 0, 0, input_blocks * channels - inputs)
    for block, rows in enumerate(view[..., :-1, :]):  # one by one: no copy of all weights at once
        own = slice(block * layout.channels, (block + 1) * layout.channels)
        part = _convert(weight[own], weights_dtype, None if steps_of is None else steps_of[own])
        part = F.pad(part, (*missing, 0, layout.channels - len(part)))[_order(layout)]
        taps = part.unflatten(1, (input_blocks, channels)).permute(1, 4, 3, 2, 0)
        rows.unflatten(2, (kernel_y, channels)).copy_(taps)  # [input block, x, y, input, output]
    return PackedWeights(
        data=data,
        input_blocks=input_blocks,
        input_words=words,
        row_bytes=row_bytes,
        tap_bytes=channels * row_bytes,
        column_bytes=column_rows * row_bytes,
    )


def _convert(weight: Tensor, weights_dtype: str, steps: Tensor | None) -> Tensor:
    if weights_dtype == "bfloat16":
        return weight.to(torch.bfloat16).view(torch.int16)
    return weight if steps is None else (weight / steps).round().to(torch.int16)


def _order(layout: Format) -> Tensor:
    """List the channel that each element of a row holds.

    A vector of 32 holds two words in the low and high halves of its 32-bit lanes, so that
    widening needs shifts only.
    """
    channels = torch.arange(layout.channels)
    if layout.lanes == LANES:
        return channels
    return channels.view(-1, 2, LANES).transpose(1, 2).flatten()
