"""Gates: whether a metric stayed within its limit, or why that cannot be judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from math import inf, isfinite
from statistics import median

from snnbench.compare.limits import Limit
from snnbench.compare.moves import Direction, Move
from snnbench.compare.times import TimePair, time_pairs
from snnbench.metrics.catalogue import TIMES, Measured
from snnbench.metrics.metric import Metric, Number
from snnbench.results.run import RunResult

_CULPRITS = 3


class Status(StrEnum):
    """Outcome of a gate."""

    OK = "ok"
    NOT_GATED = "not gated"
    INCONCLUSIVE = "inconclusive"
    REGRESSION = "regression"
    MISSING = "missing"
    INCOMPARABLE = "not comparable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One metric against its limit.

    Attributes:
        metric: The metric that is judged.
        where: Conditions of a time, e.g. ``batch 1``; else empty.
        limit: The limit as the user would write it; ``None`` if there is none.
        status: See ``Status``.
        base: Value before; a time is the median of the process medians.
        head: Value after.
        reason: Why the status is not ``ok``; without names of layers.
        layers: Layers that moved most in that direction.
    """

    metric: Metric
    where: str = ""
    limit: str | None
    status: Status
    base: Number | None
    head: Number | None
    reason: str = ""
    layers: tuple[str, ...] = ()


def judge_counts(
    base: Measured, head: Measured, limits: Mapping[str, Limit], moves: Sequence[Move]
) -> tuple[Gate, ...]:
    """Judge every metric with a limit, except times; ``moves`` name the layers that moved."""
    known = [n for n, old in base.values.items() if (old, head.values[n]) != (None, None)]
    return tuple(
        _judge(
            limits[name],
            base,
            head,
            [move for move in moves if move.metric.name == name],
            group_known=limits[name].has_others(known),
        )
        for name in base.values
        if name in limits
    )


def _judge(
    limit: Limit, base: Measured, head: Measured, moves: Sequence[Move], *, group_known: bool
) -> Gate:
    """Judge one metric; ``group_known`` if a metric of the group that the user named is known."""
    name = limit.metric.name
    old, new = base.values[name], head.values[name]
    status, reason = Status.OK, ""
    layers: tuple[str, ...] = ()
    newly_bound = name in head.lower_bounds - base.lower_bounds
    if old is None:
        excused = new is None and group_known
        status = Status.MISSING if limit.explicit and not excused else Status.NOT_GATED
        reason = "unknown in base and head" if new is None else "unknown in the base"
    elif new is None or newly_bound:
        status = Status.MISSING
        reason = "only a lower bound in the head" if newly_bound else "unknown in the head"
    elif limit.broken_by(old, new) or (limit.exact and moves):
        status, reason = Status.REGRESSION, _broken(limit, old, new)
        worse = [m for m in moves if limit.exact or m.direction is not Direction.BETTER]
        layers = tuple(move.layer for move in worse[:_CULPRITS] if move.layer is not None)
    return Gate(
        metric=limit.metric,
        limit=str(limit),
        status=status,
        base=old,
        head=new,
        reason=reason,
        layers=layers,
    )


def _broken(limit: Limit, base: Number, head: Number) -> str:
    if base == head:
        return "the total is the same, but layers differ"
    if limit.exact:
        return "differs, and must be equal"
    return f"worse by more than {limit}" if limit.tolerance else "worse"


def judge_times(
    base: Sequence[RunResult],
    head: Sequence[RunResult],
    limits: Mapping[str, Limit],
    allowed: frozenset[str],
) -> tuple[Gate, ...]:
    """Judge every time that either side has or that has a limit."""
    gates: list[Gate] = []
    times = [(metric, time_pairs(base, head, metric.timing, allowed=allowed)) for metric in TIMES]
    known = [metric.name for metric, pairs in times if pairs]
    for metric, pairs in times:
        limit = limits.get(metric.name)
        gates += [_judge_time(metric, limit, pair) for pair in pairs]
        if not pairs and limit is not None:
            gates.append(
                Gate(
                    metric=metric,
                    limit=str(limit),
                    status=Status.NOT_GATED if limit.has_others(known) else Status.INCOMPARABLE,
                    base=None,
                    head=None,
                    reason="neither side has such a time",
                )
            )
    return tuple(gates)


def _judge_time(metric: Metric, limit: Limit | None, pair: TimePair) -> Gate:
    status, reason = Status.OK, ""
    if pair.doubt is not None:
        status = Status.NOT_GATED if limit is None else Status.INCOMPARABLE
        reason = pair.doubt
    elif limit is None:
        status = Status.NOT_GATED
        reason = f"times are gated only on request, such as --fail-above {metric.name}:25%"
    elif _slower(limit, pair):
        status = Status.REGRESSION
        reason = (
            f"the fastest process of the head ({min(pair.head_ms):.4g} ms) is slower than the "
            f"slowest of the base ({max(pair.base_ms):.4g} ms) by more than {limit}"
        )
    return Gate(
        metric=metric,
        where=str(pair.conditions),
        limit=None if limit is None else str(limit),
        status=status,
        base=_median(pair.base_ms),
        head=_median(pair.head_ms),
        reason=reason,
    )


def _median(times_ms: Sequence[float]) -> float | None:
    middle = median(times_ms) if times_ms else inf
    return middle if isfinite(middle) else None


def _slower(limit: Limit, pair: TimePair) -> bool:
    slowest = Fraction(max(pair.base_ms)) * (1 + limit.tolerance / 100)
    return Fraction(min(pair.head_ms)) > slowest
