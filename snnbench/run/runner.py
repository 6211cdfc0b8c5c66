"""The order of passes of one benchmark: build, check, count, fold, time. Nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from snnbench.core.errors import StructureError
from snnbench.core.process import memory_shortage_explained, seed_everything, set_threads
from snnbench.core.progress import Reporter
from snnbench.count.profiler import profile
from snnbench.data.draw import draw_samples
from snnbench.data.load import Samples
from snnbench.engine.dense.packed import prepack
from snnbench.nn.fold import fold_batch_norm
from snnbench.nn.layout import layout_of
from snnbench.nn.meters import tick, ticks
from snnbench.nn.norm import calibrate_batch_norm
from snnbench.nn.twin import ann_twin, check_twin
from snnbench.results.counts import Profile
from snnbench.results.environment import capture
from snnbench.results.run import (
    DENSE_TIMING,
    EVENT_TIMING,
    TWIN_TIMING,
    Accuracy,
    Check,
    EngineRun,
    RunConfig,
    RunResult,
    Timing,
    WeightsInfo,
)
from snnbench.run import checks as run_checks
from snnbench.run.counting_pass import Partial
from snnbench.run.engine_pass import engine_checks, run_engine
from snnbench.run.timing_pass import time_networks
from snnbench.zoo import networks, registry
from snnbench.zoo import shipped as trained
from snnbench.zoo.registry import Benchmark


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Networks and input of a run, ready to be counted.

    Attributes:
        network: The spiking network, in evaluation mode.
        twin: Its ANN twin.
        samples: What they are fed.
        weights: Provenance.
        twin_weights: That of the twin's own, if it has any.
        checks: Structural cross-checks.
    """

    network: nn.Module
    twin: nn.Module
    samples: Samples
    weights: WeightsInfo
    twin_weights: WeightsInfo | None
    checks: tuple[Check, ...]


def run(config: RunConfig, reporter: Reporter, folder: Path | None = None) -> RunResult:
    """Run one benchmark.

    Args:
        config: See ``configure``.
        reporter: Told about progress.
        folder: Where the run leaves what it has counted, and a repeated one finds it; call
            ``counting_pass.discard`` once the result is safe.

    The process keeps the seeds and the number of torch's threads that the configuration sets.

    Raises:
        SnnbenchError: Anything the user can put right; see the subclasses.
    """
    with memory_shortage_explained("--batch-size, --samples, --timesteps or --width"):
        return _run(config, reporter, folder)


def _run(config: RunConfig, reporter: Reporter, folder: Path | None) -> RunResult:
    benchmark = registry.get(config.benchmark)
    environment = capture(config.threads, config.device)
    set_threads(config.threads)
    seed_everything(config.seed)
    prepared = _prepare(benchmark, config, reporter)
    # counts depend on nothing of pass 2
    counted = replace(config, latency=False, latency_batches=None, engine=None, weights_dtype=None)
    provenance = (prepared.weights, prepared.twin_weights, prepared.samples.info)
    key = (counted, benchmark.version, *provenance, environment)
    partial = Partial(folder, key)
    if done := partial.counts.done:
        reporter.note(f"resuming an interrupted run: {done} samples are counted already")
    with torch.inference_mode():
        _count(prepared, config, reporter, partial)
        fold = _fold(prepared, config, reporter)
        engine, timings = _run_fast(prepared, fold, config, reporter)
    counts, samples = partial.counts, prepared.samples
    accuracy = twin_accuracy = None
    if samples.labels is not None:
        accuracy = Accuracy(correct=counts.correct, samples=counts.done)
        if prepared.twin_weights is not None:  # with the SNN's weights the twin is no classifier
            twin_accuracy = Accuracy(correct=counts.twin_correct, samples=counts.done)
    snn, twin = cast("Profile", counts.snn), cast("Profile", counts.twin)
    with reporter.stage("checking", 1):
        example = layout_of(samples.inputs).twin_input(_one(prepared, config))
        count_checks = run_checks.count_checks(
            benchmark.card, config, prepared.network, prepared.twin, example, snn=snn, ann=twin
        )
    return RunResult(
        benchmark=config.benchmark,
        benchmark_version=benchmark.version,
        title=benchmark.card.title,
        input_shape=benchmark.card.input.shape,
        config=config,
        environment=environment,
        weights=prepared.weights,
        twin_weights=prepared.twin_weights,
        data=samples.info,
        snn=snn,
        twin=twin,
        accuracy=accuracy,
        twin_accuracy=twin_accuracy,
        paper_multiplication_layers=tuple(getattr(prepared.network, "encoding_and_head", ())),
        published=benchmark.card.published,
        checks=(*prepared.checks, *count_checks, fold.check, *engine_checks(engine)),
        folding=fold.effect,
        timings=timings,
        engine=engine,
        created_utc=datetime.now(tz=UTC).isoformat(timespec="seconds"),
    )


