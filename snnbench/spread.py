"""What raw times are worth: median, spread, and a word about a spread that is too large."""

from __future__ import annotations

from statistics import median, quantiles

from snnbench.records import Timing

UNSTEADY = 0.10
"""Relative spread from which a result criticises itself."""


def seconds_per_call(timing: Timing) -> tuple[float, ...]:
    """Raw times divided by the calls of a run, in seconds."""
    return tuple(seconds / timing.number_per_run for seconds in timing.raw_seconds)


def median_seconds(timing: Timing) -> float:
    """Median time of one call, in seconds."""
    return median(seconds_per_call(timing))


def relative_spread(timing: Timing) -> float | None:
    """Interquartile range over the median; ``None`` for fewer than two runs."""
    times = seconds_per_call(timing)
    if len(times) < 2 or median(times) == 0:
        return None
    low, middle, high = quantiles(times, n=4, method="inclusive")
    return (high - low) / middle


def criticism(timing: Timing) -> str | None:
    """What to do about an unsteady measurement, or ``None`` if it is steady.

    One sentence where the spread is at least ``UNSTEADY`` or cannot be known.
    """
    spread = relative_spread(timing)
    if spread is None:
        return f"{timing.name}: one run has no spread: raise --runs"
    if spread < UNSTEADY:
        return None
    return f"{timing.name}: spread {spread:.0%} of the median: close other programs or raise --runs"
