"""Where a value stepped: exactly for counts, beyond doubt for times.

Times of identical code scatter and drift, so a step in them needs two windows of three commits
that do not overlap, whose medians differ by more than the spread within either window, by more
than the scatter from commit to commit over the whole line explains, and by more than 5 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

WINDOW = 3
MIN_CHANGE = 0.05
SCATTERS = 5.0
"""A step is at least as many standard deviations; see ``scatter``."""
_SD_OF_MEDIAN_DIFFERENCE = 0.954
"""Median of the absolute difference of two draws from a normal distribution, in its sd."""


def exact_steps(values: Sequence[float]) -> tuple[int, ...]:
    """Positions whose value is not the one before."""
    return tuple(at for at in range(1, len(values)) if values[at] != values[at - 1])


def time_steps(times: Sequence[float]) -> tuple[int, ...]:
    """Positions from which on times are of another level.

    Args:
        times: In order; a step needs three on either side.
    """
    noise = scatter(times)
    gaps = {at: _gap(times, at, noise) for at in range(WINDOW, len(times) - WINDOW + 1)}
    found: list[int] = []
    for at, gap in gaps.items():
        if not gap:
            continue
        if found and at - found[-1] < WINDOW:  # windows that share a step: the clearest is it
            if gap > gaps[found[-1]]:
                found[-1] = at
        else:
            found.append(at)
    return tuple(found)


def scatter(times: Sequence[float]) -> float:
    """Standard deviation of one time, drift over a window included, and hardly disturbed by steps.

    From the median difference of times three commits apart.
    """
    differences = [abs(b - a) for a, b in zip(times, times[WINDOW:], strict=False)]
    return median(differences) / _SD_OF_MEDIAN_DIFFERENCE if differences else 0.0


def _gap(times: Sequence[float], at: int, noise: float) -> float:
    """Distance between the windows before and after a step, 0 if it is none."""
    before, after = times[at - WINDOW : at], times[at : at + WINDOW]
    size = abs(median(after) - median(before))
    spread = max(max(side) - min(side) for side in (before, after))
    gap = max(min(after) - max(before), min(before) - max(after), 0.0)
    least = max(spread, SCATTERS * noise, MIN_CHANGE * median(before))
    return gap if size > least else 0.0
