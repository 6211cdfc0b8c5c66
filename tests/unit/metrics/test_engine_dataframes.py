from dataclasses import replace

import pytest
from support.factories import engine_run, make_result, snn_profile, timing, with_engine

from snnbench.metrics.dataframes import (
    engine_dataframe,
    executed_operations,
    layer_dataframe,
    timing_dataframe,
)
from snnbench.render.engine import engine_table, speedup_figure
from snnbench.render.figures import figures
from snnbench.render.findings import verdict
from snnbench.render.html import remake_command, report_html
from snnbench.render.tables import layers_table, tables
from snnbench.render.twin_tables import latency_table
from snnbench.results.engine import EngineRun
from snnbench.run.engine_pass import check_engine


def row_of(data, **where):
    for column, value in where.items():
        data = data[data[column] == value]
    (row,) = data.to_dict("records")
    return row


def test_a_step_has_rates_speeds_and_shares():
    engine = engine_run(snn_profile())
    data = engine_dataframe(engine)
    step = engine.steps[1]
    row = row_of(data, step=step.name)
    assert row["firing_rate"] == pytest.approx(step.input_spikes / step.input_sites)
    assert row["median_ms"] == pytest.approx(2.1)
    assert row["dense_median_ms"] == pytest.approx(8.0)
    assert row["dense_over_step"] == pytest.approx(8.0 / 2.1)
    assert row["acs_per_s"] == pytest.approx(step.layers[0].executed_adds / 2.1e-3)
    assert row["of_ceiling"] == pytest.approx(row["acs_per_s"] / 1.05e11)
    assert data["share"].sum() == pytest.approx(1)
    assert row["executed_acs"] == row["expected_acs"] > 0
    assert row["padding_acs"] == row["executed_acs"] // 50
    assert row["break_even_estimate"] == pytest.approx(row["firing_rate"] * 8.0 / 2.1)


def test_two_threads_have_twice_the_ceiling():
    one, two = (engine_dataframe(engine_run(snn_profile(), threads=n)) for n in (1, 2))
    assert two["of_ceiling"].iloc[1] == pytest.approx(one["of_ceiling"].iloc[1] / 2)


def test_what_was_not_measured_stays_unknown():
    engine = engine_run(snn_profile())
    step = replace(engine.steps[1], dense_raw_seconds=(), input_spikes=None, input_sites=None)
    data = engine_dataframe(replace(engine, steps=(engine.steps[0], step)))
    unknown = data[["dense_median_ms", "dense_over_step", "firing_rate", "break_even_estimate"]]
    assert unknown.iloc[1].isna().all()
    assert data["acs_per_s"].isna().tolist() == [True, False]  # dense kernels add nothing


def test_layers_show_what_was_executed_per_sample():
    result = make_result()
    engine = engine_run(result.snn, batch_size=2)
    data = layer_dataframe(result.snn, engine)
    assert row_of(data, layer="conv1")["executed_macs_per_sample"] == 3_538_944 / 2
    conv = row_of(data, layer="blocks.0.conv1")
    assert conv["executed_acs_per_sample"] == engine.steps[1].layers[0].executed_adds / 2
    assert data[data["layer"] == "fc1"]["executed_macs_per_sample"].isna().all()
    assert "executed_macs_per_sample" not in layer_dataframe(result.snn).columns
    assert set(executed_operations(engine)) == {"conv1", "blocks.0.conv1", "blocks.0.conv2"}


def test_the_layer_table_has_the_column_only_with_an_engine():
    plain, driven = make_result(), with_engine(make_result())
    assert "Executed" not in {column.header for column in layers_table(plain).columns}
    table = layers_table(driven)
    assert table.columns[-1].header == "Executed"
    assert {row[0]: row[-1] for row in table.rows}["conv1"] == "3,538,944"
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_the_engine_table_says_what_ran_and_why():
    result = with_engine(make_result(blocks=3))
    table = engine_table(result, result.engine)
    assert "engine" in {each.name for each in tables(result)}
    assert "untrained" in table.caption
    assert "3 of 1,000,000 spikes differ" in table.caption
    assert "fastest of 20 sums" in table.caption
    rows = {row[0]: row for row in table.rows}
    assert rows["conv1"][-1] == "its input is not spikes"
    assert rows["blocks.2.lif1"][-1] == "dense was measured to be faster"
    assert rows["blocks.0.lif1"][-1] == ""


def test_the_figure_marks_every_step_that_spikes_feed():
    result = with_engine(make_result(blocks=3))
    (plot,) = [plot for plot in figures(result) if plot.name == "speedup_by_firing_rate"]
    assert plot.alt.startswith("Scatter plot of 6 steps")
    assert "slower than dense" in plot.alt
    assert "untrained" in plot.alt
    assert b"break-even" in plot.svg
    assert figures(result)[-1].svg == plot.svg
    assert speedup_figure(make_result()) is None
    unknown = replace(result.engine, steps=result.engine.steps[:1])
    assert speedup_figure(replace(result, engine=unknown)) is None


