"""Lowering: networks become plans that say what runs by events and why the rest does not."""

from __future__ import annotations

import pytest
import torch
from support.engine_nets import Residual, frames_net, lively
from torch import Tensor, nn

from snnbench.core.errors import StructureError, UsageError, WeightsError
from snnbench.engine.lowering.lower import lower
from snnbench.engine.plan import DenseCurrent, DenseStep, EventCurrent, Plan, SpikeScale
from snnbench.nn.blocks import PerTimestep
from snnbench.nn.neuron import LIF
from snnbench.zoo.registry import get

CARDS = (
    "resnet17",
    "resnet17-nmnist",
    "resnet19",
    "resnet34",
    "resnet34-large",
    "resnet50",
    "plain20",
)


def _layers(plan: Plan) -> list[str]:
    return [
        current.layer
        for step in plan.neuron_steps
        for current in step.currents
        if isinstance(current, EventCurrent)
    ]


def _reasons(plan: Plan) -> dict[str, str]:
    return {step.name: step.reason for step in plan.steps if isinstance(step, DenseStep)}


@pytest.mark.parametrize("shortcut", ["paper", "identity"])
@pytest.mark.parametrize("card", CARDS)
def test_every_synapse_behind_spikes_runs_by_events(card: str, shortcut: str) -> None:
    model = get(card).build(width=0.05, timesteps=2, shortcut=shortcut)
    plan = lower(model, torch.zeros(1, *model.input_shape), strict=True)
    convolutions = {n for n, m in model.named_modules() if isinstance(m, nn.Conv2d)}
    assert sorted(_layers(plan)) == sorted(convolutions - {"stem.conv"})
    assert [s.name for s in plan.neuron_steps] == [
        n for n, m in model.named_modules() if isinstance(m, LIF)
    ]
    blocks_kept = sum(n.endswith("shortcut.norm") for n, _ in model.named_modules())
    scales = [c for s in plan.neuron_steps for c in s.currents if isinstance(c, SpikeScale)]
    if shortcut == "paper":
        convolved = sum(n.endswith("shortcut.conv") for n in convolutions)
        assert len(scales) == blocks_kept - convolved
    elif card != "plain20":
        assert scales
        assert all(torch.equal(c.scale, torch.ones_like(c.scale)) for c in scales)


def test_static_input_is_encoded_once() -> None:
    model = get("resnet19").build(width=0.05, timesteps=3)
    plan = lower(model, torch.zeros(2, 3, 32, 32))
    stem = plan.steps[0]
    assert isinstance(stem, DenseStep)
    assert stem.name == "stem.conv"
    assert plan.values[plan.input].static
    assert plan.values[stem.output].static
    assert plan.neuron_steps[0].currents == (DenseCurrent(source=stem.output),)
    assert plan.timesteps == 3
    assert plan.values[plan.output].static


def test_frames_are_encoded_at_every_timestep() -> None:
    model = get("resnet19").build(width=0.05, timesteps=3)
    plan = lower(model, torch.zeros(3, 2, 3, 32, 32))
    assert not plan.values[plan.input].static
    assert not plan.values[plan.steps[0].output].static
    assert plan.values[plan.input].shape == (3, 32, 32)


def test_a_forward_of_the_users_own() -> None:
    plan = lower(lively(Residual(timesteps=4)), torch.zeros(1, 2, 14, 14))
    assert plan.timesteps == 4
    assert _layers(plan) == ["conv.0", "down", "hidden"]
    _, second, third, fourth = plan.neuron_steps
    assert [type(c) for c in second.currents] == [EventCurrent, SpikeScale]
    assert third.currents[0].stride == (2, 2)
    # the flattened image is the window of a convolution
    assert fourth.currents[0].weight.shape == (33, 12, 3, 3)
    reasons = _reasons(plan)
    assert reasons["encode"] == "its input is not spikes"
    assert reasons["readout"] == "no neurons follow"
    assert plan.values[third.currents[0].source].kind == "spikes"


def test_biases_of_all_currents_are_summed_in_double_precision() -> None:
    model = lively(frames_net())
    plan = lower(model, torch.zeros(2, 1, 2, 12, 12))
    step = next(s for s in plan.neuron_steps if s.name == "2.neurons.1")
    assert [c.layer for c in step.currents] == ["2.synapses.1.conv", "2.shortcut.conv"]
    norms = [model[2].synapses[1].norm, model[2].shortcut.norm]
    shift = sum(
        n.bias - n.running_mean * n.scale * n.weight / (n.running_var + n.eps).sqrt() for n in norms
    )
    assert step.bias.dtype == torch.float64
    torch.testing.assert_close(step.bias.float(), shift.detach())


