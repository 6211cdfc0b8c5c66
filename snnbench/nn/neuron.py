"""Spiking neurons as modules on [T, N, ...] pre-activations, without state between calls."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from snnbench.core.errors import UsageError
from snnbench.nn.functional import lif_sequence
from snnbench.nn.neuron_spec import NeuronSpec


class Neuron(nn.Module):
    """Base of all layers of spiking neurons that profiler, twin, engine and training recognise.

    A subclass computes spikes of currents in its ``forward``, [T, N, ...] -> [T, N, ...], from
    potentials at rest, and keeps no state between calls. That is enough to count it, fold and
    twin the network around it, train it, and run it densely in the event engine. Kernels of the
    engine and of training take over where they know the dynamics that ``spec`` describes.

    Attributes:
        graded: Whether spikes may be other than 0 and 1; what they feed then runs densely.
        threshold: V_th, to which a tdBN before the neurons scales their currents.
    """

    graded: bool = False
    threshold: float

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        forward, spec = (
            next(place for place, base in enumerate(cls.__mro__) if name in vars(base))
            for name in ("forward", "spec")
        )
        if forward < spec:
            cls.spec = Neuron.spec  # type: ignore[method-assign]  # that of another forward

    @property
    def spec(self) -> NeuronSpec | None:
        """The dynamics; ``None`` where ``forward`` alone knows them.

        It describes one ``forward``: a subclass with another one has ``None`` again, unless it
        says otherwise.
        """
        return None

    def twin(self) -> nn.Module:
        """Make the module that replaces these neurons in the ANN twin of a network."""
        return nn.ReLU()


def dynamics_of(neuron: Neuron) -> NeuronSpec | None:
    """The spec of neurons, unless this very instance has been given another ``forward``."""
    return None if "forward" in vars(neuron) else neuron.spec


def neurons_in(network: nn.Module) -> dict[str, Neuron]:
    """The layers of neurons of a network by name, without those that other neurons consist of."""
    found: dict[str, Neuron] = {}
    for name, module in network.named_modules():
        if isinstance(module, Neuron) and not name.startswith(parts_of(found)):
            found[name] = module
    return found


def parts_of(names: Iterable[str]) -> tuple[str, ...]:
    """What the names of the parts of modules begin with."""
    return tuple(f"{name}." if name else "" for name in names)


class LIF(Neuron):
    """Leaky integrate-and-fire layer with hard reset (ZH21 eq. 1-3).

    Every call starts from a potential of zero and runs all timesteps, so inference leaves the
    module untouched and batches never leak into each other.

    Attributes:
        decay: tau_decay in [0, 1].
        threshold: V_th > 0; fires where the potential is strictly above it.
        surrogate_width: Window ``a`` > 0 of the surrogate derivative (eq. 16).

    Raises:
        UsageError: A constant is out of its range.
    """

    def __init__(
        self, *, decay: float = 0.25, threshold: float = 1.0, surrogate_width: float = 1.0
    ) -> None:
        super().__init__()
        if not 0 <= decay <= 1:
            msg = f"LIF: decay must lie in [0, 1], got {decay}"
            raise UsageError(msg)
        if not (threshold > 0 and surrogate_width > 0):
            msg = (
                "LIF: threshold and surrogate_width must be positive, "
                f"got {threshold} and {surrogate_width}"
            )
            raise UsageError(msg)
        self.decay = decay
        self.threshold = threshold
        self.surrogate_width = surrogate_width

    def forward(self, x: Tensor) -> Tensor:
        """Spikes (0.0 or 1.0) of pre-activations, [T, N, ...] -> [T, N, ...]."""
        return lif_sequence(
            x,
            decay=self.decay,
            threshold=self.threshold,
            surrogate_width=self.surrogate_width,
        )

    @property
    def spec(self) -> NeuronSpec | None:
        """The constants; ``None`` if one of them is a tensor of several values."""
        constants = self.decay, self.threshold, self.surrogate_width
        if any(torch.as_tensor(constant).numel() > 1 for constant in constants):
            return None
        decay, threshold, width = map(float, constants)
        return NeuronSpec(decay=decay, threshold=threshold, surrogate_width=width)

    def extra_repr(self) -> str:
        """Constants for ``repr``."""
        return (
            f"decay={self.decay}, threshold={self.threshold}, "
            f"surrogate_width={self.surrogate_width}"
        )


class IF(LIF):
    """Integrate-and-fire layer with hard reset: an ``LIF`` whose potential does not decay."""

    def __init__(self, *, threshold: float = 1.0, surrogate_width: float = 1.0) -> None:
        super().__init__(decay=1.0, threshold=threshold, surrogate_width=surrogate_width)
