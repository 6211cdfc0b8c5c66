"""What a run records of the engine, from an engine made by hand."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from snnbench.engine.plan import DenseCurrent, DenseStep, EventCurrent, NeuronStep, Plan, Value
from snnbench.nn.blocks import PerTimestep
from snnbench.nn.layout import IMAGES
from snnbench.nn.neuron import LIF
from snnbench.nn.neuron_spec import NeuronSpec
from snnbench.run.config import configure
from snnbench.run.engine_pass import check_engine, run_engine
from snnbench.zoo import registry

T, C = 3, 4
SPEC = NeuronSpec(decay=0.25, threshold=0.2)


class Network(nn.Sequential):
    """Encoding convolution and neurons, then a convolution of their spikes and neurons."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(
            PerTimestep(nn.Conv2d(3, C, 3, padding=1)), LIF(threshold=0.2),
            PerTimestep(nn.Conv2d(C, C, 3)), LIF(threshold=0.2),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.expand(T, *x.shape)).mean(dim=0)


@dataclass
class Adds:
    layer: str
    executed: int
    padding: int


@dataclass
class StepTime:
    name: str
    kernel: str
    seconds: tuple[float, ...]


class Engine(nn.Module):
    """As fast as said, with the additions of a brute-force count, and one more if ``wrong``.

    ``early`` neurons of the first layer and ``late`` ones of the last fire otherwise than they
    should.
    """

    def __init__(
        self, network: Network, mode: str, *, wrong: int = 0, early: int = 0, late: int = 0
    ) -> None:
        super().__init__()
        self.network, self.mode, self.wrong = network, mode, wrong
        self.early, self.late = early, late
        self.choices = [SimpleNamespace(name=name, event=mode != "dense") for name in "13"]
        layer = network[2][0]
        self.plan = Plan(
            values=(
                Value(name="input", kind="dense", shape=(3, 6, 6), static=True),
                Value(name="0", kind="dense", shape=(C, 6, 6), static=True),
                Value(name="1", kind="spikes", shape=(C, 6, 6)),
                Value(name="3", kind="spikes", shape=(C, 4, 4)),
            ),
            steps=(
                DenseStep(name="0.0", module=network[0], inputs=(0,), output=1, reason="dense"),
                NeuronStep(
                    name="1", currents=(DenseCurrent(source=1),), bias=torch.zeros(C),
                    spec=SPEC, output=2,
                ),
                NeuronStep(
                    name="3",
                    currents=(EventCurrent(source=2, layer="2.0", weight=layer.weight),),
                    bias=layer.bias, spec=SPEC, output=3,
                ),
            ),
            input=0, output=3, timesteps=T,
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)

    def spikes(self, x: Tensor) -> dict[str, Tensor]:
        first = self.network[1](self.network[0](x.expand(T, *x.shape)))
        fired = first != 0
        fired.view(-1)[: self.early] ^= True
        second = self.network[3](self.network[2](fired.float())) != 0
        second.view(-1)[: self.late] ^= True
        return {"1": fired, "3": second}

    def count(self, x: Tensor) -> tuple[Adds, ...]:
        if self.mode == "dense":
            return ()
        spikes = self.spikes(x)["1"].float().flatten(0, 1)
        ones = torch.ones_like(self.network[2][0].weight)
        adds = int(nn.functional.conv2d(spikes, ones).sum()) + self.wrong
        return (Adds(layer="2.0", executed=adds, padding=7),)

    def time_steps(self, x: Tensor, runs: int) -> tuple[StepTime, ...]:
        kernel = "dense" if self.mode == "dense" else "event"
        seconds = 0.004 if self.mode == "dense" else 0.001
        return tuple(
            StepTime(name=step.name, kernel=kernel if step.name == "3" else "dense",
                     seconds=(seconds,) * runs)
            for step in self.plan.steps
        )  # fmt: skip


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch):
    def run(mode: str = "event", **faults: int):
        def compiled(network, example, *, weights_dtype, mode, threads):
            assert (weights_dtype, threads) == ("float32", 1)
            return Engine(network, mode, **faults)

        monkeypatch.setattr("snnbench.engine.runtime.compile", compiled)
        config = configure(registry.get("resnet19"), timesteps=T, threads=1, engine=mode)
        with torch.inference_mode():
            return run_engine(Network(), torch.randn(1, 3, 6, 6), IMAGES, config)[1]

    return run


def test_steps_hold_what_ran_and_what_it_executed(engine):
    run = engine()
    encoding, first, second = run.steps
    (layer,) = encoding.layers
    assert (encoding.reason, layer.name) == ("dense", "0.0")
    assert layer.executed_macs == 3 * C * 9 * 6 * 6  # once, not T times
    assert (layer.executed_adds, layer.expected_adds) == (0, None)
    assert (first.layers, first.input_spikes) == ((), None)
    assert (second.kernel, second.reason) == ("event", None)
    (layer,) = second.layers
    assert layer.executed_adds == layer.expected_adds > 0
    assert (layer.padding_adds, layer.executed_macs) == (7, 0)
    assert second.input_sites == T * C * 6 * 6
    assert 0 < second.input_spikes < second.input_sites
    assert second.raw_seconds == (0.001,) * 9
    assert second.dense_raw_seconds == (0.004,) * 9
    assert run.compile_s > 0
    (check,) = check_engine(run)
    assert check.ok


def test_the_run_says_how_far_it_is_from_the_dense_network(engine):
    run = engine()
    assert (run.flipped_spikes, run.output_max_abs_difference) == (0, 0)
    assert run.spike_sites == T * C * (6 * 6 + 4 * 4)
    assert run.adds_ceiling_per_s > 0
    assert (run.mode, run.weights_dtype, run.threads, run.batch_size) == ("event", "float32", 1, 1)
    late = engine(late=5)
    assert (late.flipped_spikes, late.flipped_by_rounding) == (5, 5)


def test_a_flip_that_changes_later_spikes_is_told_from_those(engine):
    early = engine(early=60)
    assert early.flipped_by_rounding == 60
    assert early.flipped_spikes > 60
    (check,) = check_engine(early)  # of the spikes that the engine fired
    assert check.ok
    assert check.measured != check_engine(engine())[0].measured


def test_an_addition_too_many_is_noticed(engine):
    (check,) = check_engine(engine(wrong=1))
    assert not check.ok
    assert check.measured == check.expected + 1


@pytest.mark.parametrize(("mode", "reason"), [("dense", "asked for"), ("auto", None)])
def test_dense_steps_execute_every_mac(engine, mode: str, reason: str | None):
    run = engine(mode)
    step = run.steps[2]
    (layer,) = step.layers
    if reason is None:
        assert (step.reason, layer.executed_macs) == (None, 0)
    else:
        assert reason in step.reason
        assert layer.executed_macs == T * C * C * 9 * 4 * 4
        assert (layer.executed_adds, layer.expected_adds) == (0, None)
        assert step.dense_raw_seconds == ()  # its own times are those
        assert check_engine(run) == ()
