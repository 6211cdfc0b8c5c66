"""Spiking neurons as modules on [T, N, ...] pre-activations, without state between calls."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from snnbench.core.errors import UsageError
from snnbench.nn.functional import lif_sequence

Constant = float | tuple[float, ...]
"""One value for all neurons of a layer, or one for each channel."""
Reset = Literal["value", "subtract", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NeuronSpec:
    """Dynamics of integrate-and-fire neurons, for kernels that compute them another way.

    Potentials are measured from rest, where they are before the first timestep::

        u[t] = decay * v[t-1] + input_gain * x[t]
        s[t] = u[t] > threshold         (strict; otherwise >=)
        v[t] = reset_value where s[t] else u[t]     (reset "value")
               u[t] - reset_value * s[t]            (reset "subtract")
               u[t]                                 (reset "none")

    So a time constant ``tau`` that decays the input as well is ``decay=1 - 1 / tau`` with
    ``input_gain=1 / tau``, and a subtraction that comes after the decay of the next timestep is
    that of ``reset_value=threshold / decay``.

    Attributes:
        decay: What is left of a potential after a timestep.
        input_gain: Factor of the currents.
        threshold: V_th.
        reset: What a spike does to the potential.
        reset_value: Potential after a spike, 0 by default; or what a spike subtracts, the
            threshold by default.
        strict: Whether a potential at the threshold does not fire.
        surrogate_width: Window ``a`` of the rectangular surrogate derivative (ZH21 eq. 16);
            ``None`` if the neuron is trained with another one.
        detach_reset: Whether gradients do not flow through the reset.

    Raises:
        UsageError: The kind of reset is unknown, or an input gain is not positive.
    """

    decay: Constant = 1.0
    input_gain: Constant = 1.0
    threshold: Constant = 1.0
    reset: Reset = "value"
    reset_value: Constant | None = None
    strict: bool = True
    surrogate_width: float | None = None
    detach_reset: bool = False

    def __post_init__(self) -> None:
        if self.reset not in get_args(Reset):
            msg = f"reset must be one of {', '.join(get_args(Reset))}, got {self.reset!r}"
            raise UsageError(msg)
        gains = self.input_gain if isinstance(self.input_gain, tuple) else (self.input_gain,)
        if not all(gain > 0 for gain in gains):
            msg = f"input_gain must be positive, got {self.input_gain}"
            raise UsageError(msg)

    @property
    def kind(self) -> str:
        """What spikes follow from, without the constants: kernels are looked up by it."""
        zero = self.reset_value in (None, 0)
        resets = {
            "value": "reset to zero" if zero else "reset to a value",
            "subtract": "reset by subtraction",
            "none": "no reset",
        }
        words = [resets[self.reset]]
        words += [] if self.strict else ["fires at the threshold"]
        words += [] if self.input_gain == 1 else ["input gain"]
        names = [
            field.name for field in fields(self) if isinstance(getattr(self, field.name), tuple)
        ]
        return ", ".join(words + [f"{name.replace('_', ' ')} per channel" for name in names])


LIF_KIND = NeuronSpec().kind
"""Dynamics of ``LIF`` and ``IF``."""


class Neuron(nn.Module):
    """A layer of spiking neurons: the base of all that profiler, twin, engine and training know.

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
        """What takes the place of these neurons in the ANN twin of a network."""
        return nn.ReLU()


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
