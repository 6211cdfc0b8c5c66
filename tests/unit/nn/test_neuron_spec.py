from dataclasses import replace

import pytest
import torch
from support.neurons import AtThreshold, DecayedInput, SoftReset, spikes_by_spec

from snnbench.core.errors import UsageError
from snnbench.nn.neuron import IF, LIF, Neuron
from snnbench.nn.neuron_spec import NeuronSpec


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        (LIF().spec, "reset to zero"),
        (IF(threshold=0.3).spec, "reset to zero"),
        (NeuronSpec(detach_reset=True), "reset to zero"),
        (NeuronSpec(reset_value=0.5), "reset to a value"),
        (NeuronSpec(reset_value=(0.0, 0.5)), "reset to a value, reset value per channel"),
        (NeuronSpec(reset="none", input_gain=0.5), "no reset, input gain"),
        (AtThreshold().spec, "reset to zero, fires at the threshold"),
        (SoftReset(3).spec, "reset by subtraction, decay per channel"),
    ],
)
def test_kinds_of_dynamics_leave_constants_out(spec: NeuronSpec, kind: str):
    assert spec.kind == kind


@pytest.mark.parametrize("wrong", ["a", None, (), (0.5, float("nan")), torch.tensor(0.5)])
@pytest.mark.parametrize("name", ["decay", "input_gain", "threshold"])
def test_constants_are_numbers(name: str, wrong: object):
    with pytest.raises(UsageError, match=f"{name} must be a number or a tuple"):
        NeuronSpec(**{name: wrong})  # type: ignore[arg-type]


def test_an_unknown_reset_is_refused():
    with pytest.raises(UsageError, match="reset must be one of value, subtract, none, got 'soft'"):
        NeuronSpec(reset="soft")  # type: ignore[arg-type]


@pytest.mark.parametrize("gain", [0.0, -1.0, (1.0, 0.0)])
def test_a_gain_that_turns_currents_around_is_refused(gain: float):
    with pytest.raises(UsageError, match="input_gain must be positive"):
        NeuronSpec(input_gain=gain)


@pytest.mark.parametrize(
    "neuron",
    [
        *(LIF(), LIF(decay=0.5, threshold=0.3), IF(), AtThreshold(), SoftReset(3)),
        DecayedInput(decay=0.5, threshold=0.25),
    ],
)
def test_a_spec_says_what_its_forward_does(neuron: Neuron):
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-4, 6, (6, 2, 3, 5, 5), generator=generator).double() / 4
    with torch.no_grad():
        spikes = neuron.double()(x)
    assert neuron.spec is not None
    assert torch.equal(spikes, spikes_by_spec(neuron.spec, x))
    other = replace(neuron.spec, threshold=2 * neuron.spec.threshold)
    assert not torch.equal(spikes, spikes_by_spec(other, x))
