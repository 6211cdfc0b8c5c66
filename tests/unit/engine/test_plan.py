"""The intermediate representation, and the additions it predicts."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn import functional

from snnbench.engine.plan import (
    DenseCurrent,
    DenseStep,
    EventCurrent,
    NeuronStep,
    Plan,
    SpikeScale,
    Value,
    step_inputs,
    unread_after,
)
from snnbench.engine.store import Store
from snnbench.engine.synapses import expected_adds, windows
from snnbench.nn.neuron_spec import NeuronSpec


def _plan() -> Plan:
    values = (
        Value(name="input", kind="dense", shape=(2, 5, 5), static=True),
        Value(name="encode", kind="spikes", shape=(2, 5, 5)),
        Value(name="lif", kind="spikes", shape=(3, 3, 3)),
    )
    current = EventCurrent(
        source=1, layer="conv", weight=torch.ones(3, 2, 3, 3), stride=(2, 2), padding=(1, 1)
    )
    dense = DenseStep(
        name="encode", module=torch.nn.Identity(), inputs=(0,), output=1, reason="none"
    )
    neurons = NeuronStep(
        name="lif",
        currents=(
            current,
            SpikeScale(source=1, layer="s", scale=torch.ones(3)),
            DenseCurrent(source=0),
        ),
        bias=torch.zeros(3, dtype=torch.float64),
        spec=NeuronSpec(decay=0.25, threshold=1.0),
        output=2,
    )
    return Plan(values=values, steps=(dense, neurons), input=0, output=2, timesteps=2)


def test_steps_name_what_they_read() -> None:
    plan = _plan()
    assert [step_inputs(step) for step in plan.steps] == [(0,), (1, 1, 0)]
    assert unread_after([[step] for step in plan.steps], plan.output) == [[], [0, 1]]
    assert [step.name for step in plan.neuron_steps] == ["lif"]


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    list(
        itertools.product(
            [(1, 1), (3, 3), (2, 5)], [(1, 1), (2, 2), (3, 1)], [(0, 0), (1, 1), (2, 0)]
        )
    ),
)
def test_windows_equal_those_of_a_convolution(
    kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]
) -> None:
    current = EventCurrent(
        source=0, layer="c", weight=torch.ones(1, 1, *kernel), stride=stride, padding=padding
    )
    image = torch.zeros(1, 1, 7, 6, requires_grad=True)
    functional.conv2d(image, current.weight, stride=stride, padding=padding).sum().backward()
    assert torch.equal(windows(current, (7, 6)), image.grad[0, 0].long())


def test_expected_additions_are_those_of_every_spike() -> None:
    plan = _plan()
    spikes = (torch.rand(2, 4, 2, 5, 5, generator=torch.Generator().manual_seed(1)) < 0.3).float()
    store = Store(plan.values, 2, torch.float32)
    store.put(1, spikes)
    (step,) = plan.neuron_steps
    weight = torch.ones(3, 2, 3, 3)
    touched = functional.conv2d(spikes.flatten(0, 1), weight, stride=2, padding=1).sum()
    assert expected_adds(step, plan, store) == int(touched)
    store.put(1, store.source(1))
    store.free(0)
    masks_only = Store(plan.values, 2, torch.float32)
    masks_only.put(1, store.source(1))
    assert expected_adds(step, plan, masks_only) == int(touched)


def test_a_store_converts_between_masks_and_tensors() -> None:
    values = (Value(name="features", kind="spikes", shape=(19,)),)
    spikes = (torch.arange(2 * 3 * 19).reshape(2, 3, 19) % 3 == 0).float()
    store = Store(values, 2, torch.float32)
    store.put(0, spikes)
    masks = store.source(0)
    other = Store(values, 2, torch.float32)
    other.put(0, masks)
    assert torch.equal(other.tensor(0), spikes)
    other.free(0)
    with pytest.raises(KeyError):
        other.tensor(0)
