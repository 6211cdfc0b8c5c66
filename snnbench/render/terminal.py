"""A result on the screen: one table that fits 80 columns, findings and warnings in words."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from snnbench.metrics.catalogue import metrics
from snnbench.metrics.dataframes import energy_dataframe, timing_dataframe
from snnbench.metrics.operations import SNN, TWIN, divisors, operation_rows, per_sample
from snnbench.render import text
from snnbench.render.escape import printable
from snnbench.render.findings import coverage, verdict
from snnbench.render.notices import notices
from snnbench.render.table import records
from snnbench.results.run import TWIN_TIMING, RunResult

Row = tuple[str, str, str, str]


def print_summary(result: RunResult, console: Console | None = None) -> None:
    """Print the summary of ``result`` to ``console`` (standard output by default)."""
    (console or Console()).print(summary(result))


def summary(result: RunResult) -> Group:
    """Collect warnings, table, findings and coverage for rich to print.

    All of it is plain text: brackets in a layer name are no markup, escapes do not reach the
    terminal.
    """
    parts: list[RenderableType] = [_plain(text.context(result), style="bold")]
    for notice in notices(result):
        parts.append(_plain(f"! {notice.what}", style="yellow"))
        if notice.remedy:
            parts.append(_plain(f"  -> {notice.remedy}", style="dim"))
    parts.append(_table(result))
    parts += [_plain(sentence) for sentence in (*verdict(result), coverage(result))]
    return Group(*parts)


def _plain(words: str, style: str = "") -> Text:
    return Text(printable(words), style=style)


def _table(result: RunResult) -> Table:
    basis = "per sample" if per_sample(result) else "whole run"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(f"Quantity, {basis}")
    for header in ("SNN", "ANN twin", "Twin / SNN"):
        table.add_column(header, justify="right", no_wrap=True)
    for cells in (_operation_cells, _metric_cells, _energy_cells, _latency_cells, _accuracy_cells):
        group = cells(result)
        for row in group:
            table.add_row(*map(_plain, row), end_section=row is group[-1])
    return table


def _operation_cells(result: RunResult) -> list[Row]:
    rows = operation_rows(result)
    twin = _first(rows, TWIN, "dense")
    cells = []
    for kind, name in (("additions", "Additions"), ("multiplications", "Multiplications")):
        for row in rows:
            if row["network"] != SNN or row["counting"] in ("inside the image", "dense"):
                continue
            if row["origin"] == "estimated" and kind == "multiplications":
                continue  # the paper's estimate concerns additions only
            published = row["origin"] == "published"
            other = _first(rows, TWIN, row["counting"]) if published else twin
            show = text.printed if published else text.short
            ratio = text.factor(row[f"twin_dense_over_{kind}"])
            label = f"{name}, {row['counting']}"
            cells.append((label, show(row[kind]), show(other.get(kind)), ratio))
    return cells


def _first(rows: list[dict[str, Any]], network: str, counting: str) -> dict[str, Any]:
    matching = (r for r in rows if r["network"] == network and r["counting"] == counting)
    return next(matching, {})


def _metric_cells(result: RunResult) -> list[Row]:
    divisor = divisors(result)[SNN]
    return [
        (metric.screen, text.metric_value(metric, metric.of_run(result), divisor=divisor), "", "")
        for metric in metrics().values()
        if metric.screen
    ]


def _energy_cells(result: RunResult) -> list[Row]:
    rows = records(energy_dataframe(result))
    cells = []
    for snn in (row for row in rows if row["network"] == SNN):
        twin = next((r for r in rows if (r["model"], r["network"]) == (snn["model"], TWIN)), {})
        cells.append(
            (
                f"Energy estimate, {snn['title']}",
                _bounded_energy(snn),
                _bounded_energy(twin),
                text.estimated_factor(
                    twin.get("over_snn"),
                    numerator_complete=twin.get("complete", False),
                    denominator_complete=snn["complete"],
                ),
            )
        )
    return cells


def _bounded_energy(row: dict[str, Any]) -> str:
    value = row.get("pj")
    bound = "" if value is None or row["complete"] else f"{text.AT_LEAST} "
    return bound + text.energy(value)


def _latency_cells(result: RunResult) -> list[Row]:
    rows = records(timing_dataframe(result))
    twins = {_conditions(row): row for row in rows if row["name"] == TWIN_TIMING}
    several = len({row["batch_size"] for row in rows}) > 1
    return [
        (
            f"Latency (ms), {row['name']}" + (f", batch {row['batch_size']}" if several else ""),
            text.significant(row["median_ms"]),
            text.significant(twins.get(_conditions(row), {}).get("median_ms")),
            text.factor(1 / row["over_twin"] if row["over_twin"] else None),
        )
        for row in rows
        if row["name"] != TWIN_TIMING
    ]


def _conditions(row: dict[str, Any]) -> tuple[str, int, int]:
    """Return what two latencies must share to be compared."""
    return row["device"], row["threads"], row["batch_size"]


def _accuracy_cells(result: RunResult) -> list[Row]:
    if result.accuracy is None:
        return []
    accuracies = (metrics()[name] for name in ("accuracy", "twin_accuracy"))
    snn, twin = (text.metric_value(metric, metric.of_run(result)) for metric in accuracies)
    return [("Accuracy", snn, twin, "")]
