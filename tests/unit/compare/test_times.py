"""Times fail only beyond doubt, and are never passed as ok where they do not compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from support.factories import make_result, timing

from snnbench.compare.compare import Comparison, Report, compare_runs
from snnbench.compare.formats import to_json, to_junit
from snnbench.compare.judge import Gate
from snnbench.compare.limits import limits
from snnbench.compare.tables import to_markdown, to_table
from snnbench.results.run import MUST_MATCH, RunResult

ALTERNATING = (0, 2, 4), (1, 3, 5)


def runs(milliseconds: Sequence[float], minutes: Sequence[int]) -> list[RunResult]:
    return [
        make_result(
            timings=(timing("snn-event", ms),), created_utc=f"2026-01-02T03:{minute:02}:00+00:00"
        )
        for ms, minute in zip(milliseconds, minutes, strict=True)
    ]


def judged(base: list[RunResult], head: list[RunResult], *asked: str) -> tuple[Comparison, Gate]:
    comparison = compare_runs(base, head, limits(asked))
    (gate,) = [gate for gate in comparison.gates if gate.metric.name == "latency.event"]
    return comparison, gate


@pytest.mark.parametrize(
    ("head_ms", "tolerance", "code"),
    [
        ((13.1, 14, 13.2), "25%", 1),
        ((13.1, 14, 12.0), "25%", 0),  # one process is not slower
        ((13.1, 14, 13.2), "35%", 0),
        ((9, 9, 9), "0", 0),
        ((10.5, 10.5, 10.5), "0", 1),
    ],
)
def test_the_fastest_of_the_head_against_the_slowest_of_the_base(
    head_ms: tuple[float, ...], tolerance: str, code: int
) -> None:
    base, head = runs((9, 10, 9.5), ALTERNATING[0]), runs(head_ms, ALTERNATING[1])
    comparison, gate = judged(base, head, f"latency.event:{tolerance}")
    assert comparison.exit_code == code, gate
    assert judged(base, head)[1].status == "not gated"  # never by default


@pytest.mark.parametrize(
    ("minutes", "comparable"),
    [
        (((0, 2, 4), (1, 3, 5)), True),
        (((0, 3, 4), (1, 2, 5)), True),
        (((0, 1, 2), (3, 4, 5)), False),
        (((0, 1, 5), (2, 3, 4)), False),
    ],
)
def test_only_runs_in_turns_compare(
    minutes: tuple[tuple[int, ...], tuple[int, ...]], *, comparable: bool
) -> None:
    base, head = (runs((10, 10, 10), part) for part in minutes)
    comparison, gate = judged(base, head, "latency.event:25%")
    assert comparison.exit_code == (0 if comparable else 3)
    if not comparable:
        assert gate.reason == "base and head were not run in turns"
        assert judged(base, head)[1].status == "not gated"


def test_fewer_than_three_processes_and_one_file_with_three() -> None:
    base, head = runs((10, 10), (0, 2)), runs((10, 10), (1, 3))
    assert judged(base, head, "latency.event:9%")[1].reason == "2 of at least 3 processes per side"
    timings = tuple(timing("snn-event", 10, process=process) for process in range(3))
    one = [make_result(timings=timings)]
    comparison, gate = judged(one, one, "latency.event:9%")
    assert comparison.exit_code == 3
    assert gate.reason.startswith("1 run per side; a change of time shows only in 3 or more")


@pytest.mark.parametrize("key", MUST_MATCH)
def test_another_machine_is_named(key: str) -> None:
    base, head = (runs((10,) * 3, minutes) for minutes in ALTERNATING)
    value = 99 if isinstance(getattr(base[0].environment, key), int) else "another"
    head[2] = replace(head[2], environment=replace(head[2].environment, **{key: value}))
    comparison, gate = judged(base, head, "latency.event:25%")
    assert comparison.exit_code == 3
    assert gate.reason.startswith(f"environment.{key} differs: ")
    allowed = frozenset({f"environment.{key}"})
    accepted = compare_runs(base, head, limits(("latency.event:25%",)), allowed)
    assert accepted.exit_code == (0 if key in ("python", "torch") else 3)


def test_times_that_are_not_there() -> None:
    base, head = (runs((10,) * 3, minutes) for minutes in ALTERNATING)
    none = [replace(run, timings=()) for run in head]
    assert judged(base, none, "latency.event:25%")[1].reason == "the head has no such time"
    assert compare_runs(none, none, limits(("latency.event:25%",))).exit_code == 3
    assert judged(base, none)[0].exit_code == 0


def test_of_the_group_of_times_one_is_enough() -> None:
    base, head = (runs((10,) * 3, minutes) for minutes in ALTERNATING)
    for asked in (("latency:25%",), ("latency:25%", "latency.event:40%")):
        comparison = compare_runs(base, head, limits(asked))
        assert comparison.exit_code == 0
        told = {gate.metric.name: gate.status for gate in comparison.gates if gate.limit}
        assert told["latency.event"] == "ok"
        assert told["latency.twin"] == "not gated"
    none = [replace(run, timings=()) for run in head]
    assert compare_runs(none, none, limits(("latency:25%",))).exit_code == 3
    assert compare_runs(base, none, limits(("latency:25%",))).exit_code == 3


def test_another_compiler_of_event_kernels_is_noted() -> None:
    base, head = (runs((10,) * 3, minutes) for minutes in ALTERNATING)
    packages = head[0].environment.packages | {"numba": "0.1"}
    other = [replace(r, environment=replace(r.environment, packages=packages)) for r in head]
    assert compare_runs(base, head, limits(())).notes == ()
    (note,) = compare_runs(base, other, limits(())).notes
    assert "0.1" in note


@pytest.mark.parametrize("created", ["", "yesterday", "2026-13-01T00:00:00"])
def test_a_run_without_a_time_of_its_own(created: str) -> None:
    base, head = (runs((10,) * 3, minutes) for minutes in ALTERNATING)
    head[0] = replace(head[0], created_utc=created)
    assert judged(base, head, "latency.event:25%")[1].reason == (
        "base and head were not run in turns"
    )


def test_a_time_beyond_reason_is_no_time() -> None:
    base, head = (runs((10,) * 3, minutes) for minutes in ALTERNATING)
    huge = replace(head[0].timings[0], raw_seconds=(1e308,))
    head[0] = replace(head[0], timings=(huge,))
    comparison, gate = judged(base, head, "latency.event:25%")
    assert gate.reason == "a time of the head is not finite"
    report = Report(comparisons=(comparison,))
    assert all(render(report) for render in (to_table, to_markdown, to_json, to_junit))
    # finite medians whose mean is not
    large = replace(huge, raw_seconds=(1.5e305,), batch_size=1)
    one = [make_result(timings=tuple(replace(large, process=process) for process in (0, 1)))]
    (gate,) = [g for g in compare_runs(one, one, {}).gates if g.metric.name == "latency.event"]
    assert (gate.base, gate.head) == (None, None)


def test_batches_are_judged_apart() -> None:
    timings = tuple(replace(timing("snn-event", 10), batch_size=size) for size in (1, 32))
    one = [make_result(timings=timings)]
    gates = [g for g in compare_runs(one, one, {}).gates if g.metric.name == "latency.event"]
    assert [gate.where for gate in gates] == ["batch 1, cpu, 1 thread", "batch 32, cpu, 1 thread"]
