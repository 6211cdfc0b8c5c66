"""Pure neuron dynamics: the iterative LIF of Zheng et al. (AAAI 2021, ZH21), equations 1-3 and 16.

Nothing here keeps state. ``v`` is always the potential left after the reset, ``u * (1 - o)``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _RectangularSpike(torch.autograd.Function):
    """Step function forward (eq. 3), rectangular window backward (eq. 16)."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, threshold: float, width: float) -> Tensor:
        ctx.save_for_backward(u)
        ctx.threshold, ctx.width = threshold, width
        return (u > threshold).to(u.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (u,) = ctx.saved_tensors
        window = (u - ctx.threshold).abs() < ctx.width / 2
        return grads[0] * window / ctx.width, None, None


def spike(u: Tensor, *, threshold: float = 1.0, surrogate_width: float = 1.0) -> Tensor:
    """Spikes of membrane potentials.

    Args:
        u: Membrane potential, any shape.
        threshold: V_th; a neuron fires where ``u > threshold``, strictly (ZH21 eq. 3).
        surrogate_width: ``a`` of the surrogate derivative
            ``do/du = 1/a where |u - V_th| < a/2, else 0`` (ZH21 eq. 16).

    Returns:
        0.0 or 1.0, shape and dtype of ``u``.
    """
    spikes: Tensor = _RectangularSpike.apply(u, threshold, surrogate_width)  # type: ignore[no-untyped-call]
    return spikes


def lif_step(
    x: Tensor,
    v: Tensor,
    *,
    decay: float = 0.25,
    threshold: float = 1.0,
    surrogate_width: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """One timestep of a leaky integrate-and-fire neuron with hard reset (ZH21 eq. 1-3).

    Args:
        x: Pre-activation of this timestep, any shape.
        v: Potential left from the timestep before, ``u[t-1] * (1 - o[t-1])``; zeros at first.
        decay: tau_decay.
        threshold: V_th.
        surrogate_width: Window of the surrogate derivative.

    Returns:
        Spikes of this timestep and the potential left after the reset, both shaped like ``x``.
    """
    u = torch.add(x, v, alpha=decay)
    spikes = spike(u, threshold=threshold, surrogate_width=surrogate_width)
    return spikes, u * (1 - spikes)


def lif_sequence(
    x: Tensor, *, decay: float = 0.25, threshold: float = 1.0, surrogate_width: float = 1.0
) -> Tensor:
    """All timesteps of ``lif_step`` from a potential of zero.

    Args:
        x: Pre-activations, [T, ...].
        decay: tau_decay.
        threshold: V_th.
        surrogate_width: Window of the surrogate derivative.

    Returns:
        Spikes, shape and dtype of ``x``; ``x`` is left as it is.
    """
    if not (torch.is_grad_enabled() and x.requires_grad):
        return _lif_inference(x, decay, threshold)
    v = torch.zeros_like(x[0])
    spikes = []
    for current in x:
        fired, v = lif_step(
            current, v, decay=decay, threshold=threshold, surrogate_width=surrogate_width
        )
        spikes.append(fired)
    return torch.stack(spikes)


def _lif_inference(x: Tensor, decay: float, threshold: float) -> Tensor:
    # The arithmetic of lif_step in three passes a timestep over two private buffers:
    # u - u * o equals u * (1 - o) exactly for o in {0, 1} and saves a temporary.
    spikes = torch.empty_like(x)
    v = torch.empty_like(x[0])
    for t, fired in enumerate(spikes):
        u = x[0] if t == 0 else torch.add(x[t], v, alpha=decay, out=v)
        torch.gt(u, threshold, out=fired)
        torch.addcmul(u, u, fired, value=-1, out=v)
    return spikes
