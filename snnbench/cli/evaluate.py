"""``snnbench evaluate``: the accuracy of trained weights on a whole test part."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snnbench.cli import options
from snnbench.cli.card_options import BenchmarkCommand
from snnbench.core.errors import UsageError
from snnbench.core.files import ensure_writable_folder, write_atomically

if TYPE_CHECKING:
    from snnbench.zoo.registry import Benchmark


@click.command("evaluate", cls=BenchmarkCommand)
@options.benchmark
@options.weights("--weights source", required=True)
@options.data("Labelled data set; its test part is used.")
@options.numbers(
    *("-T --timesteps", "Numbers of timesteps T, tested one after another.", int, "2,4,6"),
    otherwise="that of the weights, else of the benchmark",
)
@options.width(otherwise="that of the weights, else 1")
@options.integer("--batch-size", "Samples per forward pass in each process.", default=32)
@options.integer("--samples", "Number of test samples, spread evenly.", otherwise="all")
@options.machine
@options.out("File for the results as JSON.", metavar="FILE.json", otherwise="none, print only")
def evaluate_command(benchmark: Benchmark, out: Path | None, **given: Any) -> None:
    """Measure the accuracy of trained weights of the benchmark NAME.

    Tests them on the test part of a labelled data set, and prints accuracy with its 95 % interval
    and the firing rate. `snnbench list` shows the names.
    """
    if out is not None:
        if out.is_dir():
            msg = f"--out {out} is a folder; name a file such as {out / 'evaluation.json'}"
            raise UsageError(msg)
        ensure_writable_folder(out.parent)
    from snnbench.train.evaluate_weights import evaluate_weights

    machine = options.take_machine(given)
    facts = evaluate_weights(benchmark, machine=machine, **given)
    if facts is None:
        return
    if out is not None:
        text = json.dumps(facts, indent=2, ensure_ascii=False)
        write_atomically(out, text.encode(errors="backslashreplace"))
    _print(facts)


def _print(facts: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from snnbench.render.escape import printable

    rows = facts["results"]
    columns: dict[str, list[str]] = {
        "T": [str(row["timesteps"]) for row in rows],
        "top-1": [f"{row['top1']:.2%}" for row in rows],
        "95 % interval": ["{:.2%} to {:.2%}".format(*row["interval_95"]) for row in rows],
        "correct": [f"{row['correct']:,} of {row['samples']:,}" for row in rows],
        "firing rate": [
            "-" if row["firing_rate"] is None else f"{row['firing_rate']:.4f}" for row in rows
        ],
    }
    if rows[0]["top5"] is not None:
        columns["top-5"] = [f"{row['top5']:.2%}" for row in rows]
    table = Table(title=Text(printable(f"{facts['benchmark']} on {facts['data']}")))
    for header in columns:
        table.add_column(header, justify="right")
    for cells in zip(*columns.values(), strict=True):
        table.add_row(*cells)
    Console().print(table)
