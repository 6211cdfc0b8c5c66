from typing import get_args

import numpy as np
import pytest
import torch

from snnbench.engine.kernels.pack import PackedWeights, fixed_point_steps, pack_weights, row_format
from snnbench.engine.kernels.vector.formats import FIXED_POINT_LIMIT
from snnbench.engine.runtime import WeightsDtype


def rows_of(packed: PackedWeights, weights_dtype: str, kernel_x: int) -> np.ndarray:
    """[output block, input block, kernel_x, row, element]."""
    column = packed.column_bytes // packed.row_bytes
    outputs = row_format(weights_dtype).channels
    return packed.data.reshape(-1, packed.input_blocks, kernel_x, column, outputs)


def numbered(*shape: int) -> torch.Tensor:
    return torch.arange(int(np.prod(shape)), dtype=torch.float32).reshape(shape) + 1


def test_a_row_is_one_input_channel_and_tap_for_a_block_of_outputs():
    # 2 outputs, 3 inputs, kernel 2 x 2; weight[o, c, y, x] = 1 + 12 o + 4 c + 2 y + x
    packed = pack_weights(numbered(2, 3, 2, 2), "float32", None)
    assert packed.input_blocks == 1
    assert packed.input_words == 1
    rows = rows_of(packed, "float32", 2)
    # columns of kernel x; in each, rows y * 16 + c, and the row of zeros
    assert rows.shape[:4] == (1, 1, 2, 2 * 16 + 1)
    for x in range(2):
        for y in range(2):
            for c in range(3):
                row = rows[0, 0, x, y * 16 + c]
                assert row[:2].tolist() == [1 + 4 * c + 2 * y + x, 13 + 4 * c + 2 * y + x]
                assert not row[2:].any()
            assert not rows[0, 0, x, y * 16 + 3 : y * 16 + 16].any()  # channels that are not
        assert not rows[0, 0, x, -1].any()
    assert packed.row_bytes == 4 * row_format("float32").channels
    assert packed.tap_bytes == 16 * packed.row_bytes
    assert packed.column_bytes == 33 * packed.row_bytes


def test_blocks_of_inputs_and_outputs():
    block = row_format("float32").channels
    weight = numbered(block + 3, 1000, 3, 3)
    packed = pack_weights(weight, "float32", None)
    inputs = 16 * packed.input_words
    assert packed.input_blocks == -(-1000 // inputs) > 1
    rows = rows_of(packed, "float32", 3)
    assert rows.shape == (2, packed.input_blocks, 3, 3 * inputs + 1, block)
    # the last output is element 2 of block 1; the last input is in the last block of inputs
    last = rows[1, -1, 2, 2 * inputs + 999 % inputs]
    assert last[2] == weight[-1, -1, 2, 2]
    assert not last[3:].any()
    assert rows[0, 1, 0, inputs, 5] == weight[5, inputs, 1, 0]  # y = 1, first channel of block 1


def test_bfloat16_interleaves_two_words_of_channels():
    layout = row_format("bfloat16")
    packed = pack_weights(numbered(layout.channels, 1, 1, 1), "bfloat16", None)
    row = rows_of(packed, "bfloat16", 1)[0, 0, 0, 0]
    # bits of 1 + channel; a 32-bit lane holds channel l below and channel 16 + l above
    values = (row.astype(np.uint32) << 16).view(np.float32)
    assert values[:4].tolist() == [1, 17, 2, 18]
    assert values[32:36].tolist() == [33, 49, 34, 50]
    assert sorted(values) == list(range(1, layout.channels + 1))


def test_fixed_point_steps_hold_the_largest_weight_of_all_convolutions():
    first = torch.tensor([[[[0.5]], [[-1.0]]], [[[0.0]], [[0.0]]]])
    second = torch.tensor([[[[-4.094]]], [[[0.0]]]])
    # output 0: 4.094 / 2047 = 0.002; output 1 has only zeros, which any step holds
    assert fixed_point_steps([first, second]) == pytest.approx([0.002, 1.0])


def test_sixteen_rows_of_fixed_point_cannot_overflow():
    assert np.iinfo(np.int16).max >= 16 * FIXED_POINT_LIMIT
    generator = torch.Generator().manual_seed(0)
    for scale in (1e-30, 1e-3, 1.0, 1e30):
        weight = torch.randn(32, 16, 3, 3, generator=generator) * scale
        steps = fixed_point_steps([weight])
        data = pack_weights(weight, "int16", steps).data
        assert np.abs(data.astype(int)).max() == FIXED_POINT_LIMIT
    # rounding is to the nearest step: -0.7 steps is -1, 0.4 steps is 0
    weight = torch.tensor([2047.0, -0.7, 0.4]).reshape(1, 3, 1, 1)
    packed = pack_weights(weight, "int16", fixed_point_steps([weight]))
    rows = rows_of(packed, "int16", 1)
    assert rows[0, 0, 0, :3, 0].tolist() == [2047, -1, 0]


@pytest.mark.parametrize("weights_dtype", get_args(WeightsDtype))
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (64, 64, 3, 3), (512, 512, 1, 1)])
def test_data_begins_on_a_cache_line(weights_dtype: str, shape: tuple[int, ...]):
    weight = torch.ones(shape)
    steps = fixed_point_steps([weight]) if weights_dtype == "int16" else None
    packed = pack_weights(weight, weights_dtype, steps)
    assert packed.data.ctypes.data % 64 == 0
    assert packed.row_bytes % 64 == packed.column_bytes % 64 == 0
