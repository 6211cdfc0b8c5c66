"""What a reader must know before the numbers, in plain words."""

from __future__ import annotations

from dataclasses import dataclass

from snnbench.metrics.dataframes import timing_dataframe
from snnbench.metrics.operations import SNN, TWIN, per_sample
from snnbench.render import text
from snnbench.render.table import records
from snnbench.results.counts import Profile
from snnbench.results.run import RunResult

BUSY = 0.1
"""Share of the processors that others took, from which times are not to be trusted."""
NOISY_SPREAD = 0.1
"""Interquartile range over median from which a latency is called noisy."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a reader must know before the numbers, and what to do about it."""

    what: str
    remedy: str = ""


def notices(result: RunResult) -> tuple[Notice, ...]:
    """Uncounted operations first, then everything else that limits what the numbers mean."""
    found = [*_gaps(result)]
    found += [
        Notice(
            f"check {check.name!r} differs: {check.note or 'see the checks'}",
            "do not use the numbers before the cause is known",
        )
        for check in result.checks
        if not check.ok
    ]
    found += _limits(result)
    found += _noise(result)
    warnings = [warning for profile in _profiles(result) for warning in profile.warnings]
    found += [Notice(warning) for warning in dict.fromkeys(warnings)]
    return tuple(found)


def _limits(result: RunResult) -> list[Notice]:
    """What the input and the weights do not allow to be said."""
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


def _profiles(result: RunResult) -> list[Profile]:
    return [profile for profile in (result.snn, result.twin) if profile is not None]


def _gaps(result: RunResult) -> list[Notice]:
    found = []
    for network, profile in ((SNN, result.snn), (TWIN, result.twin)):
        if profile is None:
            continue
        found += [
            Notice(
                f"{item.operation} in {item.module or 'the model'} ({network}, "
                f"{text.plural(item.calls, 'call')}) is not counted: totals are lower bounds",
                "add a counting rule (docs/extend.md), or use --strict to fail on it",
            )
            for item in profile.uncounted
        ]
        if profile.uncalled:
            found.append(
                Notice(
                    f"{', '.join(profile.uncalled)} ({network}) never ran and is not counted",
                    "check that the forward pass reaches it",
                )
            )
    return found


def _noise(result: RunResult) -> list[Notice]:
    return [*_busy(result), *_noisy(result)]


def _busy(result: RunResult) -> list[Notice]:
    loads = [timing.other_load for timing in result.timings if timing.other_load is not None]
    if max(loads, default=0.0) < BUSY:
        return []
    return [
        Notice(
            f"other programs took up to {text.percent(max(loads))} of the processors while latency "
            "was measured: the times, and their ratios, may be far off",
            "close them and run again",
        )
    ]


def _noisy(result: RunResult) -> list[Notice]:
    noisy = [r for r in records(timing_dataframe(result)) if (r["spread"] or 0) >= NOISY_SPREAD]
    return [
        Notice(
            f"latency of {row['name']} is noisy: quartiles {text.percent(row['spread'])} of the "
            "median apart",
            "close other programs and run again",
        )
        for row in noisy
    ]
