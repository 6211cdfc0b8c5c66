from dataclasses import replace
from pathlib import Path

import pytest
from support.factories import make_result, neuron, snn_profile, synapse, with_uncounted

from snnbench.core.errors import UsageError
from snnbench.energy.estimate import estimate_energy
from snnbench.energy.models import DEFAULT_MODEL, get, load_model, models
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

    assert got.total_pj == pytest.approx(10 * 4.6 + 100 * 0.9)
    assert [name for name, _ in got.per_layer_pj] == ["a", "b", "n"]
    assert [pj for _, pj in got.per_layer_pj] == pytest.approx([46.0, 90.0, 0.0])
    assert got.complete
    assert got.excluded == ("memory traffic", "neuron updates")
    dense = estimate_energy(counted, get("horowitz-45nm-fp32"), counting="dense")
    assert dense.total_pj == pytest.approx(3 * got.total_pj)


def test_loihi_prices_spikes_and_neuron_updates_and_names_the_macs_it_leaves_out():
    counted = profile(layer("conv1", macs=25), layer("conv2", acs=75, updates=7))

    got = estimate_energy(counted, get("loihi-14nm"))

    assert got.total_pj == pytest.approx(75 * 27.1 + 7 * 81)
    assert dict(got.per_layer_pj)["conv1"] is None
    assert not got.complete
    assert any("25 % of the synaptic operations (conv1)" in text for text in got.excluded)
    assert "neuron updates" not in got.excluded


def test_loihi_has_no_estimate_for_a_network_of_macs():
    twin = make_result().twin

    for counting in ("dense", "effective"):
        got = estimate_energy(twin, get("loihi-14nm"), counting=counting)
        assert got.total_pj is None
        assert "no price for a multiply-accumulate" in got.reason


def test_nothing_counted_is_unknown_not_free():
    got = estimate_energy(profile(), get("horowitz-45nm-fp32"))

    assert got.total_pj is None
    assert got.reason == "no synaptic operation was counted"


def test_uncounted_operations_make_the_total_a_lower_bound():
    result = with_uncounted(make_result())

    got = estimate_energy(result.snn, get("horowitz-45nm-int8"))

    assert not got.complete
    assert "uncounted operations (aten.cdist)" in got.excluded


def test_the_total_is_the_sum_of_the_layers():
    got = estimate_energy(snn_profile(blocks=5), get("horowitz-45nm-fp16"))

    assert got.total_pj == pytest.approx(sum(pj for _, pj in got.per_layer_pj))


def test_an_unknown_name_names_the_nearest_one():
    with pytest.raises(UsageError, match="did you mean 'horowitz-45nm-fp16'"):
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
        (TABLE.replace('"ac"', '"dance"'), "dance"),
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
    with pytest.raises(UsageError, match="does not exist"):
        load_model(tmp_path / "none.toml")
