"""Steps in a series of values: every change of a count, only clear changes of a time.

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
"""Least size of a step in standard deviations; see ``scatter``."""
_SD_OF_MEDIAN_DIFFERENCE = 0.954
"""Median absolute difference of two normal draws, in standard deviations of the distribution."""


def exact_steps(values: Sequence[float]) -> tuple[int, ...]:
    """Find positions whose value differs from the one before."""
    return tuple(at for at in range(1, len(values)) if values[at] != values[at - 1])


def time_steps(times: Sequence[float]) -> tuple[int, ...]:
    """Find positions at which times reach another level; a step needs three times on each side."""
    noise = scatter(times)
    gaps = {at: _gap(times, at, noise) for at in range(WINDOW, len(times) - WINDOW + 1)}
    steps: list[int] = []
    for at, gap in gaps.items():
        if not gap:
            continue
        if steps and at - steps[-1] < WINDOW:  # of windows that share a step the clearest counts
            if gap > gaps[steps[-1]]:
                steps[-1] = at
        else:
            steps.append(at)
    return tuple(steps)


def scatter(times: Sequence[float]) -> float:
    """Estimate the standard deviation of one time, including drift, hardly disturbed by steps.

    It follows from the median difference of times three commits apart.
    """
    differences = [abs(b - a) for a, b in zip(times, times[WINDOW:], strict=False)]
    return median(differences) / _SD_OF_MEDIAN_DIFFERENCE if differences else 0.0


def _gap(times: Sequence[float], at: int, noise: float) -> float:
    """Return the distance between the windows before and after a step, 0 if there is no step."""
    before, after = times[at - WINDOW : at], times[at : at + WINDOW]
    size = abs(median(after) - median(before))
    spread = max(max(side) - min(side) for side in (before, after))
    gap = max(min(after) - max(before), min(before) - max(after), 0.0)
    least = max(spread, SCATTERS * noise, MIN_CHANGE * median(before))
    return gap if size > least else 0.0
