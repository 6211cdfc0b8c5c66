from dataclasses import replace
from pathlib import Path

import pytest
from support.factories import make_result, neuron, synapse, with_uncounted

from snnbench.core.errors import UsageError
from snnbench.energy.estimate import estimate_energy
from snnbench.energy.models import DEFAULT_MODEL, OPERATIONS, get, load_model, memory_remark, models
from snnbench.results.counts import OpCount, Profile, SideOps

TABLE = """
title = "Toy"
source = "a paper"
scope = "everything"
[[costs]]
operation = "ac"
pj = 2.0
source = "table 1"
"""


def profile(*layers):
    return Profile(layers=layers, samples=1, timesteps=1)


def layer(name, *, macs=0, acs=0, updates=0):
    return replace(
        synapse(name, dense=64, density=0.5, samples=1, timesteps=1),
        dense=OpCount(macs=3 * macs, acs=3 * acs),
        effective=OpCount(macs=macs, acs=acs),
        side=SideOps(membrane_updates=updates),
    )


def test_the_tables_hold_the_published_figures():
    published = {
        "horowitz-45nm-fp32": {"mac": 3.7 + 0.9, "ac": 0.9},
        "horowitz-45nm-fp16": {"mac": 1.1 + 0.4, "ac": 0.4},
        "horowitz-45nm-int8": {"mac": 0.2 + 0.03, "ac": 0.03},
        "loihi-14nm": {"ac": 23.6 + 3.5, "neuron_update": 81.0},
    }

    assert {model.name for model in models()} == set(published)
    for model in models():
        costs = {cost.operation: cost.pj for cost in model.costs}
        assert costs == pytest.approx(published[model.name])
    assert models()[0].name == DEFAULT_MODEL
    assert all(cost.source and model.source for model in models() for cost in model.costs)


def test_the_estimate_is_counts_times_costs():
    counted = profile(layer("a", macs=10), layer("b", acs=100), neuron("n", rate=0.1))

    got = estimate_energy(counted, get("horowitz-45nm-fp32"))

    assert got.total_pj == got.exact_pj == 136
    assert [(term.layer, term.operation, term.count, term.pj) for term in got.terms] == [
        ("a", "mac", 10, 46),
        ("b", "ac", 100, 90),
    ]
    assert got.included == ("multiply-accumulates", "accumulates")
    assert got.complete
    assert got.excluded == ("memory traffic", "neuron updates")
    dense = estimate_energy(counted, get("horowitz-45nm-fp32"), counting="dense")
    assert dense.total_pj == pytest.approx(3 * got.total_pj)


def test_loihi_prices_spikes_and_neuron_updates_and_names_the_macs_it_leaves_out():
    counted = profile(layer("conv1", macs=25), layer("conv2", acs=75, updates=7))

    got = estimate_energy(counted, get("loihi-14nm"))

    assert got.total_pj == pytest.approx(75 * 27.1 + 7 * 81)
    assert {term.layer for term in got.terms} == {"conv2"}
    assert not got.complete
    assert any("25 % of the synaptic operations (conv1)" in text for text in got.excluded)
    assert "neuron updates" not in got.excluded


def test_loihi_has_no_estimate_for_a_network_of_macs():
    twin = make_result().twin

    for counting in ("dense", "effective"):
        got = estimate_energy(twin, get("loihi-14nm"), counting=counting)
        assert got.total_pj is None
        assert "no price for a multiply-accumulate" in got.reason


def test_what_has_no_price_is_named(tmp_path: Path):
    path = tmp_path / "toy.toml"
    path.write_text(TABLE.replace('"ac"', '"mac"'))

    assert estimate_energy(profile(layer("a", acs=1)), load_model(path)).reason == (
        "no price for accumulates"
    )


def test_nothing_counted_is_unknown_not_free():
    got = estimate_energy(profile(), get("horowitz-45nm-fp32"))

    assert got.total_pj is None
    assert got.reason == "no synaptic operation was counted"


def test_uncounted_operations_make_the_total_a_lower_bound():
    result = with_uncounted(make_result())

    got = estimate_energy(result.snn, get("horowitz-45nm-int8"))

    assert not got.complete
    assert "uncounted operations (aten.cdist)" in got.excluded


def test_neither_the_order_of_layers_nor_pooling_them_changes_the_total():
    counted = profile(*(layer(f"conv{i}", acs=10**9 + i, updates=i) for i in range(20)))
    backwards = replace(counted, layers=counted.layers[::-1])
    pooled = profile(layer("all", acs=counted.effective.acs, updates=190))

    for table in models():
        totals = {estimate_energy(p, table).exact_pj for p in (counted, backwards, pooled)}
        assert len(totals) == 1
        assert totals != {None}


