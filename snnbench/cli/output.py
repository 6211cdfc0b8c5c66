"""Saving, printing and reporting of results and comparisons."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from snnbench.core.errors import OutputError
from snnbench.core.files import write_atomically

if TYPE_CHECKING:
    from snnbench.compare.compare import Report
    from snnbench.results.run import RunResult

RESULTS = Path("results")
"""Default folder of results, with a folder per benchmark."""

_SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"


def save(result: RunResult, folder: Path) -> RunResult:
    """Save a result, and return it as ``snnbench report`` will read it, to the last digit."""
    from snnbench.results import files

    path = folder / "result.json"
    files.save(result, path)
    return files.load(path)


def report(result: RunResult, folder: Path | None) -> None:
    """Write the report of a result, then print it; a closed pipe must not stop the report."""
    from snnbench.cli.progress import RichReporter
    from snnbench.render import terminal

    if folder is not None:
        with RichReporter() as reporter, reporter.stage("writing the report", 1):
            from snnbench.render.folder import write_report

            write_report(result, folder)
    terminal.print_summary(result)
    if folder is not None:
        click.echo(f"report: {folder / 'report.html'}")


def show_comparison(comparison: Report, format_name: str, out: Path | None) -> None:
    """Print a comparison, or write it to a file; add it to the summary of a GitHub job.

    Raises:
        OutputError: A file cannot be written.
    """
    from snnbench.compare.formats import to_json, to_junit
    from snnbench.compare.tables import to_markdown, to_table

    formats = {"table": to_table, "md": to_markdown, "json": to_json, "junit": to_junit}
    text = formats[format_name](comparison)
    if out is None:
        click.echo(text, nl=False)
    else:
        write_atomically(out, text.encode())
        click.echo(f"{out}: exit code {comparison.exit_code}")
    summary = os.environ.get(_SUMMARY_VARIABLE)
    if summary:
        _append(summary, to_markdown(comparison))


def _append(path: str, text: str) -> None:
    try:
        with Path(path).open("a", encoding="utf-8") as summary:
            summary.write(text)
    except OSError as error:
        msg = f"cannot write {path}: {error.strerror}; set {_SUMMARY_VARIABLE} to a writable file"
        raise OutputError(msg) from error
