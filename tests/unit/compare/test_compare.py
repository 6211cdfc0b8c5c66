"""Comparisons: what is refused, what moved, what fails, and what is only told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from support.factories import make_result, synapse, trained, with_engine, with_uncounted

from snnbench.compare.compare import Comparison, Source, compare, compare_runs, worst
from snnbench.compare.identity import COUNT_KEYS
from snnbench.compare.judge import Status
from snnbench.compare.limits import limits
from snnbench.compare.moves import Direction
from snnbench.compare.words import sentences
from snnbench.metrics.catalogue import metrics
from snnbench.results.counts import LayerRecord
from snnbench.results.run import Accuracy, RunResult, WeightsInfo

DEFAULT = limits(())


def judged(base: RunResult, head: RunResult, *asked: str, **options: Any) -> Comparison:
    allowed = frozenset(options.pop("allowed", ()))
    return compare_runs([base], [head], limits(asked, **options), allowed)


def with_layer(
    result: RunResult, name: str, change: Callable[[LayerRecord], LayerRecord]
) -> RunResult:
    layers = tuple(change(x) if x.name == name else x for x in result.snn.layers)
    assert layers != result.snn.layers
    return replace(result, snn=replace(result.snn, layers=layers))


def scaled_spikes(percent: int) -> Callable[[LayerRecord], LayerRecord]:
    def change(layer: LayerRecord) -> LayerRecord:
        spikes = (layer.output_spikes or 0) * (100 + percent) // 100
        return replace(
            layer, output_spikes=spikes, spikes_per_timestep=None, spikes_per_sample=None
        )

    return change


def status(comparison: Comparison, metric: str) -> Status:
    (found,) = [gate.status for gate in comparison.gates if gate.metric.name == metric]
    return found


def test_a_result_equals_itself() -> None:
    result = with_engine(trained(make_result()))
    comparison = judged(result, result)
    assert comparison.exit_code == 0
    assert comparison.moves == comparison.layer_moves == comparison.missing == ()
    assert {gate.status for gate in comparison.gates if gate.limit} == {Status.OK}


# -- planted regressions --


def test_one_percent_more_spikes_in_one_layer() -> None:
    base = make_result()
    comparison = judged(base, with_layer(base, "blocks.0.lif2", scaled_spikes(1)))
    assert comparison.exit_code == 1
    (gate,) = [gate for gate in comparison.gates if gate.metric.name == "spikes"]
    assert (gate.status, gate.layers) == (Status.REGRESSION, ("blocks.0.lif2",))
    assert {move.layer for move in comparison.layer_moves} == {"blocks.0.lif2"}
    assert {move.direction for move in comparison.layer_moves} == {Direction.WORSE}
    assert comparison.layer_moves[0].relative == pytest.approx(0.01, rel=0.2)


def test_one_percent_fewer_spikes_is_better_unless_exact() -> None:
    base = make_result()
    head = with_layer(base, "blocks.0.lif2", scaled_spikes(-1))
    comparison = judged(base, head)
    assert comparison.exit_code == 0
    assert {move.direction for move in comparison.moves} == {Direction.BETTER}
    assert status(judged(base, head, exact=True), "spikes") is Status.REGRESSION


def test_exact_sees_layers_that_cancel_out() -> None:
    base = make_result()
    up = with_layer(base, "lif1", lambda x: replace(x, output_spikes=(x.output_spikes or 0) + 5))
    head = with_layer(
        up, "blocks.0.lif2", lambda x: replace(x, output_spikes=(x.output_spikes or 0) - 5)
    )
    assert judged(base, head).exit_code == 0
    exact = judged(base, head, exact=True)
    (gate,) = [gate for gate in exact.gates if gate.metric.name == "spikes"]
    assert (gate.status, set(gate.layers)) == (Status.REGRESSION, {"lif1", "blocks.0.lif2"})
    assert "the total is the same" in gate.reason


def test_accuracy_one_point_down() -> None:
    base = trained(make_result())
    head = replace(base, accuracy=Accuracy(correct=92, samples=100))
    assert status(judged(base, head), "accuracy") is Status.REGRESSION
    assert judged(base, head, "accuracy:1pt").exit_code == 0
    assert judged(base, head, "accuracy:0.9pt").exit_code == 1
    assert judged(head, base).exit_code == 0


def test_a_smaller_stride_is_a_regression_and_a_larger_one_loses_neurons() -> None:
    def strided(layer: LayerRecord) -> LayerRecord:
        if layer.name == "blocks.0.conv1":
            return synapse(layer.name, dense=37_748_736 // 4, density=0.15)
        sites = (layer.output_sites or 0) // 4
        return replace(
            layer,
            output_sites=sites,
            output_spikes=sites // 8,
            spikes_per_timestep=None,
            spikes_per_sample=None,
        )

    base = make_result()
    head = base
    for name in ("blocks.0.conv1", "blocks.0.lif1"):
        head = with_layer(head, name, strided)
    comparison = judged(base, head)
    assert comparison.exit_code == 4
    (missing,) = comparison.missing
    assert (missing.kind, missing.layer) == ("neurons", "blocks.0.lif1")
    assert missing.detail == "3,072 of 12,288 neuron updates are left"
    assert judged(base, head, allowed=["neurons"]).exit_code == 1  # no other number of neurons
    assert judged(base, head, "acs:0", allowed=["neurons"]).exit_code == 0
    back = judged(head, base)
    assert back.exit_code == 1
    (gate,) = [gate for gate in back.gates if gate.metric.name == "dense.acs"]
    assert (gate.status, gate.layers) == (Status.REGRESSION, ("blocks.0.conv1",))


def test_an_operation_without_a_rule_and_a_failed_check() -> None:
    base = make_result()
    assert status(judged(base, with_uncounted(base)), "uncounted") is Status.REGRESSION
    failed = replace(base, checks=tuple(replace(check, ok=False) for check in base.checks))
    assert status(judged(base, failed), "failed_checks") is Status.REGRESSION


# -- comparability --

CHANGES: dict[str, Callable[[RunResult], RunResult]] = {
    "schema_version": lambda r: replace(r, schema_version=2),
    "benchmark": lambda r: replace(r, benchmark="other"),
    "benchmark_version": lambda r: replace(r, benchmark_version=None),
    "input_shape": lambda r: replace(r, input_shape=(3, 16, 16)),
    "weights": lambda r: replace(
        r, weights=WeightsInfo(status="trained", description="", sha256="00")
    ),
    "twin_weights": lambda r: replace(
        r, twin_weights=WeightsInfo(status="trained", description="", sha256="00")
    ),
    "data": lambda r: replace(r, data=replace(r.data, sha256="00")),
    "samples": lambda r: replace(r, snn=replace(r.snn, samples=None)),
    "declared_dense": lambda r: replace(r, snn=replace(r.snn, declared_dense=True)),
    **{
        key: lambda r, key=key, value=value: replace(r, config=replace(r.config, **{key: value}))
        for key, value in {
            "timesteps": 4,
            "batch_size": 1,
            "device": "cuda:0",
            "seed": 1,
            "width": 0.5,
            "shortcut": "identity",
            "other_options": {"votes": "mean"},
            "layout": "TN",
        }.items()
    },
}


@pytest.mark.parametrize("key", COUNT_KEYS)
def test_a_key_that_differs_is_refused_and_can_be_allowed(key: str) -> None:
    base = make_result()
    head = CHANGES[key](base)
    comparison = judged(base, head)
    assert comparison.exit_code == 3
    (difference,) = comparison.refused
    assert difference.key == key
    assert difference.base != difference.head
    assert not comparison.gates
    accepted = judged(base, head, allowed=[key])
    assert accepted.refused == ()
    assert [item.key for item in accepted.allowed] == [key]


def test_the_number_of_a_gpu_is_no_difference() -> None:
    base = make_result()
    runs = [
        replace(base, config=replace(base.config, device=name)) for name in ("cuda:0", "cuda:1")
    ]
    assert judged(*runs).refused == ()


def test_the_order_of_options_is_no_difference() -> None:
    base = make_result()
    runs = [
        replace(base, config=replace(base.config, other_options=dict(options)))
        for options in (
            [("norm", "none"), ("votes", "mean")],
            [("votes", "mean"), ("norm", "none")],
        )
    ]
    assert judged(*runs).refused == ()
    (difference,) = judged(base, runs[0]).refused
    assert (difference.base, difference.head) == ("none", "norm=none votes=mean")


# -- unknown is not 0 --


def test_layers_that_are_gone_and_new() -> None:
    base = make_result()
    head = with_layer(base, "pool", lambda x: replace(x, name="pool2"))
    comparison = judged(base, head)
    assert comparison.exit_code == 4
    assert [(item.kind, item.layer) for item in comparison.missing] == [("layers", "pool")]
    assert comparison.added == ("pool2",)
    accepted = judged(base, head, allowed=["layers"])
    assert accepted.exit_code == 0
    assert [item.key for item in accepted.allowed] == ["layers"]


def test_of_very_many_lost_and_new_layers_the_first_are_named() -> None:
    base = make_result()
    many = tuple(replace(base.snn.layers[0], name=f"layer{i:03}") for i in range(500))
    more = replace(base, snn=replace(base.snn, layers=(*base.snn.layers, *many)))
    for comparison, what in ((judged(more, base), "missing"), (judged(base, more), "new")):
        told = [line for line in sentences(comparison) if line.startswith(f"{what}: ")]
        assert told[0].startswith(f"{what}: layer000")
        assert told[20:] == [f"{what}: 480 more"]


def test_a_value_that_becomes_unknown_is_missing() -> None:
    base = make_result()
    head = with_layer(
        base,
        "lif1",
        lambda x: replace(x, output_spikes=None, spikes_per_timestep=None, spikes_per_sample=None),
    )
    comparison = judged(base, head)
    assert comparison.exit_code == 4
    kinds = {(item.kind, item.layer) for item in comparison.missing}
    assert ("spikes", "lif1") in kinds
    back = judged(head, base)
    assert "spikes of lif1" in back.added


def test_an_accuracy_or_a_twin_that_one_side_lacks() -> None:
    plain, labelled = make_result(), trained(make_result())
    head = replace(labelled, accuracy=None)
    assert status(judged(labelled, head), "accuracy") is Status.MISSING
    assert status(judged(head, labelled), "accuracy") is Status.NOT_GATED
    assert status(judged(plain, plain), "accuracy") is Status.NOT_GATED
    assert status(judged(plain, plain, "accuracy:0"), "accuracy") is Status.MISSING
    alone = judged(plain, replace(plain, twin=None))
    assert status(alone, "twin.dense.macs") is Status.MISSING
    assert alone.notes == ("the head has no twin",)


def test_all_counts_are_asked_of_a_network_without_twin_and_checks() -> None:
    result = make_result(twin=None, checks=())
    comparison = judged(result, result, "counts:0")
    assert comparison.exit_code == 0
    assert status(comparison, "twin.dense.macs") is Status.NOT_GATED
    assert judged(result, result, "twin.dense.macs:0").exit_code == 4
    assert judged(make_result(), replace(make_result(), twin=None), "counts:0").exit_code == 4


def test_of_a_group_what_neither_side_has_need_not_be_judged() -> None:
    """The engine's group has four metrics; accuracies are known by one name alone."""
    engine = with_engine(make_result())
    assert judged(engine, engine, "engine:0").exit_code == 0
    plain = make_result()
    assert judged(plain, plain, "engine:0").exit_code == 4  # nothing of it can be judged
    assert judged(engine, plain, "engine:0").exit_code == 4
    assert judged(plain, plain, "side:0", "engine:0").exit_code == 4
    # the last word on a metric does not take it out of its group
    flips = [f"{name}:0" for name in metrics() if name.startswith("engine.")]
    assert judged(engine, engine, "engine:0", *flips[:1]).exit_code == 0


