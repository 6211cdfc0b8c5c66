"""Dynamics of neurons in the field's terms, by which kernels are chosen; no count depends on it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from numbers import Real
from typing import Literal, get_args

from snnbench.core.errors import UsageError

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
        UsageError: The kind of reset is unknown, a constant is not a number, or an input gain is
            not positive.
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
        for name in ("decay", "input_gain", "threshold", "reset_value"):
            constant = getattr(self, name)
            values = constant if isinstance(constant, tuple) else (constant,)
            numbers = values and all(isinstance(x, Real) and x == x for x in values)  # noqa: PLR0124
            if not (numbers or (name == "reset_value" and constant is None)):
                msg = f"{name} must be a number or a tuple of one per channel, got {constant!r}"
                raise UsageError(msg)
            if name == "input_gain" and min(values) <= 0:
                msg = f"input_gain must be positive, got {constant}"
                raise UsageError(msg)

    @property
    def kind(self) -> str:
        """The dynamics in words, without the constants; kernels are looked up by it."""
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
