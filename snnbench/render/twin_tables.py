"""Tables that compare the SNN with its twin and the paper: operations, energy, latency."""

from __future__ import annotations

from statistics import median
from typing import Any

from snnbench.core.units import PJ_PER
from snnbench.energy.models import memory_remark, models
from snnbench.metrics.dataframes import (
    energy_dataframe,
    measured_energy_dataframe,
    operations_dataframe,
    timing_dataframe,
)
from snnbench.metrics.operations import SNN
from snnbench.render import text
from snnbench.render.table import Column, Table, caption, grouped, per, records
from snnbench.results.run import RunResult


def operations_table(result: RunResult) -> Table:
    """Make table 6 of ZH21: additions and multiplications of one inference, and published ones."""
    data = operations_dataframe(result)
    rows = []
    for row in records(data):
        show = text.printed if row["origin"] == "published" else text.count
        remark = {"published": f" ({row['source']})", "estimated": " (estimate)"}
        rows.append(
            (
                row["network"],
                row["counting"] + remark.get(row["origin"], ""),
                show(row["additions"]),
                show(row["multiplications"]),
                text.factor(row["twin_dense_over_additions"]),
                text.factor(row["twin_dense_over_multiplications"]),
                text.significant(row["over_published_additions"]),
                text.significant(row["over_published_multiplications"]),
            )
        )
    return Table(
        name="operations",
        title="Operations of one inference",
        caption=caption(
            result,
            f"Additions and multiplications {per(result)} (table 6 of ZH21)",
            "An accumulate is an addition; a multiply-accumulate (MAC) of the SNN is a "
            "multiplication, a MAC of the ANN twin one addition and one multiplication. "
            "Biases, neuron updates and activation functions are left out. "
            "Rows marked published are printed numbers, not measured here.",
        ),
        columns=(
            Column("Network", "The spiking network (SNN) or its ANN twin.", numeric=False),
            Column(
                "Counting",
                "Effective: operations on non-zero inputs. Inside the image: without taps on zero "
                "padding. Dense: every synapse at every timestep. ZH21 convention: dense "
                "operations of the encoding layer and the head are the multiplications, the other "
                "layers' accumulates the additions, counted exactly or estimated as input firing "
                "rate x dense.",
                numeric=False,
            ),
            Column("Additions", "Accumulates (SNN) or MACs (twin)."),
            Column("Multiplications", "MACs."),
            Column("Twin / row, add.", "Dense additions of the twin divided by the row's."),
            Column("Twin / row, mult.", "Dense multiplications of the twin divided by the row's."),
            Column("Ours / publ., add.", "The row divided by the published additions."),
            Column("Ours / publ., mult.", "The row divided by the published multiplications."),
        ),
        rows=grouped(rows),
        data=data,
    )


def energy_table(result: RunResult) -> Table:
    """Make the table of estimated energy by cost table."""
    data = energy_dataframe(result)
    known = [float(value) for value in data["pj"].dropna()]
    unit = text.energy_unit([median(known)] if known else [])
    snn_complete = dict(data.loc[data["network"] == SNN, ["model", "complete"]].to_numpy())
    rows = []
    for row in records(data):
        bound = "" if row["complete"] or row["pj"] is None else f"{text.AT_LEAST} "
        itself = row["network"] == SNN
        over_snn = text.estimated_factor(
            row["over_snn"],
            numerator_complete=itself or row["complete"],
            denominator_complete=itself or snn_complete[row["model"]],
        )
        value = None if row["pj"] is None else row["pj"] / PJ_PER[unit]
        rows.append(
            (
                row["title"],
                row["network"],
                row["counting"],
                bound + text.significant(value),
                over_snn,
                row["reason"] or row["excluded"],
            )
        )
    titles: dict[str, list[str]] = {}
    for row in records(data.drop_duplicates("model")):
        titles.setdefault(row["source"], []).append(row["title"])
    cited = "; ".join(f"{', '.join(names)}: {source}" for source, names in titles.items())
    remark = memory_remark(models(), "is ")
    return Table(
        name="energy",
        title="Estimated energy",
        caption=caption(
            result,
            f"Estimated energy {per(result)}: operation counts times published costs, no "
            "measurement",
            f"{remark[0].upper()}{remark[1:]}. Sources: {cited}.",
        ),
        columns=(
            Column("Cost table", "Published costs of one operation.", numeric=False),
            Column(
                "Network",
                "The SNN, its ANN twin, or the twin on hardware that skips zeros.",
                numeric=False,
            ),
            Column("Counting", "Which operations are priced: dense or effective.", numeric=False),
            Column(f"Energy ({unit})", "Estimate; a lower bound where operations have no price."),
            Column("Row / SNN", "The row's estimate divided by the SNN's."),
            Column(
                "Not included", "What the estimate leaves out, or why it is unknown.", numeric=False
            ),
        ),
        rows=grouped(rows),
        data=data,
    )


