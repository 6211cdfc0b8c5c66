"""Small spiking networks for the counting tests, with a neuron no framework knows.

Weights and inputs are small multiples of a power of two, so every sum is exact in float32 and no
spike can flip between two runs that add in another order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class LIF(nn.Module):
    """Leaky integrate-and-fire with hard reset: decay 0.5, threshold 0.5.

    Args:
        height: Value of a spike.
        signed: Fire ``-height`` below the negative threshold (ternary spikes).
        time_axis: Axis of the input over which T steps run in one call; ``None``: one step a call.
    """

    def __init__(
        self, *, height: float = 1.0, signed: bool = False, time_axis: int | None = None
    ) -> None:
        super().__init__()
        self.height = height
        self.signed = signed
        self.time_axis = time_axis
        self.v: Tensor | None = None

    def step(self, x: Tensor) -> Tensor:
        v = x if self.v is None else 0.5 * self.v + x
        fired = (v > 0.5).to(x.dtype)
        if self.signed:
            fired = fired - (v < -0.5).to(x.dtype)
        self.v = v * (1.0 - fired.abs())
        return fired * self.height

    def forward(self, x: Tensor) -> Tensor:
        if self.time_axis is None:
            return self.step(x)
        return torch.stack([self.step(frame) for frame in x.unbind(self.time_axis)], self.time_axis)


def reset(model: nn.Module) -> None:
    """Forget every membrane potential."""
    for module in model.modules():
        if isinstance(module, LIF):
            module.v = None


def exact_weights(model: nn.Module, seed: int) -> None:
    """Quarters in [-1, 1], from a generator of their own."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        with torch.no_grad():
            parameter.copy_(torch.randint(-4, 5, parameter.shape, generator=generator) / 4)


def split(x: Tensor, lead: Sequence[int]) -> Tensor:
    """[T * N, ...] as [T, N, ...]."""
    return x.reshape(*lead, *x.shape[1:])


class Residual(nn.Module):
    """``body(x) + shortcut(x)``: the addition belongs to this module."""

    def __init__(self, body: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.body = body
        self.shortcut = nn.Identity() if shortcut is None else shortcut

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x) + self.shortcut(x)
        return y


class FunctionalConv(nn.Module):
    """A convolution called as a function, its weight named like no layer's."""

    def __init__(self, c_in: int, c_out: int, kernel: tuple[int, ...]) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.zeros(c_out, c_in, *kernel))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = (functional.conv1d, functional.conv2d, functional.conv3d)[self.kernel.ndim - 3](
            x, self.kernel
        )
        return y


class ZeroPadded(nn.Module):
    """``F.pad`` with zeros around the image (negative: crop), then a convolution."""

    def __init__(self, conv: nn.Module, before: int, after: int, axes: int) -> None:
        super().__init__()
        self.conv = conv
        self.amounts = (before, after) * axes

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(functional.pad(x, self.amounts))
        return y


class Stepwise(nn.Module):
    """Loop over T: every layer sees one timestep, [N, ...], per call. Input [T, N, ...]."""

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def one_step(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        reset(self)
        return torch.stack([self.one_step(frame) for frame in x])


class Multistep(nn.Module):
    """All timesteps at once: layers see [T * N, ...], neurons [T, N, ...] (or N first).

    Args:
        layers: In order.
        lead: Sizes of the two leading axes, needed when the input comes flattened; ``None`` reads
            them from the input, [T, N, ...] or [N, T, ...].
    """

    def __init__(self, layers: Iterable[nn.Module], lead: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.lead = lead

    def forward(self, x: Tensor) -> Tensor:
        reset(self)
        lead = tuple(x.shape[:2]) if self.lead is None else self.lead
        if self.lead is None:
            x = x.flatten(0, 1)
        for layer in self.layers:
            x = layer(split(x, lead)).flatten(0, 1) if isinstance(layer, LIF) else layer(x)
        return x


class TinyBlock(nn.Module):
    """3x3 s2 conv, LIF, grouped 3x3 conv, plus a 1x1 s2 shortcut; layers named as outside."""

    def __init__(self, *, time_first: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(4, 8, 3, stride=2, padding=1, bias=False)
        self.lif = LIF(time_axis=0 if time_first else None)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1, groups=2, bias=False)
        self.shortcut = nn.Conv2d(4, 8, 1, stride=2, bias=False)
        self.lif2 = LIF(time_axis=0 if time_first else None)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(fire(self.lif, self.conv1(x)))
        return fire(self.lif2, y + self.shortcut(x))


def fire(neuron: nn.Module, x: Tensor, timesteps: int = 4) -> Tensor:
    """Run the neuron on [N, ...], or on [T * N, ...] as [T, N, ...] if it wants time first."""
    if getattr(neuron, "time_axis", None) is None:
        y: Tensor = neuron(x)
        return y
    return torch.flatten(neuron(split(x, (timesteps, -1))), 0, 1)


class Tiny(nn.Module):
    """conv - LIF - residual block - average pool - linear; input [T, N, 2, 9, 9], T = 4."""

    timesteps = 4

    def __init__(self, *, time_first: bool = False) -> None:
        super().__init__()
        self.time_first = time_first
        self.conv1 = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        self.lif = LIF(time_axis=0 if time_first else None)
        self.block = TinyBlock(time_first=time_first)
        self.pool = nn.AvgPool2d(2)
        self.fc = nn.Linear(32, 5)
        exact_weights(self, seed=7)

    def body(self, x: Tensor) -> Tensor:
        y = self.block(fire(self.lif, self.conv1(x)))
        out: Tensor = self.fc(self.pool(y).flatten(1))
        return out

    def forward(self, x: Tensor) -> Tensor:
        reset(self)
        if self.time_first:
            return split(self.body(x.flatten(0, 1)), x.shape[:2])
        return torch.stack([self.body(frame) for frame in x])