def test_checks_that_are_not_made_are_not_passed() -> None:
    base = make_result()
    assert status(judged(base, replace(base, checks=())), "failed_checks") is Status.MISSING


def test_an_energy_that_becomes_a_lower_bound_is_missing() -> None:
    base = make_result()
    head = with_uncounted(base)
    assert status(judged(base, head), "energy.horowitz-45nm-fp32") is Status.MISSING


# -- the engine --


def test_the_engine_is_told_and_gated_on_request() -> None:
    base = with_engine(make_result())
    head = with_engine(make_result(), flipped_spikes=9)
    comparison = judged(base, head)
    assert comparison.exit_code == 0
    assert [move.metric.name for move in comparison.moves] == ["engine.flips"]
    assert judged(base, head, "engine:0").exit_code == 1


def test_engines_of_other_modes_do_not_compare() -> None:
    base = with_engine(make_result())
    head = with_engine(make_result(), mode="event", flipped_spikes=9)
    comparison = judged(base, head)
    assert comparison.moves == ()
    assert comparison.notes == (
        "the engine's counts are left out: engine.mode differs: auto and event",
    )


# -- several results --


def source(*results: RunResult, label: str = "folder") -> Source:
    return Source(label=label, results=results, single=False)


def test_folders_are_joined_by_benchmark_and_configuration() -> None:
    one, two = make_result(), make_result(benchmark="other")
    report = compare(source(one, two), [source(two, one), source(one)], DEFAULT)
    assert [comparison.benchmark for comparison in report.comparisons] == [
        "other", "resnet19", "resnet19",
    ]  # fmt: skip
    assert report.missing == (("other", "folder"),)
    assert report.exit_code == 4
    assert compare(source(one), [source(one, two)], DEFAULT).added == (("other", "folder"),)
    assert compare(source(one), [source(one, two)], DEFAULT).exit_code == 0