def _prepare(benchmark: Benchmark, config: RunConfig, reporter: Reporter) -> Prepared:
    with reporter.stage("building networks, data", 1):
        network = networks.build(benchmark, config)
        twin = ann_twin(network)
        checks = check_twin(network, twin)
        if config.twin_weights is not None:
            networks.load(twin, benchmark, config.twin_weights)
        samples = draw_samples(
            benchmark.card.input,
            data=config.data,
            samples=config.samples,
            timesteps=config.timesteps,
            seed=config.seed,
            classes=benchmark.card.classes,
        )
    untrained = config.weights is None
    layout = layout_of(samples.inputs)
    calibration = layout.first_samples(samples.inputs, _calibration_size(config))
    calibration = calibration.to(config.device)
    with (
        reporter.stage("calibrating batch norm", ticks(network, twin)) as show,
        tick(show, network, twin),
    ):
        if untrained:
            calibrate_batch_norm(network, calibration)
        if config.twin_weights is None:
            calibrate_batch_norm(twin, layout.twin_input(calibration))
    description = (
        f"kaiming initialisation, seed {config.seed}; tdBN statistics calibrated on the "
        f"first {_calibration_size(config)} of the counted samples"
    )
    twin_info = None
    if config.twin_weights is not None:
        twin_info = networks.info(benchmark, twin, config.twin_weights, description)
    if untrained:
        others = ", ".join(trained.shipped(benchmark))
        reporter.note(
            "weights are UNTRAINED: operation counts that depend on firing rates say nothing about "
            "a trained network; pass --weights FILE"
            + (f", or a --width and --data of those that come with it: {others}" if others else "")
        )
    return Prepared(
        network=network,
        twin=twin,
        samples=samples,
        weights=networks.info(benchmark, network, config.weights, description),
        twin_weights=twin_info,
        checks=checks,
    )


def _calibration_size(config: RunConfig) -> int:
    """Samples for batch statistics: a batch, and two where a batch is one large image."""
    return min(config.samples, max(config.batch_size, 2))


def _batches(
    samples: Samples, config: RunConfig, start: int
) -> Iterator[tuple[Tensor, Tensor | None]]:
    layout = layout_of(samples.inputs)
    for first in range(start, config.samples, config.batch_size):
        size = min(config.batch_size, config.samples - first)
        inputs = layout.batch(samples.inputs, first, size).to(config.device)
        yield inputs, None if samples.labels is None else samples.labels[first : first + size]


def _count(prepared: Prepared, config: RunConfig, reporter: Reporter, partial: Partial) -> None:
    """Pass 1: count the network and its twin batch by batch, on the same input."""
    start, layout = partial.counts.done, layout_of(prepared.samples.inputs)
    batches = -(-(config.samples - start) // config.batch_size)
    layers = ticks(prepared.network, prepared.twin)
    with (
        reporter.stage("counting", batches * layers) as show,
        tick(show, prepared.network, prepared.twin),
        partial.kept(),
    ):
        for inputs, labels in _batches(prepared.samples, config, start):
            size = layout.samples(inputs)
            with profile(
                prepared.network,
                timesteps=config.timesteps,
                batch_size=size,
                strict=config.strict,
            ) as spiking:
                output = prepared.network(inputs)
            with profile(
                prepared.twin, timesteps=1, batch_size=size, strict=config.strict, dense=True
            ) as ann:
                twin_output = prepared.twin(layout.twin_input(inputs))
            correct = _correct(output, labels), _correct(twin_output, labels)
            partial.add(spiking.result, ann.result, samples=len(output), correct=correct)


def _correct(output: Tensor, labels: Tensor | None) -> int:
    return 0 if labels is None else int((output.argmax(1).cpu() == labels).sum())


def _one(prepared: Prepared, config: RunConfig) -> Tensor:
    inputs = prepared.samples.inputs
    return layout_of(inputs).first_samples(inputs, 1).to(config.device)


def _fold(prepared: Prepared, config: RunConfig, reporter: Reporter) -> run_checks.Fold:
    one = _one(prepared, config)
    folded = fold_batch_norm(prepared.network)
    layers = 3 * ticks(prepared.network)  # copies made below tick as well
    with reporter.stage("folding tdBN", layers) as show, tick(show, prepared.network):
        return run_checks.check_fold(prepared.network, folded, one)


def _run_fast(
    prepared: Prepared, fold: run_checks.Fold, config: RunConfig, reporter: Reporter
) -> tuple[EngineRun | None, tuple[Timing, ...]]:
    """Pass 2: run the networks as fast as each of them can, and time them against each other."""
    if not config.latency:
        return None, ()
    inputs = prepared.samples.inputs
    one = _one(prepared, config)
    networks: dict[str, nn.Module] = {}
    engine: EngineRun | None = None
    if config.engine != "off" and torch.device(config.device).type == "cpu":
        with reporter.stage("compiling for events", 1):
            try:
                networks[EVENT_TIMING], engine = run_engine(fold.network, one, config)
            except StructureError as error:
                if config.engine != "auto":
                    raise
                reporter.note(f"the event engine is left out: {error}")
    elif config.engine != "off":
        reporter.note(f"the event engine is left out: it runs on a CPU, not on {config.device}")
    networks[DENSE_TIMING] = prepack(fold.network)
    networks[TWIN_TIMING] = prepack(fold_batch_norm(prepared.twin).model)
    timings = time_networks(networks, inputs, config, reporter, round_s=fold.seconds)
    return engine, timings
