"""What runs in turns may be said to show: slower, not slower, or too noisy to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, strategies as st
from support.factories import engine_run, make_result, snn_profile, timing

from snnbench.compare.ab import verdict
from snnbench.compare.ab.turns import order
from snnbench.compare.compare import Comparison, Report
from snnbench.compare.formats import to_junit
from snnbench.compare.judge import Status
from snnbench.compare.tables import to_table
from snnbench.core.errors import UsageError
from snnbench.results.engine import EngineRun
from snnbench.results.run import Accuracy, RunResult

DETECT = Fraction(1, 4)
ENGINE = engine_run(snn_profile())


def runs(
    side: int, milliseconds: Sequence[float], engines: Sequence[EngineRun | None] | None = None
) -> list[RunResult]:
    """Runs of one side, made when ``order`` makes them, with and without the engine."""
    minutes = [
        minute for minute, (which, _) in enumerate(order(len(milliseconds))) if which == side
    ]
    return [
        make_result(
            timings=(timing("snn-event", ms),) if ms else (),
            created_utc=f"2026-01-02T03:{minute:02}:00+00:00",
            engine=engine,
        )
        for minute, ms, engine in zip(
            minutes, milliseconds, engines or [None] * len(minutes), strict=True
        )
    ]


def judged(base: list[RunResult], head: list[RunResult], *asked: str) -> Comparison:
    return verdict.judge(
        base,
        head,
        verdict.rules(asked, DETECT, exact=False),
        asked=verdict.asked_metrics(asked),
        allowed=frozenset(),
        detect=DETECT,
        labels=("base", "head"),
    )


@pytest.mark.parametrize(
    ("base_ms", "head_ms", "status", "code"),
    [
        ((10, 10.2, 10.1), (10.1, 10, 10.2), Status.OK, 0),
        ((10, 10.2, 10.1), (12.6, 12.5, 12.9), Status.REGRESSION, 1),
        ((10, 10.2, 10.1), (11.4, 11, 11.1), Status.OK, 0),  # within the tolerance of 10 %
        ((10, 14, 10.1), (10.1, 10, 13.0), Status.INCONCLUSIVE, 0),
        ((10, 14, 10.1), (15, 13, 14.5), Status.INCONCLUSIVE, 0),  # slower, or noise
        ((10, 14, 10.1), (9.8, 9.9, 10.0), Status.OK, 0),  # no slower than the fastest of the base
    ],
)
def test_slower_not_slower_or_too_noisy(
    base_ms: Sequence[float], head_ms: Sequence[float], status: Status, code: int
) -> None:
    comparison = judged(runs(0, base_ms), runs(1, head_ms))
    (gate,) = [gate for gate in comparison.gates if gate.metric.name == "latency.event"]
    assert (gate.status, comparison.exit_code) == (status, code), gate
    assert comparison.inconclusive == (status is Status.INCONCLUSIVE)


def test_it_says_how_large_a_change_it_could_have_seen() -> None:
    comparison = judged(runs(0, (10, 10.5, 10)), runs(1, (10, 10, 10.2)))
    assert comparison.notes == (
        "latency.event, batch 2, cpu, 1 thread: the head takes 0.95 to 1.02 times as long; a "
        "slowdown of 16 % or more would have been seen",  # 1.05 * 1.1
    )


@given(
    noise=st.lists(st.floats(1.0, 1.5), min_size=6, max_size=6),
    tolerance=st.floats(0.0, 0.3),
    excess=st.floats(1.001, 2.0),
)
def test_a_detectable_slowdown_is_detected(
    noise: list[float], tolerance: float, excess: float
) -> None:
    # the noisiest case: both sides meet the same range of noise
    lowest, highest = min(noise), max(noise)
    factor = highest / lowest * (1 + tolerance) * excess
    found = verdict.Range.of([lowest, highest], [factor * ms for ms in noise], tolerance)
    assert found.detectable <= factor
    assert found.lowest > 1 + tolerance


def test_inconclusive_is_told_in_every_format() -> None:
    comparison = judged(runs(0, (10, 14, 10.1)), runs(1, (10.1, 10, 13.0)))
    report = Report(comparisons=(comparison,))
    table = to_table(report, 200)
    assert "too noisy to rule out a slowdown of 25 %" in table
    assert table.endswith("verdict: inconclusive (exit code 0)\n")
    assert '<skipped message="the machine is too noisy' in to_junit(report)


def test_a_count_that_got_worse_outranks_noise() -> None:
    head = runs(1, (10.1, 10, 13.0))
    worse = [replace(run, accuracy=Accuracy(correct=4, samples=10)) for run in head]
    base = runs(0, (10, 14, 10.1))
    better = [replace(run, accuracy=Accuracy(correct=5, samples=10)) for run in base]
    comparison = judged(better, worse)
    assert (comparison.exit_code, comparison.inconclusive) == (1, True)


def test_default_limits_ask_for_no_time_that_neither_side_has() -> None:
    base, head = runs(0, (0, 0, 0)), runs(1, (0, 0, 0))
    assert judged(base, head).exit_code == 0
    assert judged(base, head, "latency.event:5%").exit_code == 3
    assert judged(runs(0, (10, 10, 10)), head).exit_code == 3  # the head has lost it


def test_too_few_runs_are_no_verdict() -> None:
    assert judged(runs(0, (10, 10)), runs(1, (20, 20))).exit_code == 3


def with_step(factor: float, noise: Sequence[float]) -> list[EngineRun | None]:
    """An engine whose second step takes ``factor`` times as long, with noise on every step."""
    made: list[EngineRun | None] = []
    for scale in noise:
        steps = [
            replace(
                step,
                raw_seconds=tuple(
                    s * scale * (factor if index == 1 else 1) for s in step.raw_seconds
                ),
            )
            for index, step in enumerate(ENGINE.steps)
        ]
        made.append(replace(ENGINE, steps=tuple(steps)))
    return made


def test_the_slower_step_is_named() -> None:
    base = runs(0, (10, 10.2, 10.1), with_step(1.0, (1, 1.05, 1.02)))
    head = runs(1, (12.6, 12.5, 12.9), with_step(1.3, (1.03, 1, 1.06)))
    comparison = judged(base, head)
    name = ENGINE.steps[1].name
    (gate,) = [gate for gate in comparison.gates if gate.metric.name == "latency.event"]
    assert gate.layers == (name,)
    assert any(f"slower steps of the engine: {name} 1.31x (" in note for note in comparison.notes)
    assert not verdict.slower_steps(base, base, 0.0)


def test_steps_keep_their_tolerance_where_no_network_was_timed() -> None:
    base, head = (
        runs(side, (0, 0, 0), with_step(factor, (1, 1, 1)))
        for side, factor in ((0, 1.0), (1, 1.05))
    )
    assert judged(base, head).notes == ()
    slower = runs(1, (0, 0, 0), with_step(1.3, (1, 1, 1)))
    assert judged(base, slower).notes[0].startswith("slower steps of the engine: ")


@pytest.mark.parametrize("asked", ["latency.event:25%", "latency:30%"])
def test_what_must_be_seen_is_above_the_tolerance(asked: str) -> None:
    with pytest.raises(UsageError, match="--detect 25% must be above the tolerance of latency"):
        verdict.rules((asked,), DETECT, exact=False)
    chosen = verdict.rules((asked,), Fraction(1, 2), exact=False)
    assert str(chosen["latency.event"]) in asked
    assert "synops" in chosen  # beside the defaults, not instead of them


@given(st.integers(1, 20))
def test_turns_alternate_and_balance(processes: int) -> None:
    sides = [side for side, _ in order(processes)]
    assert sides.count(0) == sides.count(1) == processes
    assert all(a != b for a, b in zip(sides[::2], sides[1::2], strict=True))
