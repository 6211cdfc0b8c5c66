"""``snnbench history``: results over time, as tables and plots."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("history")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--metric",
    "asked",
    multiple=True,
    metavar="METRIC",
    help="Metric or group, such as synops or energy.  [default: SynOps, rate, accuracy, times]",
)
@click.option("--skip-unreadable", is_flag=True, help="Leave out damaged and foreign files.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for a table and plots.")
def history_command(
    folder: Path, *, asked: tuple[str, ...], skip_unreadable: bool, out: Path | None
) -> None:
    """Show the results in DIR over time, and at which commit a value stepped.

    DIR holds one file per commit at any depth: results of `snnbench`, or what pytest-benchmark
    stored of tests that use the fixture snn_benchmark.
    """
    from snnbench.compare.history.files import read_folder
    from snnbench.compare.history.series import choose, tracks
    from snnbench.compare.history.tables import print_tracks
    from snnbench.core.files import ensure_writable_folder

    chosen = choose(asked)
    target = None if out is None else ensure_writable_folder(out)
    files = read_folder(folder, skip_unreadable=skip_unreadable)
    for reason in files.skipped:
        click.echo(f"snnbench: warning: skipped: {reason}", err=True)
    found = tracks(files.points, chosen)
    if target is not None:
        from snnbench.compare.history.plots import write_files

        write_files(found, target)
    print_tracks(found, [metric.name for metric in chosen])
    if target is not None:
        click.echo(f"history: {target}")
