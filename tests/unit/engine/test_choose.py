"""The choice between events and dense, from given times."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from snnbench.engine import choose
from snnbench.engine.choose import _cheapest, _Costs
from snnbench.engine.execute import DenseNeurons
from snnbench.engine.plan import DenseCurrent, DenseStep, EventCurrent, NeuronStep, Plan, Value
from snnbench.engine.program import Settings
from snnbench.engine.store import Store
from snnbench.nn.neuron_spec import NeuronSpec

FIRST, POOLED, SECOND = 1, 2, 3


def pooling_plan() -> Plan:
    """Neurons, a pool of their spikes, neurons; the spikes of the last are the output."""
    kinds = ("dense", "spikes", "spikes", "spikes")
    values = tuple(Value(name=f"v{i}", kind=k, shape=(4, 8, 8)) for i, k in enumerate(kinds))
    bias = torch.zeros(4, dtype=torch.float64)
    current = EventCurrent(source=POOLED, layer="conv", weight=torch.zeros(4, 4, 1, 1))
    first, second = (
        NeuronStep(
            name=f"lif{output}",
            currents=(source,),
            bias=bias,
            spec=NeuronSpec(decay=0.5, threshold=1.0),
            output=output,
        )
        for source, output in ((DenseCurrent(source=0), FIRST), (current, SECOND))
    )
    pool = DenseStep(
        name="pool", module=nn.MaxPool2d(1), inputs=(FIRST,), output=POOLED, reason="a pool"
    )
    return Plan(values=values, steps=(first, pool, second), input=0, output=SECOND, timesteps=2)


def costs(pack_pooled: float, unpack_output: float) -> _Costs:
    return _Costs(
        event={FIRST: 9.0, SECOND: 1.0},
        dense={FIRST: 1.0, SECOND: 2.0},
        unpack={FIRST: 1.0, SECOND: unpack_output},
        pack={FIRST: 1.0, POOLED: pack_pooled, SECOND: 1.0},
    )


def test_packing_what_a_pool_makes_counts() -> None:
    assert _cheapest(pooling_plan(), costs(0.5, 0.0)) == {SECOND}
    assert _cheapest(pooling_plan(), costs(1.5, 0.0)) == set()


def test_unpacking_the_output_counts() -> None:
    assert _cheapest(pooling_plan(), costs(0.0, 0.5)) == {SECOND}
    assert _cheapest(pooling_plan(), costs(0.0, 1.5)) == set()


def test_short_dense_steps_are_timed_with_all_timesteps(monkeypatch: pytest.MonkeyPatch) -> None:
    """T calls of one timestep overstate them by what each call costs by itself."""
    timesteps: list[int] = []

    class Watched(DenseNeurons):
        def run(self, store: Store) -> None:
            super().run(store)
            made: Tensor = store.tensor(self.steps[0].output)
            timesteps.append(len(made))

    monkeypatch.setattr("snnbench.engine.program.DenseNeurons", Watched)
    monkeypatch.setattr(choose, "_CLEAR", 0.0)
    settings = Settings(weights_dtype="float32", mode="auto", threads=1)
    choose.choose(pooling_plan(), settings, torch.rand(2, 1, 4, 8, 8))
    assert set(timesteps) == {1, 2}
