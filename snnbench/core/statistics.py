"""Confidence intervals of proportions, and quartiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, quantiles


def wilson(correct: int, samples: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval (Wilson 1927), which stays in [0, 1] and is right near its ends.

    Args:
        correct: Successes among ``samples``.
        samples: Independent trials, at least 1.
        confidence: Two-sided, in (0, 1).

    Returns:
        Lower and upper limit of the proportion.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = correct / samples
    centre = share + z * z / (2 * samples)
    spread = z * math.sqrt(share * (1 - share) / samples + z * z / (4 * samples * samples))
    scale = 1 + z * z / samples
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """Return the first and third quartile, interpolated; both are the value if there is one."""
    if len(values) == 1:
        return values[0], values[0]
    first, _, third = quantiles(values, n=4, method="inclusive")
    return first, third
