"""What a user's own forward does that could reach further than its own step."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest
import torch
from support.engine_nets import lively, margin, quarters
from torch import Tensor, nn
from torch.nn import functional

import snnbench
from snnbench.core.errors import StructureError, UsageError
from snnbench.engine.runtime import Mode, WeightsDtype
from snnbench.nn.blocks import PerTimestep
from snnbench.nn.neuron import LIF

Forward = Callable[["Own", Tensor], Tensor]
both_modes = pytest.mark.parametrize("mode", ["event", "dense"])


class Own(nn.Module):
    """Layers, and how they are called."""

    def __init__(self, forward: Forward) -> None:
        super().__init__()
        self.conv = PerTimestep(nn.Conv2d(4, 4, 3, padding=1))
        self.next = PerTimestep(nn.Conv2d(4, 4, 3, padding=1))
        self.act = PerTimestep(nn.LeakyReLU(0.125, inplace=True))
        self.weight = nn.Parameter(lively(nn.Conv2d(4, 4, 3), seed=1).weight)
        self.lif, self.lif2 = LIF(threshold=0.3), LIF(threshold=0.2)
        self.how = forward
        lively(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.how(self, x)


def inputs(timesteps: int = 3, samples: int = 2) -> Tensor:
    return quarters(timesteps, samples, 4, 6, 6) - 0.5


def activates_the_input(m: Own, x: Tensor) -> Tensor:
    return m.lif(m.conv(m.act(x)))  # type: ignore[no-any-return]


def activates_what_it_has_copied(m: Own, x: Tensor) -> Tensor:
    y = m.conv(x)
    copied = y.clone()
    return m.lif(m.act(y) + copied)  # type: ignore[no-any-return]


@both_modes
@pytest.mark.parametrize("forward", [activates_the_input, activates_what_it_has_copied])
def test_layers_in_place_change_nothing_else(forward: Forward, mode: Mode) -> None:
    model, x = Own(forward).eval(), inputs()
    with torch.no_grad():
        expected = model(x.clone())
    assert 0.05 < expected.mean() < 0.95
    assert margin(model, x.clone()) > 1e-4
    engine = snnbench.compile(model, x, mode=mode)
    assert torch.equal(engine(x), expected)
    assert torch.equal(x, inputs())


def calls_a_function_with_a_parameter(m: Own, x: Tensor) -> Tensor:
    y = functional.conv2d(x.flatten(0, 1), m.weight, padding=1).unflatten(0, x.shape[:2])
    return m.lif2(m.next(m.lif(y)))  # type: ignore[no-any-return]


@both_modes
@pytest.mark.parametrize("weights_dtype", ["float32", "float64"])
def test_functions_of_parameters_in_either_precision(
    mode: Mode, weights_dtype: WeightsDtype
) -> None:
    model, x = Own(calls_a_function_with_a_parameter).eval(), inputs()
    engine = snnbench.compile(model, x, mode=mode, weights_dtype=weights_dtype)
    with torch.no_grad():
        expected = model.double()(x.double())
    assert 0.05 < expected.mean() < 0.95
    assert margin(model, x) > 1e-4
    for copied in (engine, pickle.loads(pickle.dumps(engine))):
        assert torch.equal(copied(x), expected.float())


@both_modes
def test_time_and_batch_swapped_unseen_are_refused_at_the_call(mode: Mode) -> None:
    """With N = T the example cannot show it; kernels would read beyond the currents."""
    engine = snnbench.compile(
        Own(lambda m, x: m.lif(m.conv(x).transpose(0, 1))).eval(), inputs(2, 2), mode=mode
    )
    for samples in (1, 3):
        with pytest.raises(StructureError, match=r"'transpose' made .* keep time and batch"):
            engine(inputs(2, samples))


@both_modes
def test_inputs_too_large_for_single_precision_are_refused(mode: Mode) -> None:
    engine = snnbench.compile(Own(activates_the_input).eval(), inputs(), mode=mode)
    with pytest.raises(UsageError, match=r"infinity in torch\.float32"):
        engine(inputs().double() * 1e300)
