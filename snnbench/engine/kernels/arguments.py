"""Records of the event kernels' arguments: one per pass over the windows, one per step.

All fields are int64: numbers, or addresses of buffers.
"""

from __future__ import annotations

import numpy as np


def _record(*names: str) -> np.dtype[np.void]:
    return np.dtype([(name, np.int64) for name in names])


PASS = _record(
    "masks",  # address of the source's spike masks [T, N, height, width, words]
    "height",
    "width",
    "words",
    "first_word",  # of this block of input channels
    "block_words",
    "kernel_y",
    "kernel_x",
    "stride_y",
    "stride_x",
    "padding_y",
    "padding_x",
    "row_bytes",  # one weight row: one tap of one input channel, a block of outputs
    "tap_bytes",  # all input channels of one kernel row
    "column_bytes",  # all kernel rows of one kernel column, and the row of zeros
    "weights",  # address of [output block, input block, kernel_x, column]
    "weights_step",  # bytes from one block of output channels to the next
    "block_bytes",
    "columns",  # address of [slot, out_height, width + 1]: where each column's events begin
    "lists",  # address of [slot, list_bytes]: the events
    "list_bytes",
    "by_row",  # whether ``accumulate_row`` computes it; its lists need no padding
)
"""Arguments of a pass over the windows: one block of input channels of one convolution."""

STEP = _record(
    "timesteps",
    "samples",  # N of the masks
    "first_sample",  # of this call
    "call_samples",
    "out_height",
    "out_width",
    "out_words",
    "block_words",  # words of channels in a block of outputs
    "blocks",
    "tile_rows",
    "sums",  # address of [thread, timesteps, tile_rows, out_width, block] totals
    "sums_bytes",  # of one thread
    "word_bytes",  # of the totals of one word
    "zeros",  # address of a block of zero totals
    "dense",  # address of dense currents [T or 1, N, out_height, out_width, out_words * 16]
    "dense_t",  # bytes to the next timestep, and so on
    "dense_n",
    "dense_site",
    "dense_word",
    "mask",  # address of the masks of scaled spikes, strides as above
    "mask_t",
    "mask_n",
    "mask_site",
    "mask_word",
    "constants",  # address of [out_words, 3, 16]
    "constants_word",
    "out",  # address of the masks [T, N, out_height, out_width, out_words]
    "prefetch",  # whether weights exceed the second-level cache
    "channels",  # real output channels
    "first_pass",
    "passes",
)
"""Shape and buffers of one neuron step."""
