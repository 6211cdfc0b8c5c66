import subprocess
import sys
from dataclasses import replace

import pytest
from support.factories import make_result, metered, snn_profile, synapse, timing

from snnbench.metrics.dataframes import (
    checks_dataframe,
    energy_dataframe,
    layer_dataframe,
    measured_energy_dataframe,
    operations_dataframe,
    timestep_dataframe,
    timing_dataframe,
)
from snnbench.results.counts import Profile
from snnbench.results.run import Published


def pick(data, **where):
    for column, value in where.items():
        data = data[data[column] == value]
    assert len(data) == 1
    return data.iloc[0]


def test_layer_counts_stay_exact_beyond_double_precision():
    big = 2**53 + 1
    layer = replace(synapse("a", dense=64, density=0.5), params=big)

    data = layer_dataframe(Profile(layers=(layer, snn_profile().layers[1]), samples=2, timesteps=6))

    assert int(data["params"][0]) == big
    assert data["input_sites"].isna().tolist() == [False, True]
    assert data["firing_rate"].isna().tolist() == [True, False]


def test_layer_frame_agrees_with_the_records():
    profile = snn_profile(blocks=3)

    data = layer_dataframe(profile)

    assert int(data["effective_acs"].sum()) == profile.effective.acs
    assert int(data["dense_macs"].sum()) == profile.dense.macs
    assert int(data["membrane_updates"].sum()) == profile.side.membrane_updates
    lif = pick(data, layer="lif1")
    assert lif["spikes_per_neuron"] == pytest.approx(6 * lif["firing_rate"])


def test_unknown_timesteps_leave_spikes_per_neuron_unknown():
    profile = replace(snn_profile(), timesteps=None)

    assert layer_dataframe(profile)["spikes_per_neuron"].isna().all()


def test_table_6_counts_each_twin_mac_as_one_addition_and_one_multiplication():
    result = make_result()

    data = operations_dataframe(result)

    snn = pick(data, network="SNN", counting="effective")
    assert snn["additions"] == result.snn.effective.acs / 2
    assert snn["multiplications"] == result.snn.effective.macs / 2
    twin = pick(data, network="ANN twin", counting="dense")
    assert twin["additions"] == twin["multiplications"] == result.twin.dense.macs / 2
    assert snn["twin_dense_over_additions"] == pytest.approx(
        result.twin.dense.macs / result.snn.effective.acs
    )
    assert set(data["per"]) == {"sample"}


def test_the_papers_convention_multiplies_densely_in_stem_and_head():
    result = make_result()
    layers = {layer.name: layer for layer in result.snn.layers}

    data = operations_dataframe(result)

    exact = pick(data, counting="ZH21 convention, exact")
    assert exact["multiplications"] == (3_538_944 + 2_097_152 + 2_560) * 6
    blocks = [layers["blocks.0.conv1"], layers["blocks.0.conv2"]]
    assert exact["additions"] == sum(layer.effective.acs for layer in blocks) / 2
    estimate = pick(data, origin="estimated")
    assert estimate["additions"] == sum(layer.estimated_synops for layer in blocks) / 2
    assert estimate["multiplications"] == exact["multiplications"]


def test_a_model_without_a_paper_has_no_paper_convention():
    data = operations_dataframe(make_result(paper_multiplication_layers=(), published=()))

    assert set(data["origin"]) == {"counted"}


def test_published_numbers_keep_their_own_ratio():
    data = operations_dataframe(make_result())

    row = pick(data, network="SNN", origin="published")
    assert row["additions"] == 1.8e9
    assert row["twin_dense_over_multiplications"] == pytest.approx(2.2e9 / 3.4e7)
    ours = pick(data, counting="ZH21 convention, exact")
    assert ours["over_published_multiplications"] == pytest.approx(33_831_936 / 3.4e7)


def test_another_width_or_t_is_not_compared_with_published_numbers():
    result = make_result()
    narrow = replace(result, config=replace(result.config, width=0.5))
    other = replace(
        result,
        published=(
            Published(quantity="snn_additions", value=1.0, timesteps=4, source="a"),
            Published(quantity="ann_additions", value=2.0, timesteps=4, source="a"),
        ),
    )

    assert operations_dataframe(narrow)["over_published_additions"].isna().all()
    data = operations_dataframe(other)
    snn = data[data["network"] == "SNN"]
    assert snn["over_published_additions"].isna().all()
    assert pick(data, network="ANN twin", counting="dense")["over_published_additions"] > 0


