"""The rule for times: when two sides compare at all, and when one is slower beyond doubt.

Identical code drifts by 5 to 40 % between runs on a shared machine. So a time fails only if the
fastest process of the head is slower than the slowest process of the base by more than the
tolerance, and only where both were measured in turns, three times each at least, on one machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from statistics import median

from snnbench.compare.identity import ALLOWED_FOR_TIMES
from snnbench.results.run import MUST_MATCH, RunResult

MIN_TURNS = 3
"""Runs of each side, one after the other in turns."""


@dataclass(frozen=True, slots=True, order=True)
class Conditions:
    """Under which a time was taken."""

    batch_size: int
    device: str
    threads: int

    def __str__(self) -> str:
        threads = f"{self.threads} {'thread' if self.threads == 1 else 'threads'}"
        return f"batch {self.batch_size}, {self.device}, {threads}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimePair:
    """Times of one network on both sides.

    Attributes:
        conditions: Conditions on both sides.
        base_ms: Median of each process, in milliseconds per sample.
        head_ms: The same of the head.
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
    """Times of the network ``name`` on both sides, by conditions.

    Args:
        base: Runs of the base.
        head: Runs of the head.
        name: ``Timing.name``.
        allowed: Keys of the environment that may differ, as ``environment.torch``.
    """
    before, after = _process_medians(base, name), _process_medians(head, name)
    doubt = _doubt(base, head, allowed)
    return tuple(
        TimePair(
            conditions=conditions,
            base_ms=before.get(conditions, ()),
            head_ms=after.get(conditions, ()),
            doubt=_too_few(before.get(conditions, ()), after.get(conditions, ())) or doubt,
        )
        for conditions in sorted(before.keys() | after.keys())
    )


def _process_medians(runs: Sequence[RunResult], name: str) -> dict[Conditions, tuple[float, ...]]:
    times: dict[tuple[Conditions, int, int], list[float]] = {}
    for turn, run in enumerate(runs):
        for timing in run.timings:
            if timing.name == name:
                conditions = Conditions(timing.batch_size, timing.device, timing.threads)
                key = (conditions, turn, timing.process)
                times.setdefault(key, []).extend(timing.sample_ms)
    medians: dict[Conditions, tuple[float, ...]] = {}
    for (conditions, _, _), each in times.items():
        medians[conditions] = (*medians.get(conditions, ()), median(each))
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
        told = "run" if turns == 1 else "runs"
        return (
            f"{turns} {told} per side; a change of time shows only in {MIN_TURNS} or more, made in "
            "turns"
        )
    return None if _in_turns(base, head) else "base and head were not run in turns"


def _in_turns(base: Sequence[RunResult], head: Sequence[RunResult]) -> bool:
    """Whether every two consecutive runs are one of each side (ABAB, or ABBA)."""
    made = [(_created(run), side) for side, runs in enumerate((base, head)) for run in runs]
    known = sorted((when, side) for when, side in made if when is not None)
    if len(known) < len(made) or len(base) != len(head):
        return False
    return all(first[1] != second[1] for first, second in zip(known[::2], known[1::2], strict=True))


def _created(run: RunResult) -> datetime | None:
    try:
        when = datetime.fromisoformat(run.created_utc)
    except ValueError:
        return None
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when
