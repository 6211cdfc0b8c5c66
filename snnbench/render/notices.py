"""Warnings that a reader needs before the numbers, in plain words."""

from __future__ import annotations

from dataclasses import dataclass

from snnbench.metrics.dataframes import timing_dataframe
from snnbench.metrics.operations import SNN, TWIN, per_sample
from snnbench.render import text
from snnbench.render.table import records
from snnbench.results.run import RunResult

BUSY = 0.1
"""Share of the processors taken by others from which times are not to be trusted."""
NOISY_SPREAD = 0.1
"""Interquartile range over median from which a latency is called noisy."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A warning, and what to do about it."""

    what: str
    remedy: str = ""


def notices(result: RunResult) -> tuple[Notice, ...]:
    """List uncounted operations first, then everything else that limits what the numbers mean."""
    failed = [
        Notice(
            f"check {check.name!r} differs: {check.note or 'see the checks'}",
            "do not use the numbers before the cause is known",
        )
        for check in result.checks
        if not check.ok
    ]
    profiles = filter(None, (result.snn, result.twin))
    warnings = dict.fromkeys(warning for profile in profiles for warning in profile.warnings)
    return (*_gaps(result), *failed, *_limits(result), *_noise(result), *map(Notice, warnings))


def _limits(result: RunResult) -> list[Notice]:
    """List what the numbers do not show, because of the input or the weights."""
    limits = (
        (
            result.weights.status == "untrained",
            "untrained weights: firing rates, and all that follows from them, say nothing about a "
            "trained network",
            "pass trained weights with --weights",
        ),
        (
            result.weights.status == "trained" and result.weights.evidence is None,
            "weights are called trained without evidence: they may be any weights, and firing "
            "rates hold for these only",
            "use a safetensors file whose metadata tells how they were trained",
        ),
        (
            result.weights.status == "unknown",
            "weights of unknown training: firing rates hold for these weights only",
            "load trained weights in the model's factory",
        ),
        (
            result.snn.declared_dense,
            "counted as an ANN, every operation a MAC: what is called SNN here is that network",
            "",
        ),
        (
            result.snn.timesteps is None,
            "the number of timesteps T is unknown: spikes per neuron cannot be given",
            "pass --timesteps",
        ),
        (
            not per_sample(result),
            "the number of samples is unknown: counts are those of the whole run",
            "feed inputs with a batch dimension",
        ),
    )
    return [Notice(what, remedy) for applies, what, remedy in limits if applies]


def _gaps(result: RunResult) -> list[Notice]:
    gaps = []
    for network, profile in ((SNN, result.snn), (TWIN, result.twin)):
        if profile is None:
            continue
        gaps += [
            Notice(
                f"{item.operation} in {item.module or 'the model'} ({network}, "
                f"{text.plural(item.calls, 'call')}) is not counted: totals are lower bounds",
                "add a counting rule (docs/extend.md), or use --strict to fail on it",
            )
            for item in profile.uncounted
        ]
        if profile.uncalled:
            gaps.append(
                Notice(
                    f"{', '.join(profile.uncalled)} ({network}) never ran and is not counted",
                    "check that the forward pass reaches it",
                )
            )
    return gaps


def _noise(result: RunResult) -> list[Notice]:
    loads = [timing.other_load for timing in result.timings if timing.other_load is not None]
    noise = []
    if max(loads, default=0.0) >= BUSY:
        noise.append(
            Notice(
                f"other programs took up to {text.percent(max(loads))} of the processors while "
                "latency was measured: the times, and their ratios, may be far off",
                "close them and run again",
            )
        )
    return noise + [
        Notice(
            f"latency of {row['name']} is noisy: quartiles {text.percent(row['spread'])} of the "
            "median apart",
            "close other programs and run again",
        )
        for row in records(timing_dataframe(result))
        if (row["spread"] or 0) >= NOISY_SPREAD
    ]