def test_one_configuration_each_says_what_differs() -> None:
    base = make_result()
    head = replace(base, config=replace(base.config, width=0.5))
    report = compare(source(base), [source(head)], DEFAULT)
    assert [item.key for item in report.comparisons[0].refused] == ["width"]


def test_two_files_are_compared_whatever_they_are() -> None:
    base, head = make_result(), make_result(benchmark="other")
    files = [Source(label=one.benchmark, results=(one,), single=True) for one in (base, head)]
    assert compare(files[0], files[1:], DEFAULT).exit_code == 3


def test_untrained_weights_compare_by_their_making() -> None:
    base = make_result()
    assert base.weights.status == "untrained"
    assert not judged(base, base).notes
    comparison = judged(base, replace(base, weights=replace(base.weights, sha256="00")))
    assert comparison.exit_code == 0
    (note,) = comparison.notes
    assert note.startswith("both networks are untrained, and their calibrated weights differ")
    fitted = trained(base)
    other = replace(fitted, weights=replace(fitted.weights, sha256="00"))
    assert [item.key for item in judged(fitted, other).refused] == ["weights"]
    assert [item.key for item in judged(base, fitted).refused] == ["weights"]


def test_repeats_must_agree() -> None:
    base = make_result()
    drifting = replace(
        with_layer(base, "lif1", scaled_spikes(1)), created_utc="2026-01-02T03:04:09+00:00"
    )
    report = compare(source(base), [source(base, drifting)], DEFAULT)
    assert [item.key for item in report.comparisons[0].refused] == ["repeats"]


