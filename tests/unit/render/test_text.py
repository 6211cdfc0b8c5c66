from dataclasses import replace

import pytest
from support.factories import (
    HOSTILE_NAME,
    make_result,
    metered,
    timing,
    trained,
    with_names,
    with_uncounted,
)

from snnbench.render import text
from snnbench.render.export import latex_escape, to_csv, to_latex, to_markdown
from snnbench.render.findings import coverage, verdict
from snnbench.render.notices import notices
from snnbench.render.tables import tables


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (None, text.UNKNOWN), (float("nan"), text.UNKNOWN), (0.00123, "0.00123")],
)
def test_significant(value, shown):
    assert text.significant(value) == shown


def test_unknown_is_a_dash_everywhere():
    shown = {text.count(None), text.short(None), text.printed(None), text.energy(None)}
    assert shown | {text.factor(None), text.percent(None)} == {text.UNKNOWN}


def test_shorten_keeps_both_ends():
    assert text.shorten("a" * 20 + "b" * 20, 11) == "aaaaa…bbbbb"
    assert len(text.shorten("x" * 99, 32)) == 32


@pytest.mark.parametrize("status", ["untrained", "trained"])
def test_every_caption_says_which_weights(status):
    result = make_result() if status == "untrained" else trained(make_result())

    made = tables(metered(result))

    assert len(made) == 7
    assert all(f", {status} weights." in table.caption for table in made)


def test_published_rows_are_marked_with_their_source():
    table = tables(make_result())[0]

    rows = [row for row in table.rows if "1.8e9" in row]

    assert [row[1] for row in rows] == ["published, T = 6 (ZH21, table 6)"]


def test_energy_rows_name_sources_bounds_and_what_is_missing():
    table = next(t for t in tables(make_result()) if t.name == "energy")

    assert "Davies" in table.caption
    assert "Horowitz" in table.caption
    loihi = [row for row in table.rows if "conv1, fc1" in row[-1]]
    assert loihi[0][3].startswith(text.AT_LEAST)
    assert [row[3] for row in table.rows if "no price" in row[-1]] == [text.UNKNOWN] * 2


def test_row_widths_equal_the_header():
    for result in (metered(make_result()), make_result(twin=None, timings=(), checks=())):
        for table in tables(result):
            assert {len(row) for row in table.rows} == {len(table.columns)}


def test_latex_escapes_every_special_character():
    escaped = latex_escape("#$%&~_^\\{}<>|")

    assert escaped == (
        r"\#\$\%\&\textasciitilde{}\_\textasciicircum{}\textbackslash{}\{\}"
        r"\textless{}\textgreater{}\textbar{}"
    )


def test_latex_is_a_balanced_booktabs_table_with_caption_and_label():
    for table in tables(with_names(make_result(), HOSTILE_NAME)):
        latex = to_latex(table)
        assert latex.count(r"\toprule") == latex.count(r"\bottomrule") == 1
        assert rf"\label{{tab:snnbench-{table.name.replace('_', '-')}}}" in latex
        assert r"\caption{" in latex
        bare = latex.replace(r"\{", "").replace(r"\}", "")
        assert bare.count("{") == bare.count("}")
        body = latex.split(r"\midrule", 1)[1].split(r"\bottomrule")[0]
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert len(rows) == len(table.rows)
        columns = {line.replace(r"\&", "").count("&") + 1 for line in rows}
        assert columns == {len(table.columns)}


def test_a_long_latex_table_breaks_over_pages():
    table = next(t for t in tables(make_result(blocks=29)) if t.name == "layers")

    assert r"\begin{longtable}" in to_latex(table)


def test_markdown_keeps_cells_apart_and_html_out():
    table = next(t for t in tables(with_names(make_result(), HOSTILE_NAME)) if t.name == "layers")

    markdown = to_markdown(table)

    assert "<script>" not in markdown
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    assert {line.replace(r"\|", "").count("|") for line in lines} == {len(table.columns) + 1}


def test_markdown_shows_names_as_they_are_and_follows_none():
    name = "a\x1b[31m@someone see https://example.org #1"
    table = next(t for t in tables(with_names(make_result(), name)) if t.name == "layers")

    markdown = to_markdown(table)

    assert "\x1b" not in markdown
    assert "@someone" not in markdown
    assert "://" not in markdown
    assert " #1" not in markdown
    assert r"a\\x1b\[31m" in markdown
    assert "\x1b" not in to_csv(table) + to_latex(table)


def test_csv_holds_all_digits_and_leaves_unknown_empty():
    result = make_result()
    table = next(t for t in tables(result) if t.name == "layers")

    rows = [line.split(",") for line in to_csv(table).splitlines()]

    lif = dict(zip(rows[0], rows[2], strict=True))
    assert lif["layer"] == "lif1"
    assert lif["output_spikes"] == str(result.snn.layers[1].output_spikes)
    assert lif["input_sites"] == ""


def test_a_name_in_a_csv_file_is_no_formula():
    result = make_result()
    layer, *others = result.snn.layers
    named = replace(layer, name="=HYPERLINK(1)")
    result = replace(result, snn=replace(result.snn, layers=(named, *others)))
    (table,) = [table for table in tables(result) if table.name == "layers"]
    assert "'=HYPERLINK(1)" in to_csv(table)


