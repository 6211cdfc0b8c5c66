"""Results over time: series that compare, their values by metric, and the commits that step."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from snnbench.compare.history.files import TEST_TIME, Point
from snnbench.compare.history.steps import WINDOW, exact_steps, time_steps
from snnbench.compare.history.values import Value
from snnbench.core.errors import UsageError
from snnbench.metrics.catalogue import compared_metrics
from snnbench.metrics.metric import Family, Gated, Metric

DEFAULT = ("synops", "firing_rate", "accuracy", "latency")
"""Metrics, and groups of them, that are shown if the user asks for none."""

_LONGEST = 60
_HASH_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One commit's value.

    Attributes:
        point: Where it comes from.
        value: In the metric's unit.
        step: Whether the metric stepped here.
    """

    point: Point
    value: Value
    step: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A value before and after a commit; of times the median of three commits a side.

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
        entries: By date.
        differs: Why the series is not one with the one before, e.g. ``weights differ``; empty for
            the first.
    """

    entries: tuple[Entry, ...]
    differs: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One metric of one benchmark.

    Attributes:
        benchmark: Its name.
        metric: What is shown.
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
    """Metrics that a history can show, by name."""
    title = "Median of pytest-benchmark's rounds"
    time = Metric(TEST_TIME, title, "ms", family=Family.TIME, gated=Gated.NEVER)
    return compared_metrics() | {TEST_TIME: time}


def choose(asked: Iterable[str]) -> tuple[Metric, ...]:
    """Metrics by name or group (``latency``), each once; the default ones if none are asked for.

    Raises:
        UsageError: There is no such metric.
    """
    known = known_metrics()
    chosen: dict[str, Metric] = {}
    for name in tuple(asked) or DEFAULT:
        found = {k: v for k, v in known.items() if k == name or k.startswith(f"{name}.")}
        if not found:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            msg = f"--metric {name}: no such metric; {hint}choose one of {', '.join(known)}"
            raise UsageError(msg)
        chosen |= found if name not in known else {name: known[name]}
    return tuple(chosen.values())


def tracks(points: Sequence[Point], chosen: Iterable[Metric]) -> tuple[Track, ...]:
    """Values of the chosen metrics by benchmark; metrics that nobody has are left out.

    Args:
        points: By date.
        chosen: What to show.
    """
    by_benchmark: dict[str, list[Point]] = {}
    for point in points:
        by_benchmark.setdefault(point.benchmark, []).append(point)
    made = (
        track
        for benchmark, mine in by_benchmark.items()
        for metric in chosen
        for track in _of_metric(benchmark, metric, mine)
    )
    return tuple(track for track in made if track.series)


def _of_metric(benchmark: str, metric: Metric, points: Sequence[Point]) -> Iterable[Track]:
    if metric.family is not Family.TIME:
        counts = [
            (point, point.values[metric.name]) for point in points if metric.name in point.values
        ]
        yield Track(
            benchmark=benchmark,
            metric=metric,
            where="",
            series=_series(counts, lambda point: point.identity, exact_steps),
        )
        return
    conditions = dict.fromkeys(
        where for point in points for name, where in point.times_ms if name == metric.name
    )
    for where in conditions:
        key = (metric.name, where)
        times = [(point, point.times_ms[key]) for point in points if key in point.times_ms]
        yield Track(
            benchmark=benchmark,
            metric=metric,
            where=where,
            series=_series(times, lambda point: {**point.identity, **point.machine}, time_steps),
        )


def _series(
    values: Iterable[tuple[Point, Value]],
    identity: Callable[[Point], Mapping[str, str]],
    find_steps: Callable[[Sequence[float]], tuple[int, ...]],
) -> tuple[Series, ...]:
    """Values whose identities agree, together; in order of first appearance."""
    groups: dict[frozenset[tuple[str, str]], list[tuple[Point, Value]]] = {}
    for point, value in values:
        groups.setdefault(frozenset(identity(point).items()), []).append((point, value))
    made: list[Series] = []
    before: Mapping[str, str] | None = None
    for group in groups.values():
        now = identity(group[0][0])
        steps = set(find_steps([value for _, value in group]))
        entries = (
            Entry(point=point, value=value, step=at in steps)
            for at, (point, value) in enumerate(group)
        )
        made.append(
            Series(
                entries=tuple(entries), differs="" if before is None else _differing(before, now)
            )
        )
        before = now
    return tuple(made)


def _differing(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    keys = (*before, *(key for key in now if key not in before))
    return "; ".join(
        f"{key} was {_short(before.get(key))}, is {_short(now.get(key))}"
        for key in keys
        if before.get(key) != now.get(key)
    )


def _short(value: str | None) -> str:
    """A value, or enough of a hash to tell it from another."""
    if value is None:
        return "unknown"
    return value if len(value) <= _LONGEST else f"{value[:_HASH_DIGITS]}..."
