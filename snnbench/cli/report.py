"""``snnbench report``: the report of a saved result, made again."""

from __future__ import annotations

from pathlib import Path

import click

from snnbench.cli import options, output
from snnbench.core.files import ensure_writable_folder


@click.command("report")
@click.argument("result_path", metavar="RESULT.json", type=options.PATH)
@options.out("Folder for the report.", otherwise="the folder of RESULT.json")
def report_command(result_path: Path, out: Path | None) -> None:
    """Rebuild the report of RESULT.json.

    Writes the page, the tables and the figures, and prints the summary. Needs no PyTorch.
    """
    from snnbench.results.files import load

    result = load(result_path)
    output.report(result, result_path.parent if out is None else ensure_writable_folder(out))