@pytest.mark.parametrize(
    "change",
    [
        lambda r: replace(r, accuracy=Accuracy(correct=9, samples=100)),
        lambda r: replace(r, weights=replace(r.weights, sha256="00")),
        lambda r: replace(r, checks=tuple(replace(check, ok=False) for check in r.checks)),
    ],
)
def test_a_later_repeat_hides_nothing(change: Callable[[RunResult], RunResult]) -> None:
    base = trained(make_result())
    later = replace(change(base), created_utc="2026-01-02T03:04:09+00:00")
    report = compare(source(base), [source(base, later)], DEFAULT)
    assert [item.key for item in report.comparisons[0].refused] == ["repeats"]
    again = replace(base, created_utc=later.created_utc)
    assert compare(source(base), [source(base, again)], DEFAULT).exit_code == 0


def test_shapes_are_told_whole() -> None:
    shapes = (3, 32, 32), (2, 2), (2,)
    told = [
        judged(make_result(input_shape=one), make_result(input_shape=two)).refused[0]
        for one, two in pairwise(shapes)
    ]
    assert [(item.base, item.head) for item in told] == [("3x32x32", "2x2"), ("2x2", "2")]


def test_the_worst_code_is_what_could_not_be_judged() -> None:
    assert worst([]) == 0
    assert worst([0, 1]) == 1
    assert worst([0, 1, 4]) == 4
    assert worst([4, 3, 1]) == 3
