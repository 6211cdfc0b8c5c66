"""Which neuron steps run by events and which densely, decided by times on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from torch import Tensor

from snnbench.engine.kernels import masks as spike_masks
from snnbench.engine.plan import DenseStep, NeuronStep, Plan, step_inputs, unread_after
from snnbench.engine.program import Factory, Program, Settings, StepChoice
from snnbench.engine.store import Store
from snnbench.engine.synapses import expected_adds

_TIE = 1.05
"""Events must be faster by this factor; otherwise the simpler dense step is chosen."""
_CLEAR = 2.0
"""If T dense runs of one timestep are slower by this factor, and too long for the cost of each call
to matter, all timesteps together are not timed densely."""
_MOST_RUNS = 7
_ENOUGH_SECONDS = 0.01


@dataclass(slots=True)
class _Costs:
    """Seconds of steps by events and densely, by output; and of conversions, by value."""

    event: dict[int, float] = field(default_factory=dict)
    dense: dict[int, float] = field(default_factory=dict)
    unpack: dict[int, float] = field(default_factory=dict)
    pack: dict[int, float] = field(default_factory=dict)


def choose(
    plan: Plan, settings: Settings, x: Tensor
) -> tuple[tuple[StepChoice, ...], dict[int, int], Program]:
    """Time every neuron step by events and densely on an example, and choose the faster.

    Conversions between masks and tensors count where neighbours differ. The mode of the settings is
    not used.

    Returns:
        A choice for each neuron step, in order; additions expected on the example, by output; and
        the program.
    """
    factory = Factory(plan, settings)
    store = factory.store()
    store.put(plan.input, x)
    costs, expected = _Costs(), {}
    freed_after = unread_after(((step,) for step in plan.steps), plan.output)
    read_by_neurons = {index for step in plan.neuron_steps for index in step_inputs(step)}
    for step, freed in zip(plan.steps, freed_after, strict=True):
        if isinstance(step, DenseStep):
            factory.dense(step).run(store)
            if plan.values[step.output].kind == "spikes" and step.output in read_by_neurons:
                costs.pack[step.output] = _seconds(partial(store.source, step.output))
        else:
            _time_step(factory, step, store, costs)
            expected[step.output] = expected_adds(step, plan, store)
        for index in freed:
            store.free(index)
    events = _cheapest(plan, costs)
    choices = tuple(
        StepChoice(
            name=step.name,
            event=step.output in events,
            event_s=costs.event[step.output],
            dense_s=costs.dense[step.output],
        )
        for step in plan.neuron_steps
    )
    kernels = {output: kernel for output, kernel in factory.kernels.items() if output in events}
    return choices, expected, Program(Factory(plan, settings, kernels), events)


def _time_step(factory: Factory, step: NeuronStep, store: Store, costs: _Costs) -> None:
    by_events, dense = factory.events([step]), factory.dense(step)
    by_events.run(store)  # compiles kernels and lays out buffers
    event_s = _fastest(lambda: by_events.run(store))
    timesteps, output = factory.plan.timesteps, step.output
    single = _with_inputs(factory, step, store, 1)
    dense.run(single)  # lays out weights
    dense_s = timesteps * _fastest(lambda: dense.run(single))
    if dense_s < max(_CLEAR * event_s, _ENOUGH_SECONDS):
        complete = _with_inputs(factory, step, store, timesteps)
        dense.run(complete)
        dense_s = _fastest(lambda: dense.run(complete))
    costs.event[output], costs.dense[output] = event_s, dense_s
    spikes = single.tensor(output)
    costs.pack[output] = timesteps * _seconds(lambda: single.source(output))
    single.free(output)
    single.put(output, spike_masks.pack(spikes))
    costs.unpack[output] = timesteps * _seconds(lambda: single.tensor(output))


def _with_inputs(factory: Factory, step: NeuronStep, store: Store, timesteps: int) -> Store:
    """Make a store with the first timesteps of a step's inputs, as tensors."""
    values = factory.plan.values
    own = Store(values, timesteps, factory.settings.dtype)
    for index in step_inputs(step):
        source = store.source(index)
        own.put(index, source if values[index].static else source[:timesteps])
        own.tensor(index)
    return own


def _cheapest(plan: Plan, costs: _Costs) -> set[int]:
    """Choose the outputs to compute by events, so that all steps together take the least time."""
    outputs = [step.output for step in plan.neuron_steps]
    starts = [set(outputs), {o for o in outputs if costs.event[o] * _TIE < costs.dense[o]}, set()]
    return min((_improved(plan, costs, outputs, s) for s in starts), key=lambda s: s[0])[1]


def _improved(
    plan: Plan, costs: _Costs, outputs: list[int], events: set[int]
) -> tuple[float, set[int]]:
    """Change one step at a time while that helps; return total seconds and event outputs."""
    best = _total(plan, costs, events)
    changed = True
    while changed:
        changed = False
        for output in outputs:
            trial = events ^ {output}
            seconds = _total(plan, costs, trial)
            if seconds < best:
                best, events, changed = seconds, trial, True
    return best, events


def _total(plan: Plan, costs: _Costs, events: set[int]) -> float:
    """Sum seconds of all neuron steps and conversions; events cost more by the factor of a tie."""
    total = 0.0
    converted: set[int] = set()
    for step in plan.steps:
        by_events = step.output in events
        if step.output in costs.event:
            total += _TIE * costs.event[step.output] if by_events else costs.dense[step.output]
        for index in step_inputs(step):
            if index in costs.pack and (index in events) != by_events and index not in converted:
                converted.add(index)
                total += costs.unpack[index] if index in events else costs.pack[index]
    if plan.output in events - converted:
        total += costs.unpack[plan.output]
    return total


def _fastest(run: Callable[[], object]) -> float:
    """Return the seconds of the fastest of a few runs."""
    seconds: list[float] = []
    while len(seconds) < _MOST_RUNS and (not seconds or sum(seconds) < _ENOUGH_SECONDS):
        seconds.append(_seconds(run))
    return min(seconds)


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
