"""Fan-out along one axis, by hand; the property tests prove it on random networks."""

from __future__ import annotations

import numpy as np
import pytest

from snnbench.count.fanout import (
    ConvGeometry,
    adaptive_pool_taps,
    axis_fanout,
)


@pytest.mark.parametrize(
    ("geometry", "expected"),
    [
        # 4 inputs, 3 taps, padding 1: the ends miss one tap each
        ((4, 4, 3, 1, 1, 1), [2, 3, 3, 2]),
        # stride 2, padding 1: windows at -1..1 and 1..3, which share input 1
        ((4, 2, 3, 2, 1, 1), [1, 2, 1, 1]),
        # stride 2 on 6 with kernel 2 and one output left out: the last two are never read
        ((6, 2, 2, 2, 0, 1), [1, 1, 1, 1, 0, 0]),
        # dilation 2: taps 0, 2, 4 and 1, 3, 5
        ((6, 2, 3, 1, 0, 2), [1, 1, 1, 1, 1, 1]),
        # kernel 1, stride 3: inputs 0 and 3 only
        ((5, 2, 1, 3, 0, 1), [1, 0, 0, 1, 0]),
        # nothing comes out
        ((2, 0, 3, 1, 0, 1), [0, 0]),
    ],
)
def test_axis_fanout(geometry: tuple[int, ...], expected: list[int]) -> None:
    names = ("inputs", "outputs", "kernel", "stride", "padding", "dilation")
    assert axis_fanout(**dict(zip(names, geometry, strict=True))).tolist() == expected


def test_axis_fanout_of_a_transposed_convolution() -> None:
    # kernel 3, stride 2, padding 1 on 3 inputs: outputs -1..1, 1..3, 3..5 of 5 (0..4)
    fanout = axis_fanout(
        inputs=3, outputs=5, kernel=3, stride=2, padding=1, dilation=1, transposed=True
    )
    assert fanout.tolist() == [2, 3, 2]


def test_a_shared_fanout_cannot_be_changed() -> None:
    fanout = axis_fanout(inputs=2, outputs=2, kernel=1, stride=1, padding=0, dilation=1)
    with pytest.raises(ValueError, match="read-only"):
        fanout[0] = 7


def geometry(**changes: object) -> ConvGeometry:
    """3x3, padding 1, on 2 images of 4 channels, 4x4; 6 output channels in 2 groups."""
    fields: dict[str, object] = {
        "batch": 2,
        "in_channels": 4,
        "out_channels": 6,
        "groups": 2,
        "inputs": (4, 4),
        "outputs": (4, 4),
        "kernel": (3, 3),
        "stride": (1, 1),
        "padding": (1, 1),
        "dilation": (1, 1),
        "transposed": False,
        "zero_margin": ((0, 0), (0, 0)),
    }
    return ConvGeometry(**(fields | changes))  # type: ignore[arg-type]


def test_counts_of_a_grouped_convolution() -> None:
    g = geometry()
    # 2 images x 6 outputs x 16 positions x (4 / 2) inputs x 9 taps
    assert g.dense == 2 * 6 * 16 * 2 * 9
    # an axis has 2 + 3 + 3 + 2 = 10 taps inside; 4 inputs reach 6 / 2 = 3 outputs each
    assert g.in_image == 2 * 10 * 10 * 4 * 3
    ones = geometry(batch=1)
    assert ones.effective(np.full((1, 4, 4), 4)).tolist() == [ones.in_image]
    # one non-zero channel at the corner (0, 0): 2 * 2 taps of 3 outputs
    corner = np.zeros((1, 4, 4), dtype=np.int64)
    corner[0, 0, 0] = 1
    assert ones.effective(corner).tolist() == [2 * 2 * 3]


def test_an_explicit_zero_margin_is_not_inside_the_image() -> None:
    # the outer ring of the 4x4 input was written by a pad: 3 + 3 taps an axis remain
    g = geometry(zero_margin=((1, 1), (1, 1)))
    assert g.in_image == 2 * 6 * 6 * 4 * 3
    assert g.dense == geometry().dense
    # a negative pad crops, so there is no margin to take off
    assert geometry(zero_margin=((-1, -1), (0, 0))).in_image == geometry().in_image


def test_adaptive_pool_windows_overlap() -> None:
    # 5 -> 2: windows [0, 3) and [2, 5): 6 taps; 4 -> 2: 4 taps
    assert adaptive_pool_taps((5, 4), (2, 2)) == 6 * 4
