"""``snnbench history``: results over time, as tables and plots."""

from __future__ import annotations

from pathlib import Path

import click

from snnbench.cli import options
from snnbench.core.files import ensure_writable_folder


@click.command("history")
@click.argument("folder", metavar="FOLDER", type=options.PATH)
@options.repeated(
    "--metric names",
    "Metric or group of metrics, such as synops or energy; may be repeated.",
    metavar="METRIC",
    otherwise="synops, firing rate, accuracy, times",
)
@options.flag("--skip-unreadable", "Skip files that are damaged or hold no results.")
@options.out("Folder for a table and plots.", otherwise="none, print only")
def history_command(
    folder: Path, *, names: tuple[str, ...], skip_unreadable: bool, out: Path | None
) -> None:
    """Show the results in FOLDER over time.

    Names the commits at which a value stepped. FOLDER holds one file per commit, at any depth:
    results of `snnbench run`, or what pytest-benchmark stored of tests that use the fixture
    snn_benchmark.
    """
    from snnbench.compare.history.files import read_folder
    from snnbench.compare.history.series import choose, tracks
    from snnbench.compare.history.tables import print_tracks

    metrics = choose(names)
    target = None if out is None else ensure_writable_folder(out)
    files = read_folder(folder, skip_unreadable=skip_unreadable)
    for reason in files.skipped:
        click.echo(f"snnbench: warning: skipped: {reason}", err=True)
    series = tracks(files.points, metrics)
    if target is not None:
        from snnbench.compare.history.plots import write_files

        write_files(series, target)
    print_tracks(series, [metric.name for metric in metrics])
    if target is not None:
        click.echo(f"history: {target}")