def measured_energy_table(result: RunResult) -> Table:
    """Make the table of meter readings in joules, which stand apart from estimates."""
    data = measured_energy_dataframe(result)
    return Table(
        name="energy_measured",
        title="Measured energy",
        caption=caption(result, "Energy read from a meter", "Includes idle power."),
        columns=(
            Column("Network", "What ran.", numeric=False),
            Column("Meter", "Where the reading comes from.", numeric=False),
            Column("Runs", "Runs inside the reading's window."),
            Column("Energy per run (J)", "Reading divided by runs."),
        ),
        rows=tuple(
            (r["name"], r["method"], text.count(r["runs"]), text.significant(r["joules_per_run"]))
            for r in records(data)
        ),
        data=data,
    )


def latency_table(result: RunResult) -> Table:
    """Make the table of latencies: median, spread, and the ratios to the dense SNN and the twin."""
    data = timing_dataframe(result)
    rows = tuple(
        (
            row["name"],
            f"{row['device']}, {text.plural(row['threads'], 'thread')}"
            + (f", {row['execution']}" if row["execution"] else ""),
            str(row["batch_size"]),
            text.significant(row["median_ms"]),
            f"{text.significant(row['q1_ms'])} to {text.significant(row['q3_ms'])}",
            text.significant(row["min_ms"]),
            f"{row['n']} in {text.plural(row['processes'], 'process', 'processes')}",
            _with_quartiles(row, "over_dense"),
            _with_quartiles(row, "over_twin"),
        )
        for row in records(data)
    )
    return Table(
        name="latency",
        title="Latency",
        caption=caption(
            result,
            f"Wall-clock time per sample on {result.environment.cpu}",
            "Networks are timed in interleaved rounds; ratios are taken round by round. Dense SNN "
            "and twin run with weights prepacked for oneDNN. Times hold for this machine, software "
            "and these firing rates only.",
        ),
        columns=(
            Column("Network", "What was timed.", numeric=False),
            Column("Device", "Device and intra-operation threads.", numeric=False),
            Column("Batch", "Samples per call."),
            Column("Median (ms)", "Median time per sample."),
            Column("Quartiles (ms)", "First to third quartile."),
            Column("Min (ms)", "Shortest time per sample."),
            Column("Runs", "Raw times and worker processes."),
            Column(
                "Row / dense SNN", "Median ratio to the SNN in dense kernels, with its quartiles."
            ),
            Column("Row / twin", "Median ratio to the twin, with its quartiles."),
        ),
        rows=rows,
        data=data,
    )


def _with_quartiles(row: dict[str, Any], key: str) -> str:
    """Write a ratio of times and, where rounds match, its quartiles."""
    ratio = text.factor(row[key])
    if row[f"{key}_q1"] is None:
        return ratio
    low, high = (text.significant(row[f"{key}_{quartile}"]) for quartile in ("q1", "q3"))
    return f"{ratio} ({low} to {high})"
