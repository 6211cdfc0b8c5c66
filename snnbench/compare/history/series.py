"""Results over time: values of metrics in series that compare, and the steps in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from snnbench.compare.history.files import TEST_TIME, Point
from snnbench.compare.history.steps import WINDOW, exact_steps, time_steps
from snnbench.compare.history.values import Value
from snnbench.core.errors import UsageError, suggestion
from snnbench.metrics.catalogue import compared_metrics
from snnbench.metrics.metric import Family, Gated, Metric

_Value = tuple[Point, Value]

DEFAULT = ("synops", "firing_rate", "accuracy", "latency")
"""Metrics, and groups of them, that are shown by default."""

_LONGEST = 60
_HASH_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One commit's value.

    Attributes:
        point: Point that has it.
        value: Value in the metric's unit.
        step: Whether the metric stepped here.
    """

    point: Point
    value: Value
    step: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A value before and after a commit; for times the median of three commits per side.

    Attributes:
        point: The first commit after it.
        base: Value before.
        head: Value after.
    """

    point: Point
    base: Value
    head: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Values that compare with each other.

    Attributes:
        entries: Values by date.
        differs: Why the series does not continue the one before; empty for the first.
    """

    entries: tuple[Entry, ...]
    differs: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One metric of one benchmark.

    Attributes:
        benchmark: Name of the benchmark.
        metric: The metric.
        where: Conditions of a time, else empty.
        series: At least one.
    """

    benchmark: str
    metric: Metric
    where: str
    series: tuple[Series, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every step, series by series."""
        width = WINDOW if self.metric.family is Family.TIME else 1
        return tuple(
            Step(
                point=entry.point,
                base=median(entry.value for entry in series.entries[at - width : at]),
                head=median(entry.value for entry in series.entries[at : at + width]),
            )
            for series in self.series
            for at, entry in enumerate(series.entries)
            if entry.step
        )


def known_metrics() -> dict[str, Metric]:
    """Return the metrics that a history can show, by name."""
    title = "Median of pytest-benchmark's rounds"
    time = Metric(TEST_TIME, title, "ms", family=Family.TIME, gated=Gated.NEVER)
    return compared_metrics() | {TEST_TIME: time}


def choose(asked: Iterable[str]) -> tuple[Metric, ...]:
    """Return metrics by name or group (``latency``), each once; by default those of ``DEFAULT``.

    Raises:
        UsageError: There is no such metric.
    """
    known = known_metrics()
    chosen: dict[str, Metric] = {}
    for name in tuple(asked) or DEFAULT:
        group = {k: metric for k, metric in known.items() if k.startswith(f"{name}.")}
        if name not in known and not group:
            msg = f"--metric {name}: no such metric; {suggestion(name, known)}"
            raise UsageError(msg)
        chosen |= {name: known[name]} if name in known else group
    return tuple(chosen.values())


def tracks(points: Sequence[Point], chosen: Iterable[Metric]) -> tuple[Track, ...]:
    """Collect the values of metrics by benchmark from ``points``, which are sorted by date.

    Metrics without a value are left out.
    """
    by_benchmark: dict[str, list[Point]] = {}
    for point in points:
        by_benchmark.setdefault(point.benchmark, []).append(point)
    return tuple(
        Track(benchmark=benchmark, metric=metric, where=where, series=_series(metric, values))
        for benchmark, mine in by_benchmark.items()
        for metric in chosen
        for where, values in _by_conditions(metric, mine).items()
    )


def _by_conditions(metric: Metric, points: Iterable[Point]) -> dict[str, list[_Value]]:
    """Return the known values of a metric by conditions, which are empty for anything but times."""
    values: dict[str, list[_Value]] = {}
    for point in points:
        if metric.family is not Family.TIME:
            if metric.name in point.values:
                values.setdefault("", []).append((point, point.values[metric.name]))
            continue
        for (name, where), time_ms in point.times_ms.items():
            if name == metric.name:
                values.setdefault(where, []).append((point, time_ms))
    return values


def _series(metric: Metric, values: Iterable[_Value]) -> tuple[Series, ...]:
    """Group values whose identities agree, in order of first appearance."""
    timed = metric.family is Family.TIME
    groups: dict[frozenset[tuple[str, str]], list[_Value]] = {}
    for point, value in values:
        key = _identity(point, timed=timed)
        groups.setdefault(frozenset(key.items()), []).append((point, value))
    made: list[Series] = []
    before: Mapping[str, str] | None = None
    for group in groups.values():
        now = _identity(group[0][0], timed=timed)
        steps = (time_steps if timed else exact_steps)([value for _, value in group])
        entries = tuple(
            Entry(point=point, value=value, step=at in steps)
            for at, (point, value) in enumerate(group)
        )
        made.append(
            Series(entries=entries, differs="" if before is None else _differing(before, now))
        )
        before = now
    return tuple(made)


def _identity(point: Point, *, timed: bool) -> Mapping[str, str]:
    return {**point.identity, **point.machine} if timed else point.identity


def _differing(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    keys = (*before, *(key for key in now if key not in before))
    return "; ".join(
        f"{key} was {_short(before.get(key))}, is {_short(now.get(key))}"
        for key in keys
        if before.get(key) != now.get(key)
    )


def _short(value: str | None) -> str:
    """Write a value; a hash is cut to enough digits to tell it from another."""
    if value is None:
        return "unknown"
    return value if len(value) <= _LONGEST else f"{value[:_HASH_DIGITS]}..."
