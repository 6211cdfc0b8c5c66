"""The spiking ResNets of ZH21 table 4, built from cards.

Claim, checked by the tests against the closed forms in the cards: parameters, dense MACs of the
ANN twin and number of spiking layers equal table 4's architectures row by row, and with them the
operation counts the paper prints in table 6 (2.2e9 MACs for ResNet-19, 1.4e10 for
ResNet-34-large).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated

import msgspec
from torch import Tensor, nn

from snnbench.core import StructureError, UsageError
from snnbench.nn import (
    BlockKind,
    PerTimestep,
    Shortcut,
    SpikingBlock,
    conv_norm,
    output_channels,
)
from snnbench.zoo import Card, neurons_of

Positive = Annotated[int, msgspec.Meta(ge=1)]


class StageSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A series of equal blocks; the first one has the stride."""

    block: BlockKind
    blocks: Positive
    channels: Positive
    stride: Positive = 1


class ArchitectureSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows of ZH21 table 4.

    Attributes:
        stem_kernel: Kernel size of the encoding convolution (padding keeps the size).
        stem_channels: Output channels of the encoding convolution.
        stem_stride: Stride of the encoding convolution.
        stages: Series of blocks.
        pool: Average pool window and stride before the head; ``None`` is global.
        hidden: Width of the spiking fully connected layer, if there is one.
    """

    stem_kernel: Positive
    stem_channels: Positive
    stem_stride: Positive
    stages: tuple[StageSpec, ...]
    pool: Positive | None = None
    hidden: Positive | None = None


def build(
    card: Card, *, timesteps: int, width: float, shortcut: Shortcut = "paper"
) -> SpikingResNet:
    """Build a card's network with fresh weights.

    Args:
        card: Card with the rows of table 4 and the neurons.
        timesteps: T.
        width: Factor on all channel numbers and on the hidden layer.
        shortcut: Kind of shortcut, as in ``SpikingBlock``.

    Raises:
        UsageError: The card's architecture or neurons are not valid.
        StructureError: The input is too small for the average pool before the head.
    """
    return SpikingResNet(card, timesteps=timesteps, width=width, shortcut=shortcut)


class SpikingResNet(nn.Sequential):
    """Encoding convolution, series of spiking blocks, average pool and head.

    Direct encoding: a static image enters the encoding convolution at every timestep. The last
    layer is a ``Linear`` without neuron, and its output is averaged over time (ZH21 eq. 11).

    Table 4 prints no tdBN for the fully connected layers: the hidden one is a ``Linear`` with
    bias, then LIF.

    Attributes:
        timesteps: T.
        input_shape: (C, H, W) of one frame.
        encoding_and_head: Names of the layers whose operations the paper counts as
            multiplications: the encoding convolution and every ``Linear``.
        in_order: The layers run one after the other, so that training may fuse neighbours.
    """

    in_order = True

    def __init__(self, card: Card, *, timesteps: int, width: float, shortcut: Shortcut) -> None:
        arch, neuron = card.architecture_as(ArchitectureSpec), neurons_of(card)
        channels = _scaled(arch.stem_channels, width)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["stem"] = conv_norm(
            card.input.shape[0],
            channels,
            arch.stem_kernel,
            stride=arch.stem_stride,
            threshold=neuron().threshold,
        )
        layers["stem_lif"] = neuron()
        for number, stage in enumerate(arch.stages, start=1):
            inner = _scaled(stage.channels, width)
            blocks = []
            for index in range(stage.blocks):
                stride = stage.stride if index == 0 else 1
                blocks.append(
                    SpikingBlock(
                        stage.block,
                        channels,
                        inner,
                        stride=stride,
                        neuron=neuron,
                        shortcut=shortcut,
                    )
                )
                channels = output_channels(stage.block, inner)
            layers[f"block{number}"] = nn.Sequential(*blocks)
        layers["head"] = _head(card, arch, channels, width, neuron())
        super().__init__(layers)
        self.timesteps = timesteps
        self.input_shape = card.input.shape
        self.encoding_and_head = (
            "stem.conv",
            *(name for name, module in self.named_modules() if isinstance(module, nn.Linear)),
        )
        self._any_size = arch.pool is None
        self._name = card.name
        self._initialise()

    def forward(self, x: Tensor) -> Tensor:
        """Logits averaged over time, [N, classes].

        Args:
            x: Static images, [N, C, H, W], or one frame per timestep, [T, N, C, H, W].

        Raises:
            UsageError: The input has another shape than the card's, or holds integers.
        """
        self._check(x)
        if x.ndim == 4:
            x = x.expand(self.timesteps, *x.shape)
        for layer in self:
            x = layer(x)
        return x.mean(dim=0)

    def _check(self, x: Tensor) -> None:
        C, H, W = self.input_shape
        frame = tuple(x.shape[-3:])
        fits = frame == self.input_shape or (self._any_size and frame[:1] == (C,))
        times = x.ndim == 4 or (x.ndim == 5 and x.shape[0] == self.timesteps)
        if not (fits and times and x.is_floating_point()):
            msg = (
                f"{self._name} takes floats of shape [N, {C}, {H}, {W}] or "
                f"[{self.timesteps}, N, {C}, {H}, {W}], got {x.dtype} {list(x.shape)}"
            )
            raise UsageError(msg)

    def _initialise(self) -> None:
        # Fan-out keeps the variance of gradients (He et al. 2015) and lets the hidden layer, which
        # no tdBN scales, fire before training. The decoding layer keeps PyTorch's smaller default,
        # so that the first logits are near zero.
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d) or name == "head.hidden":
                nn.init.kaiming_normal_(
                    module.get_parameter("weight"), mode="fan_out", nonlinearity="relu"
                )


def _scaled(channels: int, width: float) -> int:
    """Multiple of 8 nearest to ``channels * width``, at least 8; exact at width 1."""
    return channels if width == 1 else max(8, 8 * round(channels * width / 8))


def _final_size(arch: ArchitectureSpec, size: int) -> int:
    """Feature map size before the pool; padding keeps ceil(size / stride) at each layer."""
    for stride in (arch.stem_stride, *(stage.stride for stage in arch.stages)):
        size = -(-size // stride)
    return size


def _head(
    card: Card, arch: ArchitectureSpec, channels: int, width: float, neuron: nn.Module
) -> nn.Sequential:
    """Average pool, hidden layer with neurons if the card has one, decoding layer."""
    pool: nn.Module = nn.AdaptiveAvgPool2d(1)
    features = channels
    if arch.pool is not None:
        pool = nn.AvgPool2d(arch.pool)
        height, width_px = (_final_size(arch, size) for size in card.input.shape[1:])
        features *= (height // arch.pool) * (width_px // arch.pool)
        if features == 0:
            msg = (
                f"{card.name}: a {height}x{width_px} feature map is left before the "
                f"{arch.pool}x{arch.pool} average pool; use a larger input or fewer strides"
            )
            raise StructureError(msg)
    layers: OrderedDict[str, nn.Module] = OrderedDict(pool=PerTimestep(pool, nn.Flatten()))
    if arch.hidden is not None:
        hidden = _scaled(arch.hidden, width)
        layers["hidden"] = nn.Linear(features, hidden)
        layers["lif"] = neuron
        features = hidden
    layers["classifier"] = nn.Linear(features, card.classes)
    return nn.Sequential(layers)
