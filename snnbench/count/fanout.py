"""Separable fan-out: how many synapses each input position of a convolution really feeds.

For an input at (y, x) the number of (kernel tap, output position) pairs that touch it factorises
over axes as ``fy[y] * fx[x]``. Exact operation counts are therefore sums of small integer vectors;
no second convolution and no floating point is needed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from snnbench.count.masks import Counts


@cache
def axis_fanout(
    *,
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int,
    padding: int,
    dilation: int,
    transposed: bool = False,
) -> Counts:
    """Count the (tap, output) pairs of each input position along one axis.

    In a convolution or pool, tap ``k`` of output ``o`` reads input ``o*stride - padding +
    k*dilation``; in a transposed convolution, tap ``k`` of input ``i`` writes to output
    ``i*stride - padding + k*dilation``. Pairs beyond the input or output do not count. Lengths are
    in positions; ``padding`` is on the left (``outputs`` decides what is on the right).

    Returns:
        int64 array [inputs], read-only, since all layers of one geometry share it.
    """
    windows, image = (inputs, outputs) if transposed else (outputs, inputs)
    positions = np.arange(windows)[:, None] * stride - padding + np.arange(kernel) * dilation
    inside = (positions >= 0) & (positions < image)
    touched = inside.sum(axis=1) if transposed else np.bincount(positions[inside], minlength=image)
    fanout = touched.astype(np.int64)
    fanout.setflags(write=False)
    return fanout


def fanouts(*, transposed: bool = False, **axes: Sequence[int]) -> list[Counts]:
    """Give the ``axis_fanout`` of every spatial axis, from sequences of its arguments."""
    return [
        axis_fanout(**dict(zip(axes, values, strict=True)), transposed=transposed)
        for values in zip(*axes.values(), strict=True)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvGeometry:
    """Shape of a convolution of a batch of images; tuples have one entry per spatial axis.

    Attributes:
        inputs: Spatial input shape, explicit zero padding included.
        zero_margin: Zeros that an explicit pad wrote before and after the real input.
    """

    batch: int
    in_channels: int
    out_channels: int
    groups: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    transposed: bool
    zero_margin: tuple[tuple[int, int], ...]

    @property
    def outputs_per_tap(self) -> int:
        """Number of output channels that one input element feeds through one tap."""
        return self.out_channels // self.groups

    @property
    def dense(self) -> int:
        """Number of taps, those on padding (or cropped, if transposed) included."""
        windows = self.inputs if self.transposed else self.outputs
        taps = math.prod((*self.kernel, *windows))
        return self.batch * self.in_channels * self.outputs_per_tap * taps

    def fanouts(self) -> list[Counts]:
        """Fan-out of every input position, per axis."""
        return fanouts(
            inputs=self.inputs,
            outputs=self.outputs,
            kernel=self.kernel,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            transposed=self.transposed,
        )

    @property
    def in_image(self) -> int:
        """Number of taps on real input (or real output, if transposed)."""
        per_image = self.in_channels * self.outputs_per_tap
        for fanout, (before, after) in zip(self.fanouts(), self.zero_margin, strict=True):
            per_image *= int(fanout[max(before, 0) : len(fanout) - max(after, 0)].sum())
        return self.batch * per_image

    def effective(self, nonzero_per_position: Counts) -> Counts:
        """Count operations on non-zero inputs.

        Args:
            nonzero_per_position: Number of non-zero channels, int64 [batch, *inputs].

        Returns:
            Operations per image, int64 [batch].
        """
        weighted = nonzero_per_position
        for fanout in reversed(self.fanouts()):
            weighted = weighted @ fanout
        return weighted * self.outputs_per_tap


def adaptive_pool_taps(inputs: Sequence[int], outputs: Sequence[int]) -> int:
    """Count the taps of an adaptive pool: window ``o`` spans floor(o*I/O) to ceil((o+1)*I/O)."""
    return math.prod(
        sum(-(-(o + 1) * length // windows) - o * length // windows for o in range(windows))
        for length, windows in zip(inputs, outputs, strict=True)
    )
