"""``snnbench evaluate``: the accuracy of trained weights on a whole test part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snnbench.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from snnbench.train.evaluate_weights import Tested


@click.command("evaluate")
@click.argument("name")
@click.option(
    "--weights", "source", required=True, metavar="FILE", help="Trained weights, or shipped:NAME."
)
@click.option("--data", metavar="[KIND=]PATH", help="Labelled data.  [default: embedded data]")
@click.option(
    "-T", "--timesteps", metavar="T,...", help="One or more T.  [default: the weights', the card's]"
)
@click.option("--width", type=float, help="Channel multiplier.  [default: the weights', 1]")
@click.option(
    "--shortcut",
    type=click.Choice(["paper", "identity"]),
    help="Shortcut policy.  [default: the weights', paper]",
)
@click.option("--batch-size", type=int, default=32, show_default=True, help="Samples per process.")
@click.option("--samples", type=int, help="Test N samples, evenly spread.  [default: all]")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or cuda:N.")
@click.option("--devices", type=int, help="Processes on this node.  [default: 1]")
@click.option("--num-nodes", type=int, help="Nodes.  [default: 1]")
@click.option("--threads", type=int, help="Threads of torch per process.  [default: all cores]")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE.json", help="Write them too.")
def evaluate_command(name: str, timesteps: str | None, out: Path | None, **options: Any) -> None:
    """Test trained weights of the benchmark NAME: accuracy with its 95 % interval, firing rate."""
    from snnbench.zoo import registry

    registry.get(name)  # an unknown name is told before torch takes its seconds to load
    asked = None if timesteps is None else _parse(timesteps)
    if out is not None:
        from snnbench.core.files import ensure_writable_folder

        if out.is_dir():
            msg = f"--out {out} is a folder; name a file such as {out / 'evaluation.json'}"
            raise UsageError(msg)
        ensure_writable_folder(out.parent)
    from snnbench.train.evaluate_weights import evaluate_weights
    from snnbench.train.machine import Machine

    machine = Machine(
        **{key: options.pop(key) for key in ("device", "devices", "num_nodes", "threads")}
    )
    tested = evaluate_weights(name, machine=machine, timesteps=asked, **options)
    if not tested.writes:
        return
    if out is not None:
        from snnbench.core.files import write_atomically

        text = json.dumps(tested.facts, indent=2, ensure_ascii=False)
        write_atomically(out, text.encode(errors="backslashreplace"))
    _print(tested)


def _parse(timesteps: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in timesteps.split(","))
    except ValueError:
        msg = f"-T must be numbers separated by commas, such as 2,4,6; got {timesteps!r}"
        raise UsageError(msg) from None


def _print(tested: Tested) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{tested.facts['benchmark']} on {tested.facts['data']}")
    rows = tested.facts["results"]
    columns = ["T", "top-1", "95 % interval", "correct", "firing rate"]
    top5 = any(row["top5"] is not None for row in rows)
    for column in [*columns, *(["top-5"] if top5 else [])]:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*_cells(row, top5=top5))
    Console().print(table)


def _cells(row: Mapping[str, Any], *, top5: bool) -> list[str]:
    low, high = row["interval_95"]
    rate = row["firing_rate"]
    return [
        str(row["timesteps"]),
        f"{row['top1']:.2%}",
        f"{low:.2%} to {high:.2%}",
        f"{row['correct']:,} of {row['samples']:,}",
        "-" if rate is None else f"{rate:.4f}",
        *([f"{row['top5']:.2%}"] if top5 else []),
    ]