MEMORY = TABLE + "".join(
    f'[[costs]]\noperation = "{name}"\npj = {pj}\nsource = "table 2"\n'
    for name, pj in {
        "weight_read": 10.0,
        "input_read": 3.0,
        "potential_read": 0.5,
        "potential_write": 0.7,
        "bias_adds": 0.1,
        "output_spikes": 1.7,
        "nonzero_params": 0.01,
    }.items()
)


def test_a_table_with_memory_accesses_is_one_file(tmp_path: Path):
    path = tmp_path / "memory.toml"
    path.write_text(MEMORY)
    conv = replace(layer("conv", acs=100), input_nonzero=30, input_sites=64, nonzero_params=200)
    conv = replace(conv, side=SideOps(bias_adds=8, pool_ops=5))
    lif = neuron("lif", rate=0.1, neurons=40, samples=1, timesteps=1)

    got = estimate_energy(profile(conv, lif), load_model(path))

    assert {(t.layer, t.operation): (t.count, float(t.pj)) for t in got.terms} == {
        ("conv", "ac"): (100, 200),
        ("conv", "weight_read"): (100, 1000),
        ("conv", "input_read"): (30, 90),
        ("conv", "bias_adds"): (8, 0.8),
        ("conv", "nonzero_params"): (200, 2),
        ("lif", "potential_read"): (40, 20),
        ("lif", "potential_write"): (40, 28),
        ("lif", "output_spikes"): (4, 6.8),
    }
    assert got.total_pj == 1347.6
    assert got.complete
    assert got.excluded == ("pooling operations", "neuron updates")
    assert got.included[:3] == ("accumulates", "weight reads", "input reads")
    dense = estimate_energy(profile(conv, lif), load_model(path), counting="dense")
    reads = {t.operation: t.count for t in dense.terms if t.layer == "conv"}
    assert (reads["weight_read"], reads["input_read"]) == (300, 64)


def test_a_memory_access_without_a_price_is_named(tmp_path: Path):
    path = tmp_path / "weights.toml"
    path.write_text(TABLE + TABLE[TABLE.index("[[") :].replace('"ac"', '"weight_read"'))

    got = estimate_energy(profile(layer("conv", acs=100, updates=1)), load_model(path))

    assert got.excluded == (
        *("input reads", "potential reads", "potential writes"),
        "neuron updates",
    )


def test_a_priced_count_that_is_unknown_makes_the_total_a_lower_bound(tmp_path: Path):
    path = tmp_path / "memory.toml"
    path.write_text(MEMORY)
    conv = replace(layer("conv", acs=100), input_nonzero=None)

    got = estimate_energy(profile(conv), load_model(path))

    assert not got.complete
    assert "input reads of conv, whose number is unknown" in got.excluded
    assert "input_read" not in {term.operation for term in got.terms}


def test_whether_memory_is_included_is_said_in_words(tmp_path: Path):
    (tmp_path / "memory.toml").write_text(MEMORY)
    memory = load_model(tmp_path / "memory.toml")
    loihi = get("loihi-14nm")

    assert memory_remark([loihi]) == "memory traffic not included"
    assert memory_remark([memory], "is ") == "memory traffic is included"
    assert memory_remark([loihi, memory]) == "memory traffic included by Toy only"


def test_every_count_of_a_record_can_be_priced():
    counts = {
        name
        for name, value in neuron("n", rate=0.1).row(1).items()
        if type(value) is int or name.startswith("input_n")
    }
    renamed = {"membrane_updates": "neuron_update"}
    assert {renamed.get(name, name) for name in counts} <= OPERATIONS.keys()
    assert {"dense_macs", "effective_acs", "input_nonzero", "output_spikes", "calls"} <= counts


def test_an_unknown_name_names_the_nearest_one():
    with pytest.raises(UsageError, match="did you mean horowitz-45nm-fp16"):
        get("horowitz-45nm-fp61")


def test_a_table_is_one_file(tmp_path: Path):
    path = tmp_path / "toy.toml"
    path.write_text(TABLE)

    model = load_model(path)

    assert (model.name, model.cost_pj("ac"), model.cost_pj("mac")) == ("toy", 2.0, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TABLE.replace("2.0", "-2.0"), "at 0 pJ or more"),
        (TABLE + TABLE[TABLE.index("[[") :], "price each operation once"),
        (TABLE.replace('"ac"', '"weight_reed"'), "did you mean weight_read"),
        (TABLE.replace("2.0", "inf"), "at 0 pJ or more"),
        (TABLE.replace("2.0", "1e308"), "to 1 J"),
        (TABLE.replace("title", "tilte"), "tilte"),
        ("title = ", "is not valid"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, text, message):
    path = tmp_path / "toy.toml"
    path.write_text(text)

    with pytest.raises(UsageError, match=message):
        load_model(path)


def test_a_missing_table_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        load_model(tmp_path / "none.toml")
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        load_model(tmp_path)
