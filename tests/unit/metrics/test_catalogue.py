"""The catalogue of metrics: what is declared once shows everywhere, and values are exact."""

from __future__ import annotations

import io
import json
import re
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path

import pytest
from rich.console import Console
from support import factories

from snnbench.compare.compare import Report, compare_runs
from snnbench.compare.formats import to_json, to_junit
from snnbench.compare.history.files import read_folder
from snnbench.compare.history.series import choose, tracks
from snnbench.compare.history.tables import print_tracks, to_csv as history_csv
from snnbench.compare.limits import limits
from snnbench.compare.tables import to_markdown as comparison_markdown, to_table
from snnbench.core.errors import UsageError
from snnbench.energy.models import models
from snnbench.metrics import catalogue
from snnbench.metrics.catalogue import compared_metrics, layer_values, measured, metrics
from snnbench.metrics.dataframes import layer_dataframe
from snnbench.metrics.metric import Gated, Metric, rate
from snnbench.render.export import to_csv, to_latex, to_markdown
from snnbench.render.html import report_html
from snnbench.render.tables import layers_table, tables
from snnbench.render.terminal import summary
from snnbench.results.counts import Role, SideOps
from snnbench.results.files import save
from snnbench.results.run import RunResult
from tools import metric_table

PAGE = Path(__file__).parents[3] / "docs" / "extend.md"
NAME = "effective_share"


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> Metric:
    """The metric of docs/extend.md, as one more entry of the catalogue."""
    section = PAGE.read_text(encoding="utf-8").partition("## A metric\n")[2]
    block = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert block is not None
    metric = eval(block[1], vars(catalogue))  # the page's code, in the file it belongs to
    assert isinstance(metric, Metric)
    monkeypatch.setattr(catalogue, "DECLARED", (*catalogue.DECLARED, metric))
    return metric


def share(result: RunResult) -> Fraction:
    return Fraction(result.snn.effective.synops, result.snn.dense.synops)


def printed(renderable: object) -> str:
    screen = io.StringIO()
    Console(width=100, file=screen, color_system=None).print(renderable)
    return screen.getvalue()


def test_a_new_metric_shows_in_the_table_of_layers_and_on_the_screen(declared: Metric) -> None:
    result = factories.with_engine(factories.make_result())

    table = layers_table(result)

    value = share(result)
    assert re.search(rf"{declared.screen} +{100 * float(value):.1f} %", printed(summary(result)))
    column = [column.header for column in table.columns].index("Effective share")
    assert table.columns[column].help == "Share of dense operations that are effective."
    cells = {row[0]: row[column] for row in table.rows}
    conv = next(layer for layer in result.snn.layers if layer.dense.synops)
    of_conv = conv.effective.synops / conv.dense.synops
    assert cells[conv.name] == f"{100 * of_conv:.1f} %"
    assert cells[result.snn.neurons[0].name] == ""
    for text in (to_markdown(table), to_latex(table), report_html(result, tables(result), ())):
        assert "Effective share" in text
    frame = layer_dataframe(result.snn).set_index("layer")
    assert frame.loc[conv.name, NAME] == of_conv
    assert NAME in to_csv(table).partition("\n")[0].split(",")


def test_a_new_metric_is_compared(declared: Metric) -> None:
    base, head = (factories.make_result(density=density) for density in (0.15, 0.2))

    report = Report(comparisons=(compare_runs([base], [head], limits(())),))

    (comparison,) = report.comparisons
    gate = next(gate for gate in comparison.gates if gate.metric == declared)
    assert (gate.base, gate.head, gate.status) == (share(base), share(head), "regression")
    assert {move.layer for move in comparison.layer_moves if move.metric == declared}
    tree, markdown = json.loads(to_json(report))["comparisons"][0], comparison_markdown(report)
    assert {"metric": NAME, "unit": "share"}.items() <= next(
        item.items() for item in tree["gates"] if item["metric"] == NAME
    )
    assert NAME in {move["metric"] for move in tree["layer_moves"]}
    for text in (to_table(report, 120), markdown.replace("\\_", "_"), to_junit(report)):
        assert NAME in text
    limit = limits((f"{NAME}:50%",))[NAME]
    (gate,) = compare_runs([base], [head], {NAME: limit}).gates[:1]
    assert gate.status == "ok"


