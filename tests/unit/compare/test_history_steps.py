"""Steps: every change of a count, and times only beyond their scatter."""

from __future__ import annotations

import random

import pytest

from snnbench.compare.history.steps import exact_steps, scatter, time_steps


def scattered(seed: int, commits: int, sd: float) -> list[float]:
    generator = random.Random(seed)
    return [generator.gauss(1, sd) for _ in range(commits)]


def test_counts_step_wherever_they_change() -> None:
    assert exact_steps([5, 5, 6, 6, 5]) == (2, 4)
    assert exact_steps([7]) == exact_steps([]) == ()


@pytest.mark.parametrize("commits", [6, 10, 50])
def test_scatter_is_no_step(commits: int) -> None:
    alarms = sum(bool(time_steps(scattered(seed, commits, 0.05))) for seed in range(300))
    assert alarms <= 3  # 1 %


@pytest.mark.parametrize("factor", [1.25, 0.8])
def test_a_level_is_found_where_it_begins(factor: float) -> None:
    found = 0
    for seed in range(100):
        times = scattered(seed, 40, 0.02)
        steps = time_steps(times[:20] + [factor * time for time in times[20:]])
        found += steps == (20,)
    assert found >= 95


def test_an_outlier_and_a_slow_drift_are_no_steps() -> None:
    outlier = [1.0, 1.01] * 10
    outlier[9] = 3.0
    assert time_steps(outlier) == ()
    assert time_steps([1 + 0.01 * commit for commit in range(40)]) == ()


def test_a_step_of_less_than_five_percent_is_none() -> None:
    assert time_steps([1.0] * 10 + [1.04] * 10) == ()
    assert time_steps([1.0] * 10 + [1.06] * 10) == (10,)


def test_two_steps_are_two() -> None:
    assert time_steps([1.0] * 8 + [1.5] * 8 + [2.0] * 8) == (8, 16)


def test_scatter_is_a_standard_deviation_that_steps_hardly_disturb() -> None:
    times = scattered(0, 2000, 0.05)
    assert scatter(times) == pytest.approx(0.05, rel=0.1)
    stepped = times[:1000] + [2 * time for time in times[1000:]]
    assert scatter(stepped) < 0.09
    assert scatter([1.0]) == 0