class _Conv(nn.Module):
    """Neurons, one layer, neurons."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.first, self.second = LIF(), LIF()
        self.layers = PerTimestep(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.layers(self.first(x)))


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (nn.Conv2d(4, 4, 3, groups=2), "no event kernel with 2 groups"),
        (nn.Conv2d(4, 4, 3, dilation=2), r"no event kernel with dilation \(2, 2\)"),
        (nn.Conv2d(4, 4, 3, padding_mode="circular", padding=1), "padding mode circular"),
        (nn.Conv2d(4, 4, 3, padding="same"), "no event kernel with padding 'same'"),
        (nn.ConvTranspose2d(4, 4, 3), "no event kernel for ConvTranspose2d"),
        (nn.GELU(), "no event kernel for GELU"),
        (nn.BatchNorm2d(4, track_running_stats=False), "no event kernel for BatchNorm2d"),
        (nn.Linear(8, 8), r"spikes of shape \[4, 8, 8\] for each sample"),
    ],
)
def test_strict_names_the_layer_and_the_reason(layer: nn.Module, reason: str) -> None:
    example = torch.zeros(2, 3, 4, 8, 8)
    plan = lower(_Conv(layer), example)
    assert [type(c) for c in plan.neuron_steps[1].currents] == [DenseCurrent]
    with pytest.raises(StructureError, match=f"'layers.0' cannot run by events: .*{reason}"):
        lower(_Conv(layer), example, strict=True)


class _OwnNeuron(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        v, spikes = torch.zeros_like(x[0]), []
        for current in x:
            v = v + current
            spikes.append((v > 1).float())
            v = v * (1 - spikes[-1])
        return torch.stack(spikes)


def test_a_module_that_steps_through_time_runs_densely_as_a_whole() -> None:
    model = nn.Sequential(LIF(), PerTimestep(nn.Linear(4, 4)), _OwnNeuron(), LIF())
    plan = lower(model, torch.zeros(2, 3, 4))
    (whole,) = [s for s in plan.steps if isinstance(s, DenseStep) and s.name == "2"]
    assert whole.keeps_time
    assert "takes a tensor apart with 'unbind'" in whole.reason or "'getitem'" in whole.reason
    with pytest.raises(StructureError, match="'2' cannot run by events: its forward"):
        lower(model, torch.zeros(2, 3, 4), strict=True)


class _Branch(nn.Module):
    def __init__(self, forward: object) -> None:
        super().__init__()
        self.lif, self.linear, self.what = LIF(), nn.Linear(4, 4), forward

    def forward(self, x: Tensor) -> Tensor:
        return self.what(self, x)


def _stale(m: _Branch, x: Tensor) -> Tensor:
    y = m.linear(x)
    view = y.flatten(0, 1)
    y += 1
    return m.lif(y + view.view_as(y))


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (lambda m, x: m.lif(x) if x.sum() > 0 else x, "depends on the values of a tensor"),
        (lambda m, x: x if torch.equal(x, x) else m.lif(x), "depends on the values of a tensor"),
        (lambda m, x: m.lif(x[0]), "keep time and batch in front"),
        (lambda m, x: m.lif(x).transpose(0, 1), "keep time and batch in front"),
        (lambda m, x: m.lif(x).flatten(0, 1), "the output must be"),
        (lambda m, x: m.lif(x.flatten(0, 1)), r"give neurons \[T, N, \.\.\.\]"),
        (lambda m, x: m.linear(x), "has no neurons of snnbench.nn"),
        (lambda m, x: m.lif(x + torch.ones(4)), "neither a parameter nor made of its input"),
        (lambda m, x: (m.lif(x), x), "must return one tensor"),
        (_stale, "older view"),
    ],
)
def test_what_cannot_be_lowered_is_refused(forward: object, message: str) -> None:
    with pytest.raises(StructureError, match=message):
        lower(_Branch(forward), torch.zeros(2, 3, 4))


def test_an_input_without_time_is_refused() -> None:
    with pytest.raises(StructureError, match="has no time"):
        lower(nn.Sequential(LIF()), torch.zeros(3, 4))


def test_hooks_bad_weights_and_bad_examples_are_refused() -> None:
    model = nn.Sequential(LIF(), nn.Linear(4, 4))
    with pytest.raises(UsageError, match="the example must be floats"):
        lower(model, torch.zeros(2, 3, 4, dtype=torch.int64))
    handle = model[1].register_forward_hook(lambda *_: None)
    with pytest.raises(StructureError, match="'1' has forward hooks"):
        lower(model, torch.zeros(2, 3, 4))
    handle.remove()
    with torch.no_grad():
        model[1].weight[0, 0] = torch.nan
    with pytest.raises(WeightsError, match=r"'1\.weight' holds NaN"):
        lower(model, torch.zeros(2, 3, 4))


def test_currents_that_several_layers_read_are_computed_once() -> None:
    def membrane_shortcut(m: _Branch, x: Tensor) -> Tensor:
        current = m.linear(m.lif(x))
        return m.lif(current) + m.lif(m.linear(m.lif(current)) + current)

    plan = lower(_Branch(membrane_shortcut), torch.zeros(2, 3, 4))
    shared = [s for s in plan.steps if isinstance(s, DenseStep) and s.name == "linear"]
    assert [s.reason for s in shared] == ["several layers read its currents"]
    assert [s.name for s in plan.neuron_steps] == ["lif", "lif#2", "lif#3"] or len(
        {s.name for s in plan.neuron_steps}
    ) == len(plan.neuron_steps)


def test_the_model_is_left_as_it_is() -> None:
    model = frames_net()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    own = {name: dict(module.__dict__) for name, module in model.named_modules()}
    plan = lower(model, torch.zeros(2, 1, 2, 12, 12))
    assert model.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert {n: m.__dict__.keys() for n, m in model.named_modules()} == {
        n: d.keys() for n, d in own.items()
    }
    weights = {p.data_ptr() for p in model.parameters()}
    currents = [c for s in plan.neuron_steps for c in s.currents if isinstance(c, EventCurrent)]
    assert not weights & {c.weight.data_ptr() for c in currents}
