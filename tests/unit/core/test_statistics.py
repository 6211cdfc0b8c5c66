"""Intervals of proportions and quartiles, against numbers worked by hand."""

from __future__ import annotations

import pytest

from snnbench.core.statistics import quartiles, wilson


@pytest.mark.parametrize(
    ("correct", "samples", "low", "high"),
    [
        # solutions of (s/n - p)^2 = z^2 p (1 - p) / n with z^2 = 3.841459, worked by hand:
        # 0 of 10: p = z^2 / (10 + z^2); 10 of 10: its complement; 5 of 10: 1/2 -+ z / (2 sqrt(n +
        # z^2)); 8 of 10: (8 + z^2/2 -+ z sqrt(1.6 + z^2/4)) / (10 + z^2)
        (0, 10, 0.0, 0.2775328),
        (10, 10, 0.7224672, 1.0),
        (5, 10, 0.2365931, 0.7634069),
        (8, 10, 0.4901625, 0.9433178),
    ],
)
def test_the_interval_is_wilson_s(correct: int, samples: int, low: float, high: float) -> None:
    assert wilson(correct, samples) == pytest.approx((low, high), abs=1e-6)


def test_quartiles_are_interpolated_between_values() -> None:
    assert quartiles([5.0, 1.0, 2.0, 4.0]) == (1.75, 4.25)
    assert quartiles([3.0, 1.0, 2.0, 4.0, 5.0]) == (2.0, 4.0)
    assert quartiles([7.0]) == (7.0, 7.0)
