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
    *, inputs: int, outputs: int, kernel: int, stride: int, padding: int, dilation: int
) -> Counts:
    """Taps that touch each input position along one axis of a convolution or pool.

    Position ``i`` is touched by tap ``k`` of output ``o`` when ``o*stride - padding + k*dilation``
    equals ``i``.

    Args:
        inputs: Input length.
        outputs: Output length.
        kernel: Kernel length.
        stride: Stride.
        padding: Zeros on the left (those on the right follow from ``outputs``).
        dilation: Distance between taps.

    Returns:
        int64 array [inputs].
    """
    positions = (
        np.arange(outputs)[:, None] * stride - padding + np.arange(kernel)[None, :] * dilation
    )
    inside = positions[(positions >= 0) & (positions < inputs)]
    return _frozen(np.bincount(inside, minlength=inputs).astype(np.int64))


@cache
def transposed_axis_fanout(
    *, inputs: int, outputs: int, kernel: int, stride: int, padding: int, dilation: int
) -> Counts:
    """Outputs that each input position of a transposed convolution reaches along one axis.

    Input ``i`` writes through tap ``k`` to output ``i*stride - padding + k*dilation``, if that lies
    inside the (cropped) output.
    """
    positions = (
        np.arange(inputs)[:, None] * stride - padding + np.arange(kernel)[None, :] * dilation
    )
    inside = (positions >= 0) & (positions < outputs)
    return _frozen(inside.sum(axis=1, dtype=np.int64))


def _frozen(vector: Counts) -> Counts:
    """Read-only, since all layers of one geometry share it."""
    vector.setflags(write=False)
    return vector


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvGeometry:
    """A convolution of ``len(inputs)`` spatial axes.

    Attributes:
        batch: Images.
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        groups: Channel groups.
        inputs: Spatial input shape, explicit zero padding included.
        outputs: Spatial output shape.
        kernel: Kernel shape.
        stride: Per axis.
        padding: Per axis.
        dilation: Per axis.
        transposed: Whether it is a transposed convolution.
        zero_margin: Per axis, zeros written before and after the real input by an explicit pad.
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
        """Output channels that one input element feeds through one tap."""
        return self.out_channels // self.groups

    @property
    def dense(self) -> int:
        """All taps, those on padding (or cropped, if transposed) included."""
        taps = math.prod(self.kernel)
        if self.transposed:
            return (
                self.batch * self.in_channels * math.prod(self.inputs) * self.outputs_per_tap * taps
            )
        fan_in = self.in_channels // self.groups
        return self.batch * self.out_channels * math.prod(self.outputs) * fan_in * taps

    def fanouts(self) -> list[Counts]:
        """Per axis, the fan-out of every input position."""
        fanout = transposed_axis_fanout if self.transposed else axis_fanout
        return [
            fanout(
                inputs=self.inputs[axis],
                outputs=self.outputs[axis],
                kernel=self.kernel[axis],
                stride=self.stride[axis],
                padding=self.padding[axis],
                dilation=self.dilation[axis],
            )
            for axis in range(len(self.inputs))
        ]

    @property
    def in_image(self) -> int:
        """Taps on real input (or real output, if transposed)."""
        per_image = self.in_channels * self.outputs_per_tap
        for fanout, (before, after) in zip(self.fanouts(), self.zero_margin, strict=True):
            per_image *= int(fanout[max(before, 0) : len(fanout) - max(after, 0)].sum())
        return self.batch * per_image

    def effective(self, nonzero_per_position: Counts) -> Counts:
        """Operations on non-zero inputs, per image.

        Args:
            nonzero_per_position: Non-zero channels at each position, int64 [batch, *inputs].

        Returns:
            int64 [batch].
        """
        weighted = nonzero_per_position
        for fanout in reversed(self.fanouts()):
            weighted = weighted @ fanout
        return weighted * self.outputs_per_tap


def adaptive_pool_taps(inputs: Sequence[int], outputs: Sequence[int]) -> int:
    """Window taps of an adaptive pool: window ``o`` spans floor(o*I/O) to ceil((o+1)*I/O)."""
    taps = 1
    for length, windows in zip(inputs, outputs, strict=True):
        taps *= sum(
            -(-(o + 1) * length // windows) - (o * length // windows) for o in range(windows)
        )
    return taps
