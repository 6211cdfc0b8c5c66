"""The order of passes of one benchmark: build, check, count, fold, time. Nowhere else."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from snnbench import env, registry, run_checks, weights
from snnbench.convert.fuse import fold_batch_norm
from snnbench.convert.twin import ann_twin, check_twin, twin_input
from snnbench.count.profiler import profile
from snnbench.data.load import Samples, load_samples
from snnbench.engine.dense import prepack
from snnbench.engine_pass import engine_checks, run_engine
from snnbench.errors import StructureError
from snnbench.frame import DENSE_TIMING, EVENT_TIMING, TWIN_TIMING
from snnbench.nn.blocks import Shortcut
from snnbench.nn.norm import calibrate_batch_norm
from snnbench.partial import Partial
from snnbench.records import Profile
from snnbench.registry import Benchmark
from snnbench.run_records import (
    Accuracy,
    Check,
    EngineRun,
    RunConfig,
    RunResult,
    Timing,
    WeightsInfo,
)
from snnbench.timing_pass import batch_of, time_networks


class Reporter(Protocol):
    """Where a run says how far it is."""

    def stage(self, title: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Begin a stage of ``total`` ticks; the callable takes how many are done."""
        ...

    def note(self, message: str) -> None:
        """Say something the user should know now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Networks and input of a run, ready to be counted.

    Attributes:
        network: The spiking network, in evaluation mode.
        twin: Its ANN twin.
        samples: What they are fed.
        weights: Provenance.
        checks: Structural cross-checks.
    """

    network: nn.Module
    twin: nn.Module
    samples: Samples
    weights: WeightsInfo
    checks: tuple[Check, ...]


def run(config: RunConfig, reporter: Reporter, folder: Path | None = None) -> RunResult:
    """Run one benchmark.

    Args:
        config: See ``configure``.
        reporter: Told about progress.
        folder: Where the run leaves what it has counted, and a repeated one finds it; call
            ``partial.discard`` once the result is safe.

    The process keeps the seeds and the number of torch's threads that the configuration sets.

    Raises:
        SnnbenchError: Anything the user can put right; see the subclasses.
    """
    with env.memory_shortage_explained("--batch-size, --samples, --timesteps or --width"):
        return _run(config, reporter, folder)


def _run(config: RunConfig, reporter: Reporter, folder: Path | None) -> RunResult:
    benchmark = registry.get(config.benchmark)
    environment = env.capture(config.threads, config.device)
    env.set_threads(config.threads)
    env.seed_everything(config.seed)
    prepared = _prepare(benchmark, config, reporter)
    # counts depend on nothing of pass 2
    counted = replace(config, latency=False, latency_batches=None, engine=None, weights_dtype=None)
    key = (counted, benchmark.version, prepared.weights, prepared.samples.info, environment)
    partial = Partial(folder, key)
    if done := partial.counts.done:
        reporter.note(f"resuming an interrupted run: {done} samples are counted already")
    with torch.inference_mode():
        _count(prepared, config, reporter, partial)
        fold = _fold(prepared, config, reporter)
        engine, timings = _run_fast(prepared, fold, config, reporter)
    counts, samples = partial.counts, prepared.samples
    labelled = samples.labels is not None
    snn, twin = cast("Profile", counts.snn), cast("Profile", counts.twin)
    with reporter.stage("checking", 1):
        example = twin_input(batch_of(samples.inputs, 1).to(config.device))
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
        data=samples.info,
        snn=snn,
        twin=twin,
        accuracy=Accuracy(correct=counts.correct, samples=counts.done) if labelled else None,
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
        network = _build(benchmark, config)
        twin = ann_twin(network)
        checks = check_twin(network, twin)
        samples = load_samples(
            benchmark.card.input,
            samples=config.samples,
            timesteps=config.timesteps,
            path=None if config.data is None else Path(config.data),
            seed=config.seed,
            classes=benchmark.card.classes,
        )
    untrained = config.weights is None
    calibration = batch_of(samples.inputs, _calibration_size(config)).to(config.device)
    with (
        reporter.stage("calibrating batch norm", 2 * len(_ticking_modules(twin))) as show,
        _ticking(show, network, twin),
    ):
        if untrained:
            calibrate_batch_norm(network, calibration)
        calibrate_batch_norm(twin, twin_input(calibration))
    info = _weights_info(config, network, untrained=untrained)
    if untrained:
        reporter.note(
            "weights are UNTRAINED: operation counts that depend on firing rates say nothing about "
            "a trained network; pass --weights FILE"
        )
    return Prepared(network=network, twin=twin, samples=samples, weights=info, checks=checks)


