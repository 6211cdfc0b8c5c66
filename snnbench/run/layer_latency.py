"""Time the convolutions of a benchmark at chosen firing rates, event-driven and dense."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import torch
from torch import Tensor, nn

from snnbench.core.errors import StructureError, UsageError
from snnbench.core.process import memory_shortage_explained, seed_everything, set_threads
from snnbench.core.progress import Reporter
from snnbench.engine.layer_latency import TimedLayer
from snnbench.engine.lowering.lower import lower
from snnbench.engine.plan import EventCurrent, Value
from snnbench.nn.meters import measure_inputs
from snnbench.nn.norm import calibrate_batch_norm
from snnbench.results.environment import capture
from snnbench.results.layer_latency import (
    LatencyCurve,
    LatencyPoint,
    LayerLatencyResult,
    LayerShape,
)
from snnbench.results.run import RunConfig
from snnbench.run.building_pass import draw
from snnbench.zoo import networks
from snnbench.zoo.registry import Benchmark

Layers = Literal["all", "unique"]

_ROUNDS = 15
_FEWEST_SAMPLES = 2  # batch statistics need more than one


@memory_shortage_explained("--batch-size, --timesteps or --width")
def measure_layers(
    benchmark: Benchmark,
    config: RunConfig,
    rates: Sequence[float],
    layers: Layers,
    reporter: Reporter,
) -> LayerLatencyResult:
    """Time the convolutions of a benchmark that receive spikes.

    A curve belongs to a layer, never to a network: at which rate a layer fires follows from the
    layers before it and cannot be chosen for all at once.

    Args:
        benchmark: The benchmark whose layers are timed.
        config: Made by ``run.config.configure``; layers' own firing rates are measured on its
            ``samples``.
        rates: Firing rates in (0, 1].
        layers: ``unique`` measures one layer of every shape, ``all`` each of them.
        reporter: Shows progress.

    Raises:
        SnnbenchError: Anything the user can put right; see the subclasses.
    """
    rates = check_rates(rates)
    set_threads(config.threads)
    seed_everything(config.seed)
    with reporter.stage("building the network", 1):
        network = networks.configured(benchmark, config)
        samples = draw(benchmark, config, max(config.samples, _FEWEST_SAMPLES))
        if config.weights is None:
            calibrate_batch_norm(network, samples.inputs)
        untrained = f"kaiming initialisation, seed {config.seed}; tdBN calibrated on the samples"
        info = networks.info(benchmark, network, config.weights, untrained)
    if info.status == "untrained":
        reporter.note("weights are UNTRAINED: marked rates say nothing about a trained network")
    with torch.inference_mode(), reporter.stage("finding the layers", 1):
        groups = _groups(network, samples.inputs, layers)
    if not groups:
        msg = f"no convolution of {config.benchmark} receives spikes; there is nothing to measure"
        raise StructureError(msg)
    curves: list[LatencyCurve] = []
    with reporter.stage("measuring", len(groups) * len(rates)) as show:
        for shape, members in groups:
            layer = TimedLayer(
                shape,
                timesteps=config.timesteps,
                batch_size=config.batch_size,
                weights_dtype=str(config.weights_dtype),
                threads=config.threads,
                seed=config.seed,
            )
            points: list[LatencyPoint] = []
            for rate in rates:
                points.append(layer.measure(rate, rounds=_ROUNDS))
                show(len(curves) * len(rates) + len(points))
            names, firing_rates = zip(*members, strict=True)
            curves.append(
                LatencyCurve(
                    layers=names,
                    layer_firing_rates=firing_rates,
                    shape=shape,
                    points=tuple(points),
                )
            )
    return LayerLatencyResult(
        benchmark=config.benchmark,
        benchmark_version=benchmark.version,
        title=benchmark.card.title,
        config=config,
        rounds=_ROUNDS,
        environment=capture(config.threads, config.device),
        weights=info,
        data=samples.info,
        curves=tuple(curves),
        created_utc=datetime.now(tz=UTC).isoformat(timespec="seconds"),
    )


def check_rates(rates: Sequence[float]) -> tuple[float, ...]:
    """Firing rates in rising order, each once.

    Raises:
        UsageError: There is none, or one is not in (0, 1].
    """
    wrong = [rate for rate in rates if not 0 < rate <= 1]  # nan compares to nothing
    if wrong or not rates:
        which = f"got {wrong[0]:g}" if wrong else "got none"
        msg = f"--rates must be firing rates in (0, 1], such as 0.05,0.1; {which}"
        raise UsageError(msg)
    return tuple(sorted(set(rates)))


def _groups(
    network: nn.Module, inputs: Tensor, layers: Layers
) -> list[tuple[LayerShape, list[tuple[str, float | None]]]]:
    """Shapes to measure, each with the names and firing rates of its layers."""
    plan = lower(network, inputs)
    currents = [
        current
        for step in plan.neuron_steps
        for current in step.currents
        if isinstance(current, EventCurrent)
    ]
    with measure_inputs(network, (current.layer for current in currents)) as rates:
        network(inputs)
    members = [
        (_shape(current, plan.values[current.source]), (current.layer, rates[current.layer].share))
        for current in currents
    ]
    if layers == "all":
        return [(shape, [member]) for shape, member in members]
    grouped = defaultdict(list)
    for shape, member in members:
        grouped[shape].append(member)
    return list(grouped.items())


def _shape(current: EventCurrent, source: Value) -> LayerShape:
    outputs, inputs, kernel_y, kernel_x = current.weight.shape
    _, height, width = (*source.shape, 1, 1)[:3]
    return LayerShape(
        in_channels=inputs,
        out_channels=outputs,
        kernel=(kernel_y, kernel_x),
        stride=current.stride,
        padding=current.padding,
        height=height,
        width=width,
    )
