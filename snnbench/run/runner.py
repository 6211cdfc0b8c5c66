"""The order of passes of one benchmark: build, count, fold, compile, time, check."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import torch

from snnbench.core.process import memory_shortage_explained, seed_everything, set_threads
from snnbench.core.progress import Reporter
from snnbench.results.engine import EngineRun
from snnbench.results.environment import capture
from snnbench.results.run import RunConfig, RunResult, Timing
from snnbench.run.building_pass import prepare
from snnbench.run.checks import check_counts, check_fold
from snnbench.run.counting_pass import count
from snnbench.run.engine_pass import check_engine, compile_events
from snnbench.run.timing_pass import fast_networks, time_networks
from snnbench.zoo.registry import Benchmark


@memory_shortage_explained("--batch-size, --samples, --timesteps or --width")
def run(
    benchmark: Benchmark, config: RunConfig, reporter: Reporter, folder: Path | None = None
) -> RunResult:
    """Run one benchmark.

    The process keeps the seeds and the number of torch's threads that the configuration sets.

    Args:
        benchmark: What to run.
        config: What ``configure`` made for it.
        reporter: Shows progress.
        folder: Where the run leaves what it has counted, and a repeated one finds it; call
            ``counting_pass.discard`` once the result is safe.

    Raises:
        SnnbenchError: Anything the user can put right; see the subclasses.
    """
    environment = capture(config.threads, config.device)
    set_threads(config.threads)
    seed_everything(config.seed)
    prepared = prepare(benchmark, config, reporter)
    engine: EngineRun | None = None
    timings: tuple[Timing, ...] = ()
    with torch.inference_mode():
        context = (benchmark.version, environment)
        counts = count(prepared, config, reporter, folder=folder, context=context)
        fold = check_fold(prepared, reporter)
        if config.latency:
            inputs, layout = prepared.samples.inputs, prepared.layout
            event, engine = compile_events(fold.network, prepared, config, reporter)
            networks = fast_networks(event, fold.network, prepared.twin)
            timings = time_networks(
                networks, inputs, layout, config, reporter, round_s=fold.seconds
            )
    count_checks = check_counts(benchmark.card, config, prepared, counts, reporter)
    return RunResult(
        benchmark=config.benchmark,
        benchmark_version=benchmark.version,
        title=benchmark.card.title,
        input_shape=benchmark.card.input.shape,
        config=config,
        environment=environment,
        weights=prepared.weights,
        twin_weights=prepared.twin_weights,
        data=prepared.samples.info,
        snn=counts.snn,
        twin=counts.twin,
        accuracy=counts.accuracy,
        twin_accuracy=counts.twin_accuracy,
        paper_multiplication_layers=tuple(getattr(prepared.network, "encoding_and_head", ())),
        published=benchmark.card.published,
        checks=(*prepared.checks, *count_checks, fold.check, *check_engine(engine)),
        folding=fold.effect,
        timings=timings,
        engine=engine,
        created_utc=datetime.now(tz=UTC).isoformat(timespec="seconds"),
    )
