"""The verdict on runs in turns: slower, not slower, or too noisy to say.

The machine's noise is taken from the runs themselves. With process medians b of the base and h of
the head, the head takes between ``min(h) / max(b)`` and ``max(h) / min(b)`` times as long. The gate
fails if even the lower bound is above ``1 + tolerance``. It holds if even the upper bound is no
slowdown that must be seen (``detect``). In between nothing can be said: inconclusive.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from statistics import median

from snnbench.compare.compare import Comparison, compare_runs
from snnbench.compare.judge import Gate, Status
from snnbench.compare.limits import Limit, limits
from snnbench.compare.times import MIN_TURNS, time_pairs
from snnbench.core.errors import UsageError
from snnbench.core.units import MS_PER_S
from snnbench.metrics.catalogue import LATENCY
from snnbench.metrics.metric import Family
from snnbench.results.run import RunResult

DEFAULT_TOLERANCE = "10%"
GATED_TIMES = ("latency.event", "latency.dense")
"""Times that are gated by default; the twin's time says nothing about the SNN."""

_MOST_STEPS = 5
_PERCENT = 100
INCONCLUSIVE = 3
"""Exit code for inconclusive times, if the user wants them to fail."""

Runs = Sequence[RunResult]


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Bounds of the head's time over the base's, as far as the noise allows.

    Attributes:
        lowest: Fastest process of the head over the slowest of the base.
        highest: Slowest process of the head over the fastest of the base.
        detectable: Slowdown, as a factor, from which the gate fails for certain: the scatter of
            the noisier side (its slowest over its fastest process) times one plus the tolerance.
            A head slower by that factor fails even if its fastest process met no noise and the
            slowest of the base met all of it.
    """

    lowest: float
    highest: float
    detectable: float

    @classmethod
    def of(cls, base: Sequence[float], head: Sequence[float], tolerance: float) -> Range:
        """Compute the bounds from positive process medians; a ``tolerance`` of 0.1 is 10 %."""
        scatter = max(max(side) / min(side) for side in (base, head))
        return cls(
            lowest=min(head) / max(base),
            highest=max(head) / min(base),
            detectable=scatter * (1 + tolerance),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowerStep:
    """A step of the engine that is slower beyond doubt.

    Attributes:
        name: Name of the step.
        base_ms: Median of the base's processes, in milliseconds per call.
        head_ms: Median of the head's processes, likewise.
    """

    name: str
    base_ms: float
    head_ms: float


def rules(asked: Sequence[str], detect: Fraction, *, exact: bool) -> dict[str, Limit]:
    """Choose limits by metric: defaults for counts and times, overridden by the user's.

    Args:
        asked: Texts ``METRIC:TOL``; each overrides the default of that metric only.
        detect: Smallest slowdown that must not go unseen; 0.25 is 25 %.
        exact: Whether counts tolerate no difference at all.

    Raises:
        UsageError: A text is not a limit, or a tolerance is not below ``detect``.
    """
    times = limits([f"{name}:{DEFAULT_TOLERANCE}" for name in GATED_TIMES])
    chosen = limits((), exact=exact) | times | (limits(asked) if asked else {})
    for limit in chosen.values():
        if limit.metric.family is Family.TIME and _tolerance(limit) >= detect:
            msg = (
                f"--detect {float(_PERCENT * detect):g}% must be above the tolerance of "
                f"{limit.metric.name}, {limit}; raise --detect, or lower that with --fail-above"
            )
            raise UsageError(msg)
    return chosen


def judge(
    base: Runs,
    head: Runs,
    chosen: Mapping[str, Limit],
    *,
    asked: frozenset[str],
    allowed: frozenset[str],
    detect: Fraction,
    labels: tuple[str, str],
) -> Comparison:
    """Compare runs that were made in turns.

    Args:
        base: Runs before.
        head: Runs after.
        chosen: Limits by metric, from ``rules``.
        asked: Metrics with a limit of the user's; default limits on times that neither side has
            are left out.
        allowed: Keys that may differ.
        detect: Smallest slowdown that must not go unseen.
        labels: Labels of base and head.
    """
    timed = {timing.name for run in (*base, *head) for timing in run.timings}
    applied = {
        name: limit
        for name, limit in chosen.items()
        if name not in LATENCY or name in asked or LATENCY[name] in timed
    }
    comparison = compare_runs(base, head, applied, allowed, labels=labels)
    if comparison.refused:
        return comparison
    ranges = dict(_ranges(base, head, applied, allowed))
    steps = slower_steps(base, head, float(_tolerance(chosen[GATED_TIMES[0]])))
    gates = (
        _weighed(gate, ranges.get((gate.metric.name, gate.where)), detect, steps)
        for gate in comparison.gates
    )
    notes = (
        f"{name}, {where}: the head takes {bounds.lowest:.2f} to {bounds.highest:.2f} times as "
        f"long; a slowdown of {_percent(bounds.detectable - 1)} or more would have been seen"
        for (name, where), bounds in ranges.items()
    )
    return replace(
        comparison,
        gates=tuple(gates),
        notes=(*comparison.notes, *notes, *_step_note(steps)),
    )


def asked_metrics(asked: Sequence[str]) -> frozenset[str]:
    """Return the metrics that the user gave a limit for."""
    return frozenset(limits(asked)) if asked else frozenset()


def slower_steps(base: Runs, head: Runs, tolerance: float) -> tuple[SlowerStep, ...]:
    """Find steps of the engine that every process of the head ran slower than any of the base.

    They are slower by more than ``tolerance`` (0.1 is 10 %); the one that adds most time is first.
    """
    before, after = _step_medians(base), _step_medians(head)
    slower = []
    for name in before.keys() & after.keys():
        old, new = before[name], after[name]
        sure_ms = min(new) - max(old) * (1 + tolerance)
        if min(len(old), len(new)) >= MIN_TURNS and sure_ms > 0:
            step = SlowerStep(name=name, base_ms=median(old), head_ms=median(new))
            slower.append((sure_ms, step))
    return tuple(step for _, step in sorted(slower, key=lambda item: (-item[0], item[1].name)))


def _ranges(
    base: Runs, head: Runs, limits_of: Mapping[str, Limit], allowed: frozenset[str]
) -> Iterator[tuple[tuple[str, str], Range]]:
    for name in [name for name in LATENCY if name in limits_of]:
        for pair in time_pairs(base, head, LATENCY[name], allowed=allowed):
            if pair.doubt is None and min(*pair.base_ms, *pair.head_ms) > 0:
                tolerance = float(_tolerance(limits_of[name]))
                bounds = Range.of(pair.base_ms, pair.head_ms, tolerance)
                yield (name, str(pair.conditions)), bounds


def _weighed(
    gate: Gate, bounds: Range | None, detect: Fraction, steps: Sequence[SlowerStep]
) -> Gate:
    """Turn a gate that holds into an inconclusive one, if noise could hide a slowdown."""
    if bounds is None:
        return gate
    if gate.status is Status.REGRESSION and gate.metric.name == GATED_TIMES[0]:
        return replace(gate, layers=tuple(step.name for step in steps[:_MOST_STEPS]))
    if gate.status is Status.OK and bounds.highest > 1 + detect:
        reason = (
            f"the machine is too noisy to rule out a slowdown of {_percent(float(detect))}; "
            "repeat the command when nothing else is running, or choose a larger --detect"
        )
        return replace(gate, status=Status.INCONCLUSIVE, reason=reason)
    return gate


def _step_note(steps: Sequence[SlowerStep]) -> tuple[str, ...]:
    if not steps:
        return ()
    slowest = ", ".join(
        f"{step.name} {step.head_ms / step.base_ms:.2f}x "
        f"({step.base_ms:.3g} to {step.head_ms:.3g} ms)"
        for step in steps[:_MOST_STEPS]
    )
    more = len(steps) - _MOST_STEPS
    return (f"slower steps of the engine: {slowest}{f' and {more} more' if more > 0 else ''}",)


def _step_medians(runs: Runs) -> dict[str, list[float]]:
    medians: dict[str, list[float]] = {}
    for run in runs:
        for step in () if run.engine is None else run.engine.steps:
            if step.raw_seconds:
                medians.setdefault(step.name, []).append(median(step.raw_seconds) * MS_PER_S)
    return medians


def _tolerance(limit: Limit) -> Fraction:
    return limit.tolerance / _PERCENT


def _percent(share: float) -> str:
    return f"{_PERCENT * share:.0f} %"
