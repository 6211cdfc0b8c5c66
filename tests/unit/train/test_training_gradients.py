"""The gradient of the plain neurons: against finite differences, and against eq. 14-16 by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from snnbench.nn import functional
from snnbench.nn.functional import lif_sequence, spike
from snnbench.nn.neuron import LIF
from snnbench.train.fast.fused import spikes_of

DECAY, THRESHOLD, WIDTH = 0.4, 1.0, 0.8


def ramp(u: Tensor, *, threshold: float = 1.0, surrogate_width: float = 1.0) -> Tensor:
    """The function whose derivative is the window of eq. 16: from 0 to 1 across the window."""
    return ((u - threshold) / surrogate_width + 0.5).clamp(0, 1)


def potentials(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, generator=generator, dtype=torch.float64) * 3 - 0.5


def test_the_window_is_the_derivative_of_the_ramp():
    u = potentials(200)
    grads = []
    for step in (spike, ramp):
        x = u.clone().requires_grad_()
        step(x, threshold=THRESHOLD, surrogate_width=WIDTH).sum().backward()
        grads.append(x.grad)
    assert torch.equal(grads[0], grads[1])
    assert set(grads[0].tolist()) == {0.0, 1 / WIDTH}


@pytest.mark.parametrize("T", [1, 2, 5])
def test_backpropagation_through_time_against_finite_differences(
    monkeypatch: pytest.MonkeyPatch, T: int
):
    monkeypatch.setattr(functional, "spike", ramp)
    x = potentials(T * 40).view(T, 40).requires_grad_()

    def smoothed(currents: Tensor) -> Tensor:
        return lif_sequence(currents, decay=DECAY, threshold=THRESHOLD, surrogate_width=WIDTH)

    y = smoothed(x)
    assert ((y > 0) & (y < 1)).any()
    assert torch.autograd.gradcheck(smoothed, (x,), eps=1e-7, atol=1e-6)


def by_hand(x: list[float], grads: list[float]) -> list[float]:
    """Eq. 14-16 for one neuron and three timesteps, written out."""

    def window(u: float) -> float:
        return 1 / WIDTH if abs(u - THRESHOLD) < WIDTH / 2 else 0.0

    u1 = x[0]
    o1 = float(u1 > THRESHOLD)
    u2 = DECAY * u1 * (1 - o1) + x[1]
    o2 = float(u2 > THRESHOLD)
    u3 = DECAY * u2 * (1 - o2) + x[2]
    # dL/do[t] has what leaves the layer, and what the spike takes from the next potential
    du3 = grads[2] * window(u3)
    do2 = grads[1] - du3 * DECAY * u2
    du2 = do2 * window(u2) + du3 * DECAY * (1 - o2)
    do1 = grads[0] - du2 * DECAY * u1
    du1 = do1 * window(u1) + du2 * DECAY * (1 - o1)
    return [du1, du2, du3]


def plain(x: Tensor) -> Tensor:
    return lif_sequence(x, decay=DECAY, threshold=THRESHOLD, surrogate_width=WIDTH)


def fused(x: Tensor) -> Tensor:
    neuron = LIF(decay=DECAY, threshold=THRESHOLD, surrogate_width=WIDTH)
    return spikes_of([x.view(*x.shape, 1, 1, 1)], [None], neuron.spec).view(x.shape)


@pytest.mark.parametrize("neurons", [plain, fused])
def test_three_timesteps_against_the_equations_written_out(neurons: Any):
    x = potentials(300, seed=1).view(3, 100).requires_grad_()
    grads = potentials(300, seed=2).view(3, 100)
    spikes = neurons(x)
    spikes.backward(grads)
    want = [by_hand(x[:, n].tolist(), grads[:, n].tolist()) for n in range(100)]
    torch.testing.assert_close(x.grad, torch.tensor(want).double().T, rtol=1e-6, atol=1e-6)
    assert 0.1 < spikes.mean() < 0.9
    assert (x.grad == 0).any()


def test_the_reset_path_is_not_detached():
    # at t=1 the potential is inside the window: its spike would take all of the next potential
    x = torch.tensor([[0.9], [0.9]], dtype=torch.float64, requires_grad=True)
    for neurons in (plain, fused):
        (grad,) = torch.autograd.grad(neurons(x)[1].sum(), x)
        through_leak = DECAY / WIDTH
        through_reset = -0.9 * DECAY / WIDTH / WIDTH
        torch.testing.assert_close(
            grad[0, 0], torch.tensor(through_leak + through_reset, dtype=torch.float64)
        )