def test_a_new_metric_has_a_history(declared: Metric, tmp_path: Path) -> None:
    for day, density in ((1, 0.15), (2, 0.2)):
        made = factories.make_result(density=density, created_utc=f"2026-03-0{day}T10:00:00+00:00")
        save(made, tmp_path / f"{day}.json")

    found = tracks(read_folder(tmp_path).points, choose([NAME]))

    (track,) = found
    assert [entry.value for entry in track.series[0].entries] == [
        float(share(factories.make_result(density=density))) for density in (0.15, 0.2)
    ]
    assert len(track.steps) == 1
    assert f"resnet19,{NAME},share," in history_csv(found)
    screen = io.StringIO()
    print_tracks(found, [NAME], Console(width=100, file=screen))
    assert f"step: resnet19: {NAME}: " in screen.getvalue()


def test_a_new_metric_is_in_the_table_of_the_documentation(declared: Metric) -> None:
    row = f"| `{NAME}` | {declared.title} | share | more | by default |\n"
    assert row in metric_table.table()
    assert row not in metric_table.written()


def test_a_metric_that_is_not_declared_is_nowhere() -> None:
    result = factories.make_result()

    assert "Effective share" not in printed(summary(result))
    assert NAME not in layer_dataframe(result.snn).columns
    with pytest.raises(UsageError, match="no such metric"):
        choose([NAME])


def test_names_are_unique_and_every_metric_says_what_it_is() -> None:
    every = (*catalogue.DECLARED, *catalogue.TIMES)
    names = [metric.name for metric in every]
    assert len(set(names)) == len(names)
    assert all(metric.title and metric.unit for metric in every)
    assert len(metrics()) == len(every) + len(models())


def test_every_count_of_a_record_that_is_summed_is_compared() -> None:
    stored = {metric.stored for metric in compared_metrics().values() if metric.stored}
    side = {f"side.{field.name}" for field in fields(SideOps)}
    operations = {f"{kind}.{part}" for kind in ("dense", "in_image") for part in ("macs", "acs")}
    assert side | operations | {"effective.macs", "effective.acs", "params"} <= stored


def test_what_is_shown_only_is_not_compared() -> None:
    result = factories.make_result()
    shown = {name for name, metric in metrics().items() if metric.gated is Gated.NEVER}

    assert shown == {"input_density", "dense.synops", "estimated_synops", "spikes_per_neuron"}
    assert not shown & measured(result).values.keys()
    assert not shown & layer_values(result.snn.layers[0], result.snn).keys()


def test_values_of_a_run_are_exact() -> None:
    result = factories.make_result()
    neurons = result.snn.neurons

    values = measured(result).values

    assert values["spikes"] == sum(layer.output_spikes or 0 for layer in neurons)
    assert values["firing_rate"] == Fraction(
        int(values["spikes"] or 0), sum(layer.output_sites or 0 for layer in neurons)
    )
    assert values["side.membrane_updates"] == result.snn.side.membrane_updates
    costs = Fraction("4.6") * result.snn.effective.macs + Fraction("0.9") * result.snn.effective.acs
    assert values["energy.horowitz-45nm-fp32"] == costs
    shuffled = replace(result, snn=replace(result.snn, layers=result.snn.layers[::-1]))
    assert measured(shuffled).values == values


def test_an_energy_without_all_prices_is_a_lower_bound() -> None:
    assert measured(factories.make_result()).lower_bounds == {"energy.loihi-14nm"}


def test_unknown_is_none_not_zero() -> None:
    result = factories.make_result(twin=None, checks=(), folding=None)
    layers = tuple(
        replace(layer, output_spikes=None) if layer.role is Role.NEURON else layer
        for layer in result.snn.layers
    )

    values = measured(replace(result, snn=replace(result.snn, layers=layers))).values

    unknown = {"twin.macs", "failed_checks", "accuracy", "folding.flips", "engine.adds", "spikes"}
    assert {name for name in unknown if values[name] is not None} == set()
    assert values["firing_rate"] is None
    assert values["uncounted"] == 0
    assert rate(1, 0) is None
