"""Neurons as a user writes them, whose dynamics no kernel knows."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from snnbench.nn.functional import spike
from snnbench.nn.neuron import LIF, Neuron
from snnbench.nn.neuron_spec import NeuronSpec


def spikes_by_spec(spec: NeuronSpec, x: Tensor) -> Tensor:
    """Spikes of currents, [T, N, C, ...], by the equations of the spec."""
    names = ("decay", "input_gain", "threshold", "reset_value")
    decay, gain, threshold, value = (
        None if constant is None else torch.tensor(constant, dtype=x.dtype)
        for constant in (getattr(spec, name) for name in names)
    )
    shape = (-1, *(1,) * (x.ndim - 3))
    decay, gain, threshold = (constant.view(shape) for constant in (decay, gain, threshold))
    if value is None:
        value = threshold if spec.reset == "subtract" else torch.zeros_like(threshold)
    v, spikes = torch.zeros_like(x[0]), []
    for current in x:
        u = decay * v + gain * current
        fired = (u > threshold) if spec.strict else (u >= threshold)
        resets = {"value": value.view(shape).expand_as(u), "subtract": u - value.view(shape)}
        v = torch.where(fired, resets.get(spec.reset, u), u)
        spikes.append(fired.to(x))
    return torch.stack(spikes)


class Adaptive(Neuron):
    """A threshold that rises with every spike: no spec can say it."""

    threshold = 0.5

    def forward(self, x: Tensor) -> Tensor:
        v, a, spikes = torch.zeros_like(x[0]), torch.zeros_like(x[0]), []
        for current in x:
            v = 0.5 * v + current
            spikes.append(spike(v - a, threshold=self.threshold))
            v, a = v * (1 - spikes[-1]), 0.5 * a + 0.3 * spikes[-1]
        return torch.stack(spikes)


class SoftReset(Neuron):
    """Reset by subtraction and a learnable decay for each channel of [T, N, C, H, W]."""

    def __init__(self, channels: int, threshold: float = 0.5) -> None:
        super().__init__()
        self.threshold = threshold
        self.decay = nn.Parameter(torch.linspace(0.1, 0.9, channels))

    @property
    def spec(self) -> NeuronSpec:
        decay = tuple(self.decay.tolist())
        return NeuronSpec(decay=decay, threshold=self.threshold, reset="subtract")

    def forward(self, x: Tensor) -> Tensor:
        decay = self.decay.view(-1, *(1,) * (x.ndim - 3))
        v, spikes = torch.zeros_like(x[0]), []
        for current in x:
            v = decay * v + current
            spikes.append(spike(v, threshold=self.threshold))
            v = v - self.threshold * spikes[-1]
        return torch.stack(spikes)


class AtThreshold(Neuron):
    """Fires at its threshold too, as a comparison with ``>=`` does."""

    threshold = 0.25

    @property
    def spec(self) -> NeuronSpec:
        return NeuronSpec(decay=0.5, threshold=self.threshold, strict=False)

    def forward(self, x: Tensor) -> Tensor:
        v, spikes = torch.zeros_like(x[0]), []
        for current in x:
            v = 0.5 * v + current
            fired = (v >= self.threshold).to(v)
            spikes.append(fired)
            v = v * (1 - fired)
        return torch.stack(spikes)


class DecayedInput(LIF):
    """The decay takes its share of the input as well; fires at its threshold."""

    @property
    def spec(self) -> NeuronSpec:
        gain = 1 - self.decay
        return NeuronSpec(decay=self.decay, input_gain=gain, threshold=self.threshold, strict=False)

    def forward(self, x: Tensor) -> Tensor:
        v, spikes = torch.zeros_like(x[0]), []
        for current in x:
            v = v + (current - v) * (1 - self.decay)
            fired = (v - self.threshold >= 0).to(v)
            spikes.append(fired)
            v = v * (1 - fired)
        return torch.stack(spikes)


class Louder(LIF):
    """Another forward than that of its base, and so no spec."""

    graded = True

    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class Named(LIF):
    """A class of its own with the dynamics of its base."""
