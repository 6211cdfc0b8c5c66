"""Which neurons the kernels know, and what they are given for them."""

from __future__ import annotations

import re

import pytest
import torch
from support.neurons import Adaptive, AtThreshold, DecayedInput, Louder, Named, SoftReset
from torch import nn

from snnbench.engine.dense.lif import lif_spikes
from snnbench.engine.neurons import kernel_constants, known_spec, without_kernels
from snnbench.nn.neuron import IF, LIF, Neuron
from snnbench.nn.neuron_spec import NeuronSpec


class Described(Neuron):
    """Neurons with a spec to try."""

    def __init__(self, spec: NeuronSpec) -> None:
        super().__init__()
        self._spec = spec

    @property
    def spec(self) -> NeuronSpec:
        return self._spec


@pytest.mark.parametrize("neuron", [LIF(), IF(), Named(), AtThreshold(), DecayedInput()])
def test_hard_reset_to_zero_is_known(neuron: Neuron) -> None:
    assert without_kernels(neuron) is None
    assert known_spec(neuron) == neuron.spec


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (Adaptive(), "Adaptive: it has no spec of its dynamics"),
        (Louder(), "Louder: it has no spec of its dynamics"),
        (SoftReset(2), "neurons with reset by subtraction, decay per channel"),
        (Described(NeuronSpec(threshold=(0.5, 1.0))), "neurons with .*, threshold per channel"),
        (Described(NeuronSpec(input_gain=(0.5, 1.0))), "neurons with .*, input gain per channel"),
        (Described(NeuronSpec(reset_value=0.5)), "neurons with reset to a value"),
        (Described(NeuronSpec(reset="none")), "neurons with no reset"),
    ],
)
def test_other_dynamics_are_named(module: Neuron, reason: str) -> None:
    assert re.fullmatch(f"no event kernel for {reason}", without_kernels(module) or "")
    assert known_spec(module) is None


def test_other_modules_and_graded_spikes_are_not_known() -> None:
    assert known_spec(nn.ReLU()) is None
    lif = LIF()
    lif.graded = True
    assert without_kernels(lif) == "no event kernel for graded spikes"


def test_a_forward_of_the_instance_has_no_kernels() -> None:
    lif = LIF()
    lif.forward = torch.ones_like
    assert without_kernels(lif) == "no event kernel for LIF: it has no spec of its dynamics"


def test_constants_of_a_lif_are_its_own() -> None:
    spec = LIF(decay=0.3, threshold=0.7).spec
    assert spec is not None
    for dtype in (torch.float32, torch.float64):
        assert kernel_constants(spec, dtype) == (0.3, 0.7)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_a_threshold_that_fires_is_the_number_below_it(dtype: torch.dtype) -> None:
    decay, threshold = kernel_constants(NeuronSpec(input_gain=0.5, strict=False), dtype)
    at, below = torch.tensor(2.0, dtype=dtype), torch.tensor(threshold, dtype=dtype)
    assert decay == 1.0
    assert below < at
    assert torch.nextafter(below, at) == at


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize(
    "neuron", [AtThreshold(), DecayedInput(decay=0.5, threshold=0.125), IF(threshold=0.5)]
)
def test_the_dense_kernel_computes_what_they_compute(neuron: Neuron, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    x = (torch.randint(-2, 3, (4, 2, 3, 5, 5), generator=generator) / 4).to(dtype)
    spec = known_spec(neuron)
    assert spec is not None
    assert torch.equal(lif_spikes(x, spec), neuron(x))
    assert 0 < neuron(x).mean() < 1
