"""Neurons without event kernels run densely in the engine, between layers that run by events."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from support.engine_nets import dense_run, lively
from support.neurons import Adaptive, AtThreshold, DecayedInput, Louder, Named, SoftReset
from torch import Tensor, nn

import snnbench
from snnbench.core.errors import StructureError
from snnbench.engine.lowering.lower import lower
from snnbench.engine.plan import DenseStep, EventCurrent, SpikeScale
from snnbench.nn.blocks import PerTimestep
from snnbench.nn.fold import fold_batch_norm
from snnbench.nn.layout import FRAMES
from snnbench.nn.neuron import LIF, Neuron
from snnbench.run.config import configure
from snnbench.run.engine_pass import check_engine, run_engine
from snnbench.zoo.registry import get

T, N, C = 4, 2, 20
MODES = ("dense", "event", "auto")


class Between(nn.Module):
    """LIF, the neurons in question, LIF; the last reads the first ones' spikes as well."""

    def __init__(self, neuron: Neuron) -> None:
        super().__init__()
        self.encode = PerTimestep(nn.Conv2d(2, C, 3, padding=1))
        self.first = LIF(threshold=0.5)
        self.before = PerTimestep(nn.Conv2d(C, C, 3, padding=1))
        self.neuron = neuron
        self.after = PerTimestep(nn.Conv2d(C, C, 3, padding=1))
        self.last = LIF(threshold=0.5)
        self.head = nn.Linear(C * 36, 3)

    def forward(self, x: Tensor) -> Tensor:
        spikes = self.first(self.encode(x))
        spikes = self.last(self.after(self.neuron(self.before(spikes))) + spikes)
        return self.head(spikes.flatten(2)).mean(0)


NEURONS = {
    "adaptive": (Adaptive(), "no event kernel for Adaptive: it has no spec of its dynamics"),
    "soft reset": (
        SoftReset(C),
        "no event kernel for neurons with reset by subtraction, decay per channel",
    ),
}
neurons = pytest.mark.parametrize("name", NEURONS)


def frames() -> Tensor:
    return torch.rand(T, N, 2, 6, 6, generator=torch.Generator().manual_seed(7))


def network(name: str) -> nn.Module:
    return lively(Between(copy.deepcopy(NEURONS[name][0])))


@neurons
@pytest.mark.parametrize("mode", MODES)
def test_no_spike_flips_in_double_precision(name: str, mode: str) -> None:
    model, x = network(name).double(), frames().double()
    engine = snnbench.compile(model, 1 - x, weights_dtype="float64", mode=mode)
    output, spikes = dense_run(model, x)
    assert all(0.01 < fired.double().mean() < 0.99 for fired in spikes.values())
    for compiled in (engine, pickle.loads(pickle.dumps(engine))):
        ours = compiled.spikes(x)
        assert ours.keys() == spikes.keys() == {"first", "neuron", "last"}
        assert all(torch.equal(ours[name], fired) for name, fired in spikes.items())
        torch.testing.assert_close(compiled(x), output)


@neurons
def test_the_layers_around_run_by_events_and_add_what_the_profiler_counts(name: str) -> None:
    model, x = network(name), frames()
    engine = snnbench.compile(model, x, mode="event")
    _, last = engine.plan.neuron_steps
    assert [type(c) for c in last.currents] == [EventCurrent, SpikeScale]
    (dense,) = (s for s in engine.plan.steps if s.name == "neuron")
    assert engine.plan.values[dense.output].kind == "spikes"
    assert last.currents[0].source == dense.output
    assert [(choice.name, choice.event) for choice in engine.choices] == [
        ("first", True),
        ("last", True),
    ]
    with snnbench.profile(model, layout="TN") as p, torch.no_grad():
        model(x)
    effective = {row.name: row.effective.acs for row in p.result.layers}
    executed = {adds.layer: adds.executed for adds in engine.count(x)}
    assert executed == {"after.0": effective["after.0"]}
    assert executed["after.0"] > 0


@neurons
def test_the_plan_says_why(name: str) -> None:
    model, reason = network(name), NEURONS[name][1]
    engine = snnbench.compile(model, frames(), mode="event")
    steps = {step.name: step for step in engine.plan.steps}
    assert steps["neuron"].reason == reason
    assert steps["before.0"].reason == "its neurons run densely"
    row = next(line for line in engine.explain().splitlines() if line.startswith(" neuron "))
    assert type(model.neuron).__name__ in row
    assert reason[:50] in row
    with pytest.raises(StructureError, match="'neuron' cannot run by events: no event kernel for"):
        snnbench.compile(model, frames(), strict=True)


