"""Pass 2 of a run: wall-clock times of the networks against each other, for each batch size."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import TYPE_CHECKING

from torch import Tensor, nn

from snnbench.engine.dense.packed import prepack
from snnbench.nn.fold import fold_batch_norm
from snnbench.nn.layout import Layout
from snnbench.results.run import (
    DENSE_TIMING,
    EVENT_TIMING,
    TWIN_TIMING,
    RunConfig,
    Timing,
)
from snnbench.run.timing.interleaved import measure

if TYPE_CHECKING:
    from snnbench.core.progress import Reporter

_BUDGET_S = 8.0
_RUNS = range(5, 31)
_SHORTEST_RUN_S = 0.1
_LARGE_BATCH = 32
_LARGE_BATCH_BUDGET_S = 25.0
_PERCENT = 100
_S_PER_MIN = 60


def fast_networks(
    event: nn.Module | None, folded: nn.Module, twin: nn.Module
) -> dict[str, nn.Module]:
    """Prepare the networks to time, each as fast as it can be.

    Args:
        event: The spiking network, compiled for events; ``None`` leaves it out.
        folded: The spiking network without batch norms.
        twin: Its ANN twin.

    Returns:
        The networks, by the names of their timings.
    """
    networks = {} if event is None else {EVENT_TIMING: event}
    twin = fold_batch_norm(twin).model
    return networks | {DENSE_TIMING: prepack(folded), TWIN_TIMING: prepack(twin)}


def time_networks(
    networks: Mapping[str, nn.Module],
    inputs: Tensor,
    layout: Layout,
    config: RunConfig,
    reporter: Reporter,
    *,
    round_s: float,
) -> tuple[Timing, ...]:
    """Time networks on a single sample, and on batches of several.

    Args:
        networks: Networks by name; ``ann-twin`` is called with the twin's input.
        inputs: Samples; a larger batch repeats them.
        layout: Axes of the samples.
        config: Configuration of the run. Without ``latency_batches`` the large batch is timed only
            if the estimate from one sample is affordable.
        reporter: Shows progress and what is left out.
        round_s: Guess of the seconds that one call of every network takes, for one sample.
    """
    timings: list[Timing] = []
    for batch in config.latency_batches or (1, _LARGE_BATCH):
        if timings:
            round_s = _round_s(timings)
        batch_s = max(round_s * batch, _SHORTEST_RUN_S * len(networks))
        # rounds that the budget allows, but enough for a median and a spread
        runs = min(max(int(_BUDGET_S / batch_s), _RUNS.start), _RUNS[-1])
        estimate_s = batch_s * (runs + 1)
        by_default = config.latency_batches is None
        if timings and by_default and estimate_s > _LARGE_BATCH_BUDGET_S:
            reporter.note(
                f"latency of batches of {batch} left out: it would take about "
                f"{estimate_s / _S_PER_MIN:.1f} minutes; ask for it with "
                f"--latency-batches 1,{batch}"
            )
            continue
        x = layout.first_samples(inputs, batch)
        with reporter.stage(f"timing, batch of {batch}", _PERCENT) as show:
            timings += measure(
                networks,
                {name: layout.twin_input(x) if name == TWIN_TIMING else x for name in networks},
                runs=runs,
                warmup=1,
                threads=config.threads,
                device=config.device,
                batch_size=batch,
                min_run_seconds=_SHORTEST_RUN_S,
                progress=lambda done, total: show(_PERCENT * done // total),
                note=reporter.note,
            )
    return tuple(timings)


def _round_s(timings: list[Timing]) -> float:
    """Seconds of one call of every network, per sample."""
    return sum(
        median(timing.raw_seconds) / (timing.number_per_run * timing.batch_size)
        for timing in timings
        if timing.batch_size == timings[0].batch_size
    )
