"""All tables of a report, as text cells for people and as DataFrames for machines."""

from __future__ import annotations

from dataclasses import fields

import pandas as pd

from snnbench.energy.models import SIDE
from snnbench.metrics.catalogue import metrics
from snnbench.metrics.dataframes import checks_dataframe, executed_operations, layer_dataframe
from snnbench.metrics.metric import Metric
from snnbench.metrics.operations import SNN, TWIN, divisors
from snnbench.render import text
from snnbench.render.engine import engine_table
from snnbench.render.table import Column, Table, caption, per
from snnbench.render.twin_tables import (
    energy_table,
    latency_table,
    measured_energy_table,
    operations_table,
)
from snnbench.results.counts import LayerRecord, Profile, Role, SideOps
from snnbench.results.engine import EngineRun
from snnbench.results.run import RunResult


def tables(result: RunResult) -> tuple[Table, ...]:
    """Make every table that ``result`` has data for."""
    made = [operations_table(result), energy_table(result)]
    if result.energy_measured:
        made.append(measured_energy_table(result))
    if result.timings:
        made.append(latency_table(result))
    if result.engine is not None:
        made.append(engine_table(result, result.engine))
    made += [layers_table(result), side_table(result)]
    if result.checks:
        made.append(checks_table(result))
    return tuple(made)


def layers_table(result: RunResult) -> Table:
    """Make the table of the SNN's layers that have synapses or neurons."""
    divisor = divisors(result)[SNN]
    shown = [metric for metric in metrics().values() if metric.header]
    executed = None if result.engine is None else _executed_cells(result.engine)
    executed_column = Column(
        "Executed",
        "Operations the event engine executed for its batch, per sample: accumulates for spikes, "
        "or MACs of a dense kernel. An input that is the same at every timestep is computed once.",
    )
    return Table(
        name="layers",
        title="Layers of the SNN",
        caption=caption(
            result,
            f"Layers of the SNN: operations {per(result)} over all timesteps",
            "MACs and accumulates are exact and effective (on non-zero inputs); rate x dense is "
            "the papers' estimate. Layers without synapses or neurons are in the CSV file only.",
        ),
        columns=(
            Column("Layer", "Module name.", numeric=False),
            Column("Type", "Class of the module, or operation.", numeric=False),
            Column(
                "Input",
                "Values the layer's input takes over the run: binary and ternary cost "
                "accumulates, dense costs MACs.",
                numeric=False,
            ),
            *(Column(metric.header, f"{metric.title}.") for metric in shown),
            *(() if executed is None else (executed_column,)),
        ),
        rows=tuple(
            (layer.name, layer.type_name, _input(layer))
            + tuple(_cell(metric, layer, result.snn, divisor) for metric in shown)
            + (() if executed is None else (executed.get(layer.name, ""),))
            for layer in result.snn.layers
            if layer.dense.synops or layer.output_spikes is not None
        ),
        data=layer_dataframe(result.snn, result.engine),
    )


def _executed_cells(engine: EngineRun) -> dict[str, str]:
    """Write the number of operations that the engine executed for each layer, of both kinds."""
    operations = executed_operations(engine).items()
    return {name: text.count(sum(filter(None, counts.values()))) for name, counts in operations}


def _input(layer: LayerRecord) -> str:
    if not layer.dense.synops:
        return ""
    return text.UNKNOWN if layer.input_alphabet is None else layer.input_alphabet.kind.value


def _cell(metric: Metric, layer: LayerRecord, profile: Profile, divisor: int) -> str:
    """Write a value, or nothing where the layer cannot have it."""
    if not (layer.role is Role.NEURON if metric.neurons else layer.dense.synops):
        return ""
    return text.metric_value(metric, metric.of_layer(layer, profile), divisor=divisor)


def side_table(result: RunResult) -> Table:
    """Make the table of work outside synapses."""
    profiles = {SNN: result.snn} | ({TWIN: result.twin} if result.twin else {})
    divisor = divisors(result)
    work = [
        {"work": operation.title}
        | {name: getattr(p.side, field.name) / divisor[name] for name, p in profiles.items()}
        for field, operation in zip(fields(SideOps), SIDE.values(), strict=True)
    ]
    return Table(
        name="side_work",
        title="Work outside synapses",
        caption=caption(
            result,
            f"Work that is no synaptic operation, {per(result)}",
            "Each row has a unit of its own; nothing here is part of the operation counts.",
        ),
        columns=(
            Column("Work", "Kind of operation.", numeric=False),
            *(Column(name, f"Operations of the {name}.") for name in profiles),
        ),
        rows=tuple(
            (str(r["work"]), *(text.count(float(r[name])) for name in profiles)) for r in work
        ),
        data=pd.DataFrame(work),
    )


def checks_table(result: RunResult) -> Table:
    """Make the table of cross-checks of structure and counts."""
    return Table(
        name="checks",
        title="Checks",
        caption=caption(result, "Cross-checks against independent sources", ""),
        columns=(
            Column("Check", "What was compared.", numeric=False),
            Column("Expected", "What the other source says."),
            Column("Measured", "What was found here."),
            Column("Verdict", "Whether they agree.", numeric=False),
            Column("Note", "What the numbers mean, or why they may differ.", numeric=False),
        ),
        rows=tuple(
            (
                check.name,
                text.count(check.expected),
                text.count(check.measured),
                "agrees" if check.ok else "DIFFERS",
                check.note,
            )
            for check in result.checks
        ),
        data=checks_dataframe(result),
    )
