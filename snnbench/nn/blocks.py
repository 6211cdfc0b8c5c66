"""Blocks of the spiking ResNets (ZH21 fig. 5b, table 4) on [T, N, C, H, W] spikes."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Literal, get_args

from torch import Tensor, nn

from snnbench.core.errors import StructureError, UsageError
from snnbench.nn.neuron import LIF, Neuron
from snnbench.nn.norm import ThresholdDependentBatchNorm2d

BlockKind = Literal["basic", "bottleneck", "plain"]
Shortcut = Literal["paper", "identity"]

BRANCH_ALPHA = 1 / math.sqrt(2)
"""tdBN's alpha in each of the two branches that meet in a residual addition."""
BOTTLENECK_EXPANSION = 4


class PerTimestep(nn.Sequential):
    """Layers without time, on all timesteps at once: [T, N, ...] in and out, [T*N, ...] within.

    Raises:
        StructureError: A layer has neurons, which would take samples for timesteps.
    """

    def __init__(self, *layers: Any) -> None:
        super().__init__(*layers)
        if any(isinstance(module, Neuron) for module in self.modules()):
            msg = "PerTimestep has no timesteps within; put its neurons behind it"
            raise StructureError(msg)

    def forward(self, x: Tensor) -> Tensor:
        """Run the children in order on all timesteps at once."""
        y = x.flatten(0, 1)
        for layer in self:
            y = layer(y)
        return y.reshape(*x.shape[:2], *y.shape[1:])


def conv_norm(
    in_channels: int,
    out_channels: int,
    kernel: int,
    *,
    stride: int = 1,
    alpha: float = 1.0,
    threshold: float = 1.0,
) -> PerTimestep:
    """Convolution without bias, padded to keep the size at stride 1, then tdBN.

    Args:
        in_channels: C of the input [T, N, C, H, W].
        out_channels: C of the output.
        kernel: Odd window.
        stride: Stride of the convolution.
        alpha: tdBN's branch factor.
        threshold: V_th of the neurons that follow.
    """
    conv = nn.Conv2d(
        in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, bias=False
    )
    norm = ThresholdDependentBatchNorm2d(out_channels, alpha=alpha, threshold=threshold)
    return PerTimestep(OrderedDict(conv=conv, norm=norm))


def output_channels(kind: BlockKind, channels: int) -> int:
    """Output channels of a block of this kind, given those of its 3x3 convolution."""
    return channels * BOTTLENECK_EXPANSION if kind == "bottleneck" else channels


def _rows(kind: BlockKind, channels: int, stride: int) -> tuple[tuple[int, int, int], ...]:
    """(kernel, output channels, stride) of each convolution, as table 4 lists them."""
    if kind == "bottleneck":
        # Table 4 does not say which convolution has the stride; on the 3x3 no input is skipped.
        return (1, channels, 1), (3, channels, stride), (1, output_channels(kind, channels), 1)
    return (3, channels, stride), (3, channels, 1)


def _shortcut(
    in_channels: int, out_channels: int, *, stride: int, threshold: float, policy: Shortcut
) -> nn.Module:
    if stride != 1 or in_channels != out_channels:
        return conv_norm(
            in_channels, out_channels, 1, stride=stride, alpha=BRANCH_ALPHA, threshold=threshold
        )
    if policy == "identity":
        return nn.Identity()
    norm = ThresholdDependentBatchNorm2d(out_channels, alpha=BRANCH_ALPHA, threshold=threshold)
    return PerTimestep(OrderedDict(norm=norm))


class SpikingBlock(nn.Module):
    """Convolution, tdBN, neurons in series; a shortcut joins before the last ones (ZH21 fig. 5b).

    The addition joins pre-activations, so all neurons, and with them the block, put out spikes.

    Args:
        kind: ``basic`` (3x3, 3x3), ``bottleneck`` (1x1, 3x3, 1x1 with four times the channels),
            or ``plain``: ``basic`` without shortcut, all tdBN with alpha 1.
        in_channels: C of the input [T, N, C, H, W].
        channels: C of the 3x3 convolutions.
        stride: Stride of the block.
        neuron: Makes a fresh layer of neurons.
        shortcut: Where the shape is kept, ``paper`` puts tdBN(1/sqrt 2) on the shortcut and
            ``identity`` nothing. Where it changes, a 1x1 convolution with tdBN(1/sqrt 2) always.

    Raises:
        UsageError: The shortcut policy is unknown.
    """

    def __init__(
        self,
        kind: BlockKind,
        in_channels: int,
        channels: int,
        *,
        stride: int = 1,
        neuron: Callable[[], Neuron] = LIF,
        shortcut: Shortcut = "paper",
    ) -> None:
        super().__init__()
        if shortcut not in get_args(Shortcut):
            msg = f"shortcut must be {' or '.join(get_args(Shortcut))}, got {shortcut!r}"
            raise UsageError(msg)
        rows = _rows(kind, channels, stride)
        self.synapses = nn.ModuleList()
        self.neurons = nn.ModuleList()
        width = in_channels
        for index, (kernel, out, step) in enumerate(rows, start=1):
            lif = neuron()
            joins = index == len(rows) and kind != "plain"
            self.synapses.append(
                conv_norm(
                    width,
                    out,
                    kernel,
                    stride=step,
                    alpha=BRANCH_ALPHA if joins else 1.0,
                    threshold=lif.threshold,
                )
            )
            self.neurons.append(lif)
            width = out
        self.shortcut = (
            None
            if kind == "plain"
            else _shortcut(
                in_channels, width, stride=stride, threshold=lif.threshold, policy=shortcut
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """Spikes to spikes, [T, N, C, H, W] -> [T, N, C', H', W']."""
        *inner, last = zip(self.synapses, self.neurons, strict=True)
        y = x
        for synapse, neuron in inner:
            y = neuron(synapse(y))
        synapse, neuron = last
        y = synapse(y)
        if self.shortcut is not None:
            y += self.shortcut(x)
        spikes: Tensor = neuron(y)
        return spikes