@neurons
def test_a_run_records_what_ran_and_finds_no_difference(name: str) -> None:
    folded, x = fold_batch_norm(network(name)).model, frames()
    config = configure(
        get("resnet19"), timesteps=T, threads=1, engine="event", weights_dtype="float64"
    )
    with torch.no_grad():
        _, record = run_engine(folded.double(), x.double(), FRAMES, config)
    assert (record.flipped_spikes, record.flipped_by_rounding) == (0, 0)
    assert record.spike_sites == 3 * T * N * C * 36
    steps = {step.name: step for step in record.steps}
    assert steps["neuron"].reason == NEURONS[name][1]
    assert steps["neuron"].layers == ()
    assert steps["last"].input_spikes > 0  # those that the dense step has put out
    (check,) = check_engine(record)
    assert check.ok


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "neuron", [Named(decay=0.5), AtThreshold(), DecayedInput(decay=0.7, threshold=0.3)]
)
def test_dynamics_that_kernels_know_run_by_events_whatever_their_class(
    neuron: Neuron, mode: str
) -> None:
    model, x = lively(Between(neuron)).double(), frames().double()
    engine = snnbench.compile(model, 1 - x, weights_dtype="float64", mode=mode, strict=True)
    assert [step.name for step in engine.plan.neuron_steps] == ["first", "neuron", "last"]
    output, spikes = dense_run(model, x)
    assert 0.01 < spikes["neuron"].double().mean() < 0.99
    assert all(torch.equal(fired, spikes[name]) for name, fired in engine.spikes(x).items())
    torch.testing.assert_close(engine(x), output)


@pytest.mark.parametrize("weights_dtype", ["float32", "float64"])
@pytest.mark.parametrize("mode", MODES)
def test_potentials_at_the_threshold_fire_in_every_kernel(mode: str, weights_dtype: str) -> None:
    """Currents are quarters, so that half of all potentials are at a threshold of a quarter."""
    x = torch.randint(-2, 3, (T, N, C, 3, 3), generator=torch.Generator().manual_seed(0)) / 4
    for own, other in (
        (AtThreshold(), LIF(decay=0.5, threshold=0.25)),
        (DecayedInput(decay=0.5, threshold=0.125), LIF(decay=0.5, threshold=0.25)),
    ):
        expected = own(x)
        assert (expected != other(x)).float().mean() > 0.1
        engine = snnbench.compile(nn.Sequential(own), x, mode=mode, weights_dtype=weights_dtype)
        assert torch.equal(engine(x), expected)


def test_a_threshold_for_each_channel_runs_densely() -> None:
    lif = LIF()
    lif.threshold = torch.linspace(0.2, 1.5, C).view(C, 1, 1)
    model, x = lively(Between(lif)), frames()
    engine = snnbench.compile(model, x, mode="event")
    assert "no event kernel for LIF: it has no spec" in engine.explain()
    assert torch.equal(engine.spikes(x)["neuron"], dense_run(model, x)[1]["neuron"])


@pytest.mark.parametrize("mode", MODES)
def test_what_graded_spikes_feed_runs_densely(mode: str) -> None:
    model, x = lively(Between(Louder(threshold=0.5))), frames()
    engine = snnbench.compile(model, x, mode=mode)
    reasons = {s.name: s.reason for s in engine.plan.steps if isinstance(s, DenseStep)}
    assert reasons["after.0"] == "its input is not spikes"
    assert engine.spikes(x).keys() == {"first", "last"}
    torch.testing.assert_close(engine(x), dense_run(model, x)[0], rtol=1e-4, atol=1e-5)


def test_graded_spikes_of_known_dynamics_are_no_bits() -> None:
    lif = Named()
    lif.graded = True
    plan = lower(lively(Between(lif)), frames())
    (step,) = (s for s in plan.steps if s.name == "neuron")
    assert isinstance(step, DenseStep)
    assert step.reason == "no event kernel for graded spikes"


class Undeclared(Louder):
    graded = False


def test_other_values_than_spikes_are_refused() -> None:
    model = lively(Between(Undeclared(threshold=0.5)))
    with pytest.raises(
        StructureError,
        match=r"'neuron' outputs values other than 0 and 1: set Undeclared\.graded = True",
    ):
        snnbench.compile(model, frames(), mode="event")


@pytest.mark.parametrize("mode", MODES)
def test_a_network_of_nothing_but_such_neurons(mode: str) -> None:
    shared = Adaptive()
    model = nn.Sequential(shared, PerTimestep(nn.Flatten(), nn.Linear(72, 8)), shared).eval()
    x = frames()
    engine = snnbench.compile(model, x, mode=mode)
    assert engine.choices == engine.count(x) == ()
    assert engine.spikes(x).keys() == {"0", "0#2"}
    assert torch.equal(engine(x), model(x))


def test_neurons_of_tokens_put_out_spikes_too() -> None:
    """[T, N, L, F] has no masks, but what comes after a reshaping has."""
    model = nn.Sequential(LIF(threshold=0.5), nn.Flatten(2), PerTimestep(nn.Linear(72, 8)), LIF())
    x = frames().flatten(3)
    engine = snnbench.compile(model.eval(), x, mode="event")
    (step,) = engine.plan.neuron_steps
    assert isinstance(step.currents[0], EventCurrent)
    assert "neurons of shape [2, 36] for each sample" in engine.explain()
    assert torch.equal(engine(x), model(x))