def test_verdict_says_less_or_more():
    less, more = " ".join(verdict(make_result())), " ".join(verdict(make_result(density=0.9)))

    assert (
        f"2.30{text.TIMES} less energy than its twin (estimate; memory traffic not included)"
        in less
    )
    assert f"1.17{text.TIMES} more energy than its twin" in more


def test_verdict_of_equals_claims_nothing():
    said = " ".join(verdict(make_result(twin=make_result().snn)))

    assert "it would need about the same energy as the twin (estimate" in said


def test_verdict_without_twin_or_timings_compares_nothing():
    sentences = verdict(make_result(twin=None, timings=()))

    assert len(sentences) == 1
    assert "no ANN twin was counted" in sentences[0]


def test_verdict_gives_latency_with_spread_and_accuracy_with_counts():
    said = " ".join(verdict(trained(make_result())))

    assert "snn-event" in said
    assert "(measured, quartiles" in said
    assert "SNN 93.0 % (93 of 100; 95 % interval 86.3 % to 96.6 %)" in said
    assert "ANN twin 95.0 % (95 of 100; 95 % interval 88.8 % to 97.8 %); published" in said
    assert "its own data set: 93.16 % (ZH21, table 6, T = 6)" in said


def test_times_taken_beside_other_programs_are_warned_of():
    result = make_result()
    busy = tuple(replace(timing, other_load=0.42) for timing in result.timings)
    quiet = tuple(replace(timing, other_load=0.02) for timing in result.timings)

    def told(timings):
        return [n.what for n in notices(replace(result, timings=timings)) if "other prog" in n.what]

    assert told(quiet) == told(result.timings) == []
    assert told(busy) == [
        "other programs took up to 42.0 % of the processors while latency was measured: the times, "
        "and their ratios, may be far off"
    ]


def test_notices_put_uncounted_operations_first_with_a_remedy():
    found = notices(with_uncounted(make_result()))

    assert "aten.cdist in head" in found[0].what
    assert "--strict" in found[0].remedy
    assert "spare" in found[1].what
    assert any("untrained weights" in notice.what for notice in found)


def test_a_users_model_says_what_is_unknown():
    result = make_result(twin=None)
    result = replace(
        result,
        weights=replace(result.weights, status="unknown"),
        config=replace(result.config, width=None),
        snn=replace(result.snn, timesteps=None, samples=None, declared_dense=True),
    )

    said = " ".join(notice.what for notice in notices(result))

    for limit in ("weights of unknown training", "T is unknown", "whole run", "as an ANN"):
        assert limit in said
    assert "weights of unknown training" in tables(result)[0].caption
    assert "of the whole run (number of samples unknown)" in tables(result)[0].caption


def test_a_clean_trained_result_has_no_notices():
    assert notices(trained(make_result())) == ()


def test_trained_weights_without_evidence_are_doubted():
    result = trained(make_result())

    (notice,) = notices(replace(result, weights=replace(result.weights, evidence=None)))

    assert "weights are called trained without evidence" in notice.what


def test_noisy_latency_is_named():
    noisy = timing("snn", 10)
    spread = tuple(0.01 * (1 + 0.1 * i) for i in range(12))
    changed = type(noisy)(
        name="snn",
        device="cpu",
        batch_size=2,
        number_per_run=1,
        raw_seconds=spread,
        warmup_seconds=(),
        threads=1,
    )

    found = notices(trained(make_result(timings=(changed,))))

    assert "latency of snn is noisy" in found[0].what


def test_coverage_is_never_rounded_up_to_everything():
    assert coverage(make_result()).startswith("100 %")
    assert "unknown" in coverage(with_uncounted(make_result()))


@pytest.mark.parametrize(
    ("numerator", "denominator", "shown"),
    [
        (True, True, f"2.00{text.TIMES}"),
        (True, False, f"{text.AT_MOST} 2.00{text.TIMES}"),
        (False, True, f"{text.AT_LEAST} 2.00{text.TIMES}"),
        (False, False, text.UNKNOWN),
    ],
)
def test_a_ratio_of_lower_bounds_says_so(numerator, denominator, shown):
    got = text.estimated_factor(2, numerator_complete=numerator, denominator_complete=denominator)

    assert got == shown


def test_uncounted_operations_leave_bounds_and_no_energy_verdict():
    result = with_uncounted(make_result())
    both = replace(result, twin=replace(result.twin, uncounted=result.snn.uncounted))

    for incomplete in (result, both):
        said = " ".join(verdict(incomplete))
        assert "the SNN needs at least " in said
        assert "is not established: operations are uncounted" in said
        assert "less energy than its twin (" not in said
    assert "its ANN twin needs at least " in said
    energy = next(table for table in tables(both) if table.name == "energy")
    twins = [row for row in energy.rows if row[1].startswith("ANN twin")]
    assert {row[4] for row in twins} == {text.UNKNOWN}


def test_the_zeros_of_a_twin_that_was_not_trained_are_not_sold_as_a_trained_ones():
    untrained_twin = replace(trained(make_result()), twin_accuracy=None)

    said = verdict(untrained_twin)

    assert "the twin has the SNN's weights and was not trained itself" in said[2]
    assert "was not trained itself" not in " ".join(verdict(trained(make_result())))
