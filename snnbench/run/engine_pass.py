"""Run the event engine on one batch and record what it executed and how long its steps took."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from snnbench.core.errors import StructureError
from snnbench.count.profiler import profile
from snnbench.engine import runtime
from snnbench.engine.kernels.ceiling import METHOD, measure_adds_per_s
from snnbench.engine.plan import DenseStep, EventCurrent, NeuronStep, Plan, SpikeScale, fires
from snnbench.nn.layout import Layout
from snnbench.nn.meters import record_spikes
from snnbench.results.counts import LayerRecord
from snnbench.results.engine import EngineLayer, EngineRun, EngineStep
from snnbench.results.run import Check, RunConfig

if TYPE_CHECKING:
    from snnbench.core.progress import Reporter
    from snnbench.engine.runtime import EventModel, Mode, StepTime, WeightsDtype
    from snnbench.run.building_pass import Prepared

_STEP_RUNS = range(3, 10)
_STEPS_BUDGET_S = 1.0


def compile_events(
    folded: nn.Module, prepared: Prepared, config: RunConfig, reporter: Reporter
) -> tuple[EventModel | None, EngineRun | None]:
    """Compile a folded network for events and record what it does, unless the engine is off.

    Args:
        folded: The spiking network without batch norms.
        prepared: Input of the run.
        config: Configuration of the run.
        reporter: Shows why the engine is left out, if it is.

    Raises:
        StructureError: The network cannot be lowered, and ``config.engine`` is not ``auto``.
    """
    if config.engine == "off":
        return None, None
    reason = f"it runs on a CPU, not on {config.device}"
    sample = prepared.first_sample
    if sample.device.type == "cpu":
        with reporter.stage("compiling for events", 1):
            try:
                return run_engine(folded, sample, prepared.layout, config)
            except StructureError as error:
                if config.engine != "auto":
                    raise
                reason = str(error)
    reporter.note(f"the event engine is left out: {reason}")
    return None, None


def run_engine(
    folded: nn.Module, batch: Tensor, layout: Layout, config: RunConfig
) -> tuple[EventModel, EngineRun]:
    """Compile a folded network, run it on a batch, and compare it with the network.

    Args:
        folded: The spiking network without batch norms, on the CPU.
        batch: Input of the network.
        layout: Axes of the input.
        config: Configuration of the run, with an ``engine`` other than ``off``.

    Returns:
        The compiled network, whose kernels are made at the next call, and the record of its run.

    Raises:
        StructureError: The network cannot be lowered.
    """
    start = time.perf_counter()
    model = _compiled(folded, batch, config, str(config.engine))
    compile_s = time.perf_counter() - start
    samples = layout.samples(batch)
    output, spikes = model(batch), model.spikes(batch)
    with record_spikes(folded) as fired:
        expected_output = folded(batch)
    flipped, sites = _flips(spikes, fired)
    counted, rounding = _counted(folded, batch, spikes, timesteps=config.timesteps, samples=samples)
    run = EngineRun(
        mode=str(config.engine),
        weights_dtype=str(config.weights_dtype),
        threads=config.threads,
        batch_size=samples,
        compile_s=compile_s,
        output_max_abs_difference=float((output - expected_output).abs().max()),
        output_max_abs=float(expected_output.abs().max()),
        flipped_spikes=flipped,
        flipped_by_rounding=rounding,
        spike_sites=sites,
        adds_ceiling_per_s=measure_adds_per_s(),
        adds_ceiling_method=METHOD,
        steps=_steps(model, folded, batch, config, spikes=spikes, counted=counted),
    )
    return copy.copy(model), run  # as compiled, without the kernels' weights


def check_engine(run: EngineRun | None) -> tuple[Check, ...]:
    """Compare the additions of event kernels with the profiler's effective accumulates.

    Returns:
        One check, or none if no layer ran event-driven.
    """
    layers = [layer for step in run.steps for layer in step.layers] if run else []
    compared = [layer for layer in layers if layer.expected_adds is not None]
    if not compared:
        return ()
    differing = [layer.name for layer in compared if layer.executed_adds != layer.expected_adds]
    check = Check(
        name="additions the engine executed = effective accumulates of its spikes",
        expected=sum(layer.expected_adds or 0 for layer in compared),
        measured=sum(layer.executed_adds for layer in compared),
        ok=not differing,
        note=f"first difference in {differing[0]}"
        if differing
        else f"layer by layer, {len(compared)} layers; the profiler counted the dense network with "
        "the engine's spikes put in",
    )
    return (check,)


def _compiled(folded: nn.Module, batch: Tensor, config: RunConfig, mode: str) -> EventModel:
    return runtime.compile(
        folded,
        batch,
        weights_dtype=cast("WeightsDtype", config.weights_dtype),
        mode=cast("Mode", mode),
        threads=config.threads,
    )


def _counted(
    folded: nn.Module, batch: Tensor, spikes: Mapping[str, Tensor], *, timesteps: int, samples: int
) -> tuple[dict[str, LayerRecord], int]:
    """Count the network with ``spikes`` put in for those of its neurons.

    Returns:
        Its layers by name, and how many spikes of its own would differ.
    """
    numbers = {name: fired.to(batch.dtype) for name, fired in spikes.items()}
    with (
        profile(folded, timesteps=timesteps, batch_size=samples) as counts,
        record_spikes(folded, numbers) as fired,
    ):
        folded(batch)
    return {layer.name: layer for layer in counts.result.layers}, _flips(spikes, fired)[0]


def _flips(spikes: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> tuple[int, int]:
    """Compare two records of spikes.

    Returns:
        How many neurons, per timestep and sample, fired in only one of them, and how many are in
        both.
    """
    both = spikes.keys() & others.keys()
    flipped = sum(int(torch.count_nonzero(spikes[name] != others[name])) for name in both)
    return flipped, sum(spikes[name].numel() for name in both)


def _step_times(model: EventModel, batch: Tensor) -> dict[str, StepTime]:
    """Time every step as often as the budget allows, by name."""
    start = time.perf_counter()
    model(batch)
    affordable = int(_STEPS_BUDGET_S / (time.perf_counter() - start))
    runs = min(max(affordable, _STEP_RUNS.start), _STEP_RUNS[-1])
    return {step.name: step for step in model.time_steps(batch, runs)}


def _steps(
    model: EventModel,
    folded: nn.Module,
    batch: Tensor,
    config: RunConfig,
    *,
    spikes: Mapping[str, Tensor],
    counted: Mapping[str, LayerRecord],
) -> tuple[EngineStep, ...]:
    plan = model.plan
    adds = {layer.layer: (layer.executed, layer.padding) for layer in model.count(batch)}
    dense: dict[str, StepTime] = {}
    if config.engine != "dense":
        # not the times that `auto` chose by: most are of a single run of one timestep
        dense = _step_times(_compiled(folded, batch, config, "dense"), batch)
    times = _step_times(model, batch)
    events = {choice.name: choice.event for choice in model.choices}
    sources = {step.output: spikes[step.name] for step in plan.steps if fires(step, plan)}
    return tuple(
        EngineStep(
            name=step.name,
            kernel=times[step.name].kernel,
            reason=_reason(step, event=events.get(step.name, False), config=config),
            layers=_layers(step, plan, adds, counted),
            **_input(step, sources),
            raw_seconds=times[step.name].seconds,
            dense_raw_seconds=dense[step.name].seconds if step.name in dense else (),
        )
        for step in plan.steps
    )


def _reason(step: NeuronStep | DenseStep, *, event: bool, config: RunConfig) -> str | None:
    if isinstance(step, DenseStep):
        return step.reason
    if event:
        return None
    return "dense was asked for" if config.engine == "dense" else "dense was measured to be faster"


def _layers(
    step: NeuronStep | DenseStep,
    plan: Plan,
    adds: Mapping[str, tuple[int, int]],
    counted: Mapping[str, LayerRecord],
) -> tuple[EngineLayer, ...]:
    layers = []
    repeats = 1
    if isinstance(step, DenseStep):
        inside = f"{step.name}."
        names = [name for name in counted if name == step.name or name.startswith(inside)]
        if all(plan.values[index].static for index in step.inputs):
            repeats = plan.timesteps  # computed once, counted at every timestep
    else:
        names = [c.layer for c in step.currents if isinstance(c, EventCurrent | SpikeScale)]
    for name in names:
        record = counted.get(name)
        event = name in adds
        executed, padding = adds.get(name, (0, 0))
        dense = 0 if record is None or event else record.dense.synops // repeats
        expected = record.effective.acs if event and record and record.dense.synops else None
        if event or dense:
            layers.append(
                EngineLayer(
                    name=name,
                    executed_adds=executed,
                    padding_adds=padding,
                    executed_macs=dense,
                    expected_adds=expected,
                )
            )
    return tuple(layers)


def _input(step: NeuronStep | DenseStep, sources: Mapping[int, Tensor]) -> dict[str, int | None]:
    """Spikes and neurons that the event currents of a step read, each source once."""
    read: set[int] = set()
    if isinstance(step, NeuronStep):
        read = {c.source for c in step.currents if isinstance(c, EventCurrent)}
    if not read or not read <= sources.keys():
        return {"input_spikes": None, "input_sites": None}
    inputs = [sources[index] for index in read]
    return {
        "input_spikes": sum(int(torch.count_nonzero(x)) for x in inputs),
        "input_sites": sum(x.numel() for x in inputs),
    }