def test_the_page_has_a_section_of_the_engine():
    result = with_engine(make_result())
    page = report_html(result, tables(result), figures(result))
    assert "Event engine by step" in page
    assert "Event engine by step" not in report_html(make_result(), tables(make_result()), ())


def test_ratios_to_the_dense_network_have_a_spread():
    data = timing_dataframe(make_result())
    row = row_of(data, name="snn-event")
    assert row["over_dense"] == pytest.approx(48 / 61, rel=0.05)
    assert row["over_dense_q1"] <= row["over_dense"] <= row["over_dense_q3"]
    assert row_of(data, name="snn-dense-fused")["over_dense"] == 1
    alone = timing_dataframe(make_result(timings=(timing("snn-event", 4),)))
    assert alone["over_dense"].isna().all()


def test_the_verdict_says_where_events_pay_and_where_they_do_not():
    said = " ".join(verdict(with_engine(make_result(blocks=3))))
    assert "With a batch of 2 and untrained weights the event engine is 1.2" in said
    assert "faster than the dense SNN and 3.4" in said
    assert "slower than its twin" in said
    assert (
        "Event kernels run 5 of the 6 steps that spikes feed; 3 steps of the engine would be faster"
        in said
    )
    assert (
        "With float32 weights it fires 3 of 1,000,000 spikes other than dense "
        "(1 if dense passes on the engine's spikes)." in said
    )


def test_a_slower_engine_is_called_slower():
    timings = tuple(timing(name, ms) for name, ms in (("snn-event", 30), ("snn-dense-fused", 20)))
    said = " ".join(verdict(make_result(timings=timings)))
    assert "slower than the dense SNN" in said
    assert "faster" not in said
    same = with_engine(make_result(), flipped_spikes=0)
    assert "With float32 weights it fires the same spikes as dense." in verdict(same)


def test_batches_are_told_apart():
    large = tuple(replace(timing(name, 90), batch_size=32) for name in ("snn-event", "ann-twin"))
    small = tuple(replace(timing(name, 9), batch_size=1) for name in ("snn-event", "ann-twin"))
    result = make_result(timings=small + large)
    assert timing_dataframe(result)["batch_size"].tolist() == [1, 1, 32, 32]
    (plot,) = [plot for plot in figures(result) if plot.name == "latency"]
    assert "snn-event, batch 32" in plot.alt


def test_the_fastest_is_named_for_each_batch():
    timings = [
        replace(timing(name, ms), batch_size=batch)
        for batch, event_ms in ((1, 5), (32, 700))
        for name, ms in (("snn-event", event_ms), ("snn-dense-fused", 320), ("ann-twin", 200))
    ]
    said = " ".join(verdict(make_result(timings=tuple(timings))))
    assert "with a batch of 1, the SNN at its fastest (snn-event)" in said
    assert "with a batch of 32, the SNN at its fastest (snn-dense-fused)" in said


def test_a_difference_within_the_noise_is_not_claimed():
    noisy = replace(timing("snn-event", 20), raw_seconds=(0.018, 0.02, 0.021, 0.025, 0.019, 0.03))
    dense = replace(timing("snn-dense-fused", 20), raw_seconds=(0.02,) * 6)
    row = row_of(timing_dataframe(make_result(timings=(noisy, dense))), name="snn-event")
    assert row["over_dense_q1"] < 1 < row["over_dense_q3"]
    assert abs(row["over_dense"] - 1) > 0.02
    said = " ".join(verdict(make_result(timings=(noisy, dense))))
    assert "the event engine is neither clearly faster nor slower than the dense SNN" in said


def test_how_a_gpu_ran_it_stands_beside_its_name():
    result = make_result(
        timings=(replace(timing("ann-twin", 2), device="cuda:0", execution="CUDA graph"),)
    )
    (row,) = latency_table(result).rows
    assert row[1] == "cuda:0, 1 thread, CUDA graph"


def test_executed_additions_are_checked_layer_by_layer():
    equal = engine_run(snn_profile(), flipped_spikes=0)
    (check,) = check_engine(equal)
    assert check.ok
    assert check.expected == check.measured > 0
    step = equal.steps[1]
    wrong = replace(step.layers[0], executed_adds=step.layers[0].executed_adds + 1)
    steps = (replace(step, layers=(wrong,)), *equal.steps[2:])
    (check,) = check_engine(replace(equal, steps=steps))
    assert not check.ok
    assert check.note == f"first difference in {wrong.name}"


@pytest.mark.parametrize("run", [None, engine_run(snn_profile(), steps=())])
def test_nothing_is_checked_where_nothing_can_be(run: EngineRun | None):
    assert check_engine(run) == ()


def test_the_command_asks_for_the_same_engine():
    result = make_result()
    config = replace(result.config, engine="event", weights_dtype="int16", latency_batches=(1, 32))
    command = remake_command(replace(result, config=config))
    assert "--latency-batches 1,32 --engine event --weights-dtype int16" in command