def test_unknown_samples_give_whole_run_counts():
    result = make_result()
    result = replace(result, snn=replace(result.snn, samples=None))

    data = operations_dataframe(result)

    assert set(data["per"]) == {"run"}
    row = pick(data, network="SNN", counting="effective")
    assert row["additions"] == result.snn.effective.acs
    assert pick(data, network="ANN twin", counting="dense")["additions"] == (result.twin.dense.macs)


def test_energy_sets_the_snn_against_both_kinds_of_twin():
    result = make_result()

    data = energy_dataframe(result)

    fp32 = data[data["model"] == "horowitz-45nm-fp32"].set_index("network")
    snn = (result.snn.effective.acs * 0.9 + result.snn.effective.macs * 4.6) / 2
    assert fp32.loc["SNN", "pj"] == pytest.approx(snn)
    assert fp32.loc["ANN twin", "over_snn"] == pytest.approx(result.twin.dense.macs * 2.3 / snn)
    assert fp32.loc["ANN twin, zero-skipping", "pj"] == pytest.approx(
        result.twin.effective.macs * 2.3
    )
    loihi = data[data["model"] == "loihi-14nm"].set_index("network")
    assert loihi["pj"].isna().tolist() == [False, True, True]


def test_energy_without_a_twin_has_the_snn_alone():
    assert set(energy_dataframe(make_result(twin=None))["network"]) == {"SNN"}


def test_joules_are_in_a_table_of_their_own():
    data = measured_energy_dataframe(metered(make_result()))

    assert data["joules_per_run"].tolist() == [0.25]
    assert not any("pj" in column for column in data.columns)


def test_latency_ratio_has_a_spread_of_its_own():
    # The machine slows down by half midway; the ratio does not see it.
    slow = [1.0, 1.0, 1.5, 1.5]
    snn = replace(timing("snn", 1), raw_seconds=tuple(0.004 * s for s in slow), number_per_run=2)
    twin = replace(timing("ann-twin", 1), raw_seconds=tuple(0.001 * s for s in slow))

    data = timing_dataframe(make_result(timings=(snn, twin)))

    row = pick(data, name="snn")
    assert row["median_ms"] == pytest.approx(1.25)
    assert row["min_ms"] == pytest.approx(1.0)
    assert row["spread"] == pytest.approx(0.5 / 1.25)
    assert [row[f"over_twin{q}"] for q in ("_q1", "", "_q3")] == pytest.approx([2.0, 2.0, 2.0])


def test_unpaired_rounds_give_the_ratio_of_medians_without_spread():
    snn, twin = timing("snn", 40, runs=5), timing("ann-twin", 10, runs=7)

    row = pick(timing_dataframe(make_result(timings=(snn, twin))), name="snn")

    assert row["over_twin"] == pytest.approx(4, rel=0.05)
    assert row[["over_twin_q1", "over_twin_q3"]].isna().all()


def test_no_twin_timing_leaves_the_ratio_unknown():
    data = timing_dataframe(make_result(timings=(timing("snn", 40),)))

    assert data["over_twin"].isna().all()


def test_timestep_frame_splits_every_spike():
    result = make_result()

    data = timestep_dataframe(result)

    assert int(data["spikes"].sum()) == sum(layer.output_spikes for layer in result.snn.neurons)
    assert int(data["effective_synops"].sum()) == result.snn.effective.synops
    lif = data[data["layer"] == "lif1"]
    assert lif["timestep"].tolist() == [1, 2, 3, 4, 5, 6]
    assert lif["firing_rate"].mean() == pytest.approx(result.snn.neurons[0].firing_rate)


def test_checks_frame_lists_the_checks():
    assert checks_dataframe(make_result())["ok"].tolist() == [True]


def test_frames_and_reports_never_import_torch():
    code = (
        "import sys, snnbench, snnbench.metrics.dataframes, snnbench.energy.estimate, "
        "snnbench.render.folder, snnbench.render.terminal; sys.exit('torch' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