def _build(benchmark: Benchmark, config: RunConfig) -> nn.Module:
    """The spiking network with its weights, on its device."""
    network = benchmark.build(
        timesteps=config.timesteps,
        width=config.width or 1.0,
        shortcut=cast("Shortcut", config.shortcut),
    ).eval()
    if config.weights is not None:
        state = weights.load_state(config.weights)
        weights.apply_state(network, state, source=f"weights {config.weights}")
    return network.to(config.device)


def _calibration_size(config: RunConfig) -> int:
    """Samples for batch statistics: a batch, and two where a batch is one large image."""
    return min(config.samples, max(config.batch_size, 2))


def _sample_axis(inputs: Tensor) -> int:
    return 1 if inputs.ndim == 5 else 0  # event frames lead with time


def _weights_info(config: RunConfig, network: nn.Module, *, untrained: bool) -> WeightsInfo:
    sha256 = weights.state_sha256(network.state_dict())
    if untrained:
        return WeightsInfo(
            status="untrained",
            description=(
                f"kaiming initialisation, seed {config.seed}; tdBN statistics calibrated on the "
                f"first {_calibration_size(config)} of the counted samples"
            ),
            sha256=sha256,
        )
    path = Path(str(config.weights))
    told = weights.load_metadata(path)
    return WeightsInfo(
        status="trained",
        description=path.name,
        sha256=sha256,
        evidence="; ".join(f"{key}: {told[key]}" for key in sorted(told)) or None,
    )


def _batches(
    samples: Samples, config: RunConfig, start: int
) -> Iterator[tuple[Tensor, Tensor | None]]:
    axis = _sample_axis(samples.inputs)
    for first in range(start, config.samples, config.batch_size):
        size = min(config.batch_size, config.samples - first)
        inputs = samples.inputs.narrow(axis, first, size).to(config.device)
        yield inputs, None if samples.labels is None else samples.labels[first : first + size]


def _count(prepared: Prepared, config: RunConfig, reporter: Reporter, partial: Partial) -> None:
    """Pass 1: count the network and its twin batch by batch, on the same input."""
    start = partial.counts.done
    batches = -(-(config.samples - start) // config.batch_size)
    ticks = batches * 2 * len(_ticking_modules(prepared.network))
    with (
        reporter.stage("counting", ticks) as show,
        _ticking(show, prepared.network, prepared.twin),
        partial.kept(),
    ):
        for inputs, labels in _batches(prepared.samples, config, start):
            size = inputs.shape[_sample_axis(inputs)]
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
                prepared.twin(twin_input(inputs))
            correct = 0 if labels is None else int((output.argmax(1).cpu() == labels).sum())
            partial.add(spiking.result, ann.result, samples=len(output), correct=correct)


def _fold(prepared: Prepared, config: RunConfig, reporter: Reporter) -> run_checks.Fold:
    one = batch_of(prepared.samples.inputs, 1).to(config.device)
    folded = fold_batch_norm(prepared.network)
    ticks = 3 * len(_ticking_modules(prepared.network))  # copies made below tick as well
    with reporter.stage("folding tdBN", ticks) as show, _ticking(show, prepared.network):
        return run_checks.check_fold(prepared.network, folded, one)


def _run_fast(
    prepared: Prepared, fold: run_checks.Fold, config: RunConfig, reporter: Reporter
) -> tuple[EngineRun | None, tuple[Timing, ...]]:
    """Pass 2: run the networks as fast as each of them can, and time them against each other."""
    if not config.latency:
        return None, ()
    inputs = prepared.samples.inputs
    one = batch_of(inputs, 1).to(config.device)
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


def _ticking_modules(network: nn.Module) -> list[nn.Module]:
    return [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


@contextmanager
def _ticking(show: Callable[[int], None], *networks: nn.Module) -> Iterator[None]:
    """Show how many convolutions and linear layers have run."""
    ticks = itertools.count(1)
    handles = [
        module.register_forward_hook(lambda *_: show(next(ticks)))
        for network in networks
        for module in _ticking_modules(network)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
