"""Laws of ``compare``: reflexive, antisymmetric, blind to order, and total over the schema."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from support.factories import HOSTILE_NAME, make_result, trained, with_engine, with_names

from snnbench.compare.compare import Comparison, Report, Source, compare, compare_runs
from snnbench.compare.formats import to_json, to_junit
from snnbench.compare.identity import ALLOWABLE
from snnbench.compare.limits import limits
from snnbench.compare.moves import Direction
from snnbench.compare.sources import read
from snnbench.compare.tables import to_markdown, to_table
from snnbench.core.errors import ResultError
from snnbench.results.counts import LayerRecord, Role
from snnbench.results.files import save
from snnbench.results.run import Accuracy, RunResult

DEFAULT = limits(())
EVERYTHING = frozenset(ALLOWABLE)
MIRROR = {
    Direction.BETTER: Direction.WORSE,
    Direction.WORSE: Direction.BETTER,
    Direction.CHANGED: Direction.CHANGED,
}


@st.composite
def nudged_layers(draw: st.DrawFn, layer: LayerRecord) -> LayerRecord:
    """The layer with other spikes or other effective operations, consistent in itself."""
    share = draw(st.sampled_from([1.0, 1.0, 0.0, 0.5, 0.99, 1.01]))
    if layer.role is Role.NEURON and layer.output_spikes is not None:
        spikes = draw(st.sampled_from([int(layer.output_spikes * share), None]))
        return replace(
            layer, output_spikes=spikes, spikes_per_timestep=None, spikes_per_sample=None
        )
    effective = replace(
        layer.effective,
        acs=int(layer.effective.acs * share),
        macs=int(layer.effective.macs * share),
    )
    return replace(
        layer, effective=effective, effective_per_timestep=None, effective_per_sample=None
    )


@st.composite
def results(draw: st.DrawFn) -> RunResult:
    result = with_engine(trained(make_result(blocks=draw(st.integers(1, 2)))))
    layers = [draw(nudged_layers(layer)) for layer in result.snn.layers]
    dropped = draw(st.sampled_from([None, None, *range(len(layers))]))
    kept = tuple(layer for place, layer in enumerate(layers) if place != dropped)
    accuracy = Accuracy(correct=draw(st.integers(0, 10)), samples=draw(st.sampled_from([0, 10])))
    return replace(
        result,
        snn=replace(result.snn, layers=kept),
        accuracy=draw(st.sampled_from([None, replace(accuracy, correct=0), accuracy]))
        if accuracy.samples
        else None,
        twin=draw(st.sampled_from([None, result.twin])),
        engine=draw(st.sampled_from([None, result.engine])),
        benchmark=draw(st.sampled_from(["resnet19", "resnet19", "other"])),
        created_utc=draw(st.sampled_from(["2026-01-02T03:04:05+00:00", "", "later"])),
    )


def told(comparison: Comparison) -> list[str]:
    """Everything a comparison says, wherever it comes from."""
    report = compare(Source(label="a", results=(), single=False), [], DEFAULT)
    whole = replace(report, comparisons=(comparison,))
    return [to_table(whole), to_markdown(whole), to_json(whole), to_junit(whole)]


@settings(max_examples=40)
@given(result=results(), exact=st.booleans())
def test_a_result_is_equal_to_itself(result: RunResult, *, exact: bool) -> None:
    comparison = compare_runs([result], [result], limits((), exact=exact))
    assert comparison.exit_code == 0
    assert (comparison.moves, comparison.layer_moves, comparison.missing) == ((), (), ())
    assert (comparison.refused, comparison.allowed, comparison.added) == ((), (), ())


@settings(max_examples=60)
@given(one=results(), two=results())
def test_better_one_way_is_worse_the_other(one: RunResult, two: RunResult) -> None:
    there = compare_runs([one], [two], DEFAULT, EVERYTHING)
    back = compare_runs([two], [one], DEFAULT, EVERYTHING)
    for kind in ("moves", "layer_moves"):
        forward = {(m.metric.name, m.layer): m for m in getattr(there, kind)}
        backward = {(m.metric.name, m.layer): m for m in getattr(back, kind)}
        assert forward.keys() == backward.keys()
        for key, move in forward.items():
            assert backward[key].direction is MIRROR[move.direction]
            assert backward[key].change == -move.change
    gone = {item.layer for item in there.missing if item.kind == "layers"}
    assert gone <= set(back.added)


@settings(max_examples=40)
@given(one=results(), two=results(), seed=st.integers(0, 99))
def test_the_order_of_layers_does_not_matter(one: RunResult, two: RunResult, seed: int) -> None:
    layers = list(two.snn.layers)
    random.Random(seed).shuffle(layers)
    shuffled = replace(two, snn=replace(two.snn, layers=tuple(layers)))
    as_is = compare_runs([one], [two], DEFAULT)
    assert told(compare_runs([one], [shuffled], DEFAULT)) == told(as_is)
    assert told(compare_runs([shuffled], [one], DEFAULT)) == told(
        compare_runs([two], [one], DEFAULT)
    )


@settings(max_examples=25)
@given(parts=st.lists(results(), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_the_order_of_files_does_not_matter(parts: list[RunResult], seed: int) -> None:
    # a time of its own each: the first run of a side is the one whose counts are compared
    runs = [replace(run, created_utc=f"2026-01-02T03:04:{i:02}") for i, run in enumerate(parts)]
    mixed = list(runs)
    random.Random(seed).shuffle(mixed)
    base = Source(label="base", results=(make_result(),), single=False)
    reports = [
        compare(base, [Source(label="head", results=tuple(order), single=False)], DEFAULT)
        for order in (runs, mixed)
    ]
    assert reports[0] == reports[1]
    several = [Source(label=str(i), results=(run,), single=True) for i, run in enumerate(runs)]
    codes = [
        compare(base, order, DEFAULT).exit_code for order in (several, list(reversed(several)))
    ]
    assert codes[0] == codes[1]


@settings(max_examples=60)
@given(one=results(), two=results(), allow=st.booleans())
def test_any_two_compare_or_are_refused_with_a_reason(
    one: RunResult, two: RunResult, *, allow: bool
) -> None:
    comparison = compare_runs([one], [two], DEFAULT, EVERYTHING if allow else frozenset())
    texts = told(comparison)
    assert all(texts)
    if comparison.exit_code == 3:
        assert comparison.refused
        assert all(item.key in text for item in comparison.refused for text in texts)
    if comparison.exit_code == 4:
        assert comparison.missing or any(gate.status == "missing" for gate in comparison.gates)
    statuses = Counter(gate.status for gate in comparison.gates)
    assert comparison.exit_code != 1 or statuses["regression"]
    assert comparison.exit_code != 0 or statuses.keys() <= {"ok", "not gated"}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gate") / "base.json"
    save(with_engine(trained(with_names(make_result(), HOSTILE_NAME))), path)
    return path


HOSTILE = st.sampled_from(
    [
        10**400,
        -1,
        2**63,
        1e308,
        None,
        "\ud800",
        "<b>|`\x1b[2J\u202e",
        [],
        {},
        True,
        "9" * 5000,
        [[]],
    ]
)


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = [path] if path else []
    if isinstance(tree, dict):
        found += [place for key, child in tree.items() for place in places(child, (*path, key))]
    if isinstance(tree, list):
        found += [place for i, child in enumerate(tree) for place in places(child, (*path, i))]
    return found


def compared(base: Path, head: Path) -> Report | None:
    """The comparison; ``None`` if a file is refused, which alone may be raised."""
    try:
        return compare(read(base), [read(head)], DEFAULT)
    except ResultError:
        return None


@settings(max_examples=150)
@given(data=st.data())
def test_a_hostile_file_is_refused_or_compared_but_counts_never_pass(
    saved: Path, data: st.DataObject
) -> None:
    tree = json.loads(saved.read_bytes())
    *parents, last = data.draw(st.sampled_from(places(tree)))
    inner = tree
    for key in parents:
        inner = inner[key]
    before = inner[last]
    inner[last] = data.draw(HOSTILE)
    head = saved.with_name("head.json")
    head.write_bytes(json.dumps(tree).encode())
    report = compared(saved, head)
    if report is None:
        return
    texts = [to_table(report), to_markdown(report), to_json(report), to_junit(report)]
    assert not any("\x1b" in text or "\u202e" in text for text in texts)
    assert "<b>" not in texts[1]
    counted = ("acs", "macs", "output_spikes", "output_sites", "correct", "sha256")
    if last in counted and parents[0] in ("snn", "weights", "data", "accuracy"):
        assert inner[last] == before or report.exit_code or report.comparisons[0].moves
