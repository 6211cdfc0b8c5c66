"""The rule for times: when those of two sides compare at all.

Identical code drifts by 5 to 40 % between runs on a shared machine. So a time fails only if the
fastest process of the head is slower than the slowest process of the base by more than the
tolerance, and only if both were measured on one machine, in turns, at least three times each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from statistics import median

from snnbench.compare.identity import ALLOWED_FOR_TIMES
from snnbench.render.text import plural
from snnbench.results.run import MUST_MATCH, RunResult

MIN_TURNS = 3
"""Least number of runs of each side."""


@dataclass(frozen=True, slots=True, order=True)
class Conditions:
    """Conditions under which a time was taken."""

    batch_size: int
    device: str
    threads: int

    def __str__(self) -> str:
        return f"batch {self.batch_size}, {self.device}, {plural(self.threads, 'thread')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimePair:
    """Times of one network on both sides.

    Attributes:
        conditions: Conditions of both sides.
        base_ms: Median of each process of the base, in milliseconds per sample.
        head_ms: Median of each process of the head, likewise.
        doubt: Why no gate may rest on them; ``None`` if one may.
    """

    conditions: Conditions
    base_ms: tuple[float, ...]
    head_ms: tuple[float, ...]
    doubt: str | None


def time_pairs(
    base: Sequence[RunResult],
    head: Sequence[RunResult],
    name: str,
    *,
    allowed: frozenset[str] = frozenset(),
) -> tuple[TimePair, ...]:
    """Pair by conditions the times called ``name`` (``Timing.name``) in the runs of both sides.

    Keys of the environment that are ``allowed`` to differ cast no doubt on them.
    """
    before, after = _process_medians(base, name), _process_medians(head, name)
    doubt = _doubt(base, head, allowed)
    pairs = []
    for conditions in sorted(before.keys() | after.keys()):
        old, new = before.get(conditions, ()), after.get(conditions, ())
        why = _too_few(old, new) or doubt
        pairs.append(TimePair(conditions=conditions, base_ms=old, head_ms=new, doubt=why))
    return tuple(pairs)


def _process_medians(runs: Sequence[RunResult], name: str) -> dict[Conditions, tuple[float, ...]]:
    times: dict[tuple[Conditions, int, int], list[float]] = {}
    for turn, run in enumerate(runs):
        for timing in run.timings:
            if timing.name == name:
                conditions = Conditions(timing.batch_size, timing.device, timing.threads)
                key = (conditions, turn, timing.process)
                times.setdefault(key, []).extend(timing.sample_ms)
    medians: dict[Conditions, tuple[float, ...]] = {}
    for (conditions, _, _), times_ms in times.items():
        medians[conditions] = (*medians.get(conditions, ()), median(times_ms))
    return medians


def _too_few(base_ms: tuple[float, ...], head_ms: tuple[float, ...]) -> str | None:
    for side, times in (("base", base_ms), ("head", head_ms)):
        if not times:
            return f"the {side} has no such time"
        if not all(map(isfinite, times)):
            return f"a time of the {side} is not finite"
    few = min(len(base_ms), len(head_ms))
    if few < MIN_TURNS:
        return f"{few} of at least {MIN_TURNS} processes per side"
    return None


def _doubt(
    base: Sequence[RunResult], head: Sequence[RunResult], allowed: frozenset[str]
) -> str | None:
    reference = base[0].environment
    accepted = {key for key in ALLOWED_FOR_TIMES if f"environment.{key}" in allowed}
    for run in (*base, *head):
        for key in MUST_MATCH:
            old, new = getattr(reference, key), getattr(run.environment, key)
            if old != new and key not in accepted:
                return f"environment.{key} differs: {old} and {new}"
    turns = min(len(base), len(head))
    if turns < MIN_TURNS:
        return (
            f"{plural(turns, 'run')} per side; a change of time shows only in {MIN_TURNS} or more, "
            "made in turns"
        )
    return None if _in_turns(base, head) else "base and head were not run in turns"


def _in_turns(base: Sequence[RunResult], head: Sequence[RunResult]) -> bool:
    """Say whether every two consecutive runs are one of each side (ABAB, or ABBA)."""
    if len(base) != len(head):
        return False
    try:
        made = sorted((_created(x), side) for side, runs in enumerate((base, head)) for x in runs)
    except ValueError:  # a result has no valid date
        return False
    return all(first[1] != second[1] for first, second in zip(made[::2], made[1::2], strict=True))


def _created(run: RunResult) -> datetime:
    when = datetime.fromisoformat(run.created_utc)
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when
