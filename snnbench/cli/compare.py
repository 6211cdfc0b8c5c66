"""``snnbench compare``: results against a base, as a table, files and an exit code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from snnbench.core.errors import OutputError

if TYPE_CHECKING:
    from snnbench.compare.compare import Report

_SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"

# options of every command that ends in a comparison
exact_option = click.option(
    "--exact", is_flag=True, help="Fail at any difference of a count, in any layer."
)
allow_option = click.option(
    "--allow", "allowed", multiple=True, metavar="KEY", help="Compare although KEY differs."
)
format_option = click.option(
    "--format",
    "format_name",
    type=click.Choice(["table", "md", "json", "junit"]),
    default="table",
    show_default=True,
    help="Of the output.",
)


@click.command("compare")
@click.argument("base", metavar="BASE", type=click.Path(path_type=Path))
@click.argument(
    "heads", metavar="HEAD...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--fail-above",
    "asked",
    multiple=True,
    metavar="METRIC:TOL",
    help="Gate METRIC, such as synops:1% or accuracy:0.5pt, instead of the defaults.",
)
@exact_option
@allow_option
@format_option
@click.option("--out", type=click.Path(path_type=Path), help="File.  [default: the screen]")
def compare_command(
    base: Path,
    heads: tuple[Path, ...],
    *,
    asked: tuple[str, ...],
    exact: bool,
    allowed: tuple[str, ...],
    format_name: str,
    out: Path | None,
) -> int:
    """Compare results with BASE: files, or folders of files, that `snnbench run` wrote.

    Exit codes: 0 ok, 1 regression, 2 usage, 3 not comparable, 4 missing. docs/ci.md has the rules.
    """
    from snnbench.compare.compare import compare
    from snnbench.compare.identity import check_allowed
    from snnbench.compare.limits import limits
    from snnbench.compare.sources import read

    rules, keys = limits(asked, exact=exact), check_allowed(allowed)
    report = compare(read(base), [read(head) for head in heads], rules, keys)
    write_report(report, format_name, out)
    append_summary(report)
    return report.exit_code


def write_report(report: Report, format_name: str, out: Path | None) -> None:
    """Show a comparison, or write it to a file.

    Raises:
        OutputError: The file cannot be written.
    """
    from snnbench.compare.formats import to_json, to_junit
    from snnbench.compare.tables import to_markdown, to_table

    formats = {"table": to_table, "md": to_markdown, "json": to_json, "junit": to_junit}
    text = formats[format_name](report)
    if out is None:
        click.echo(text, nl=False)
    else:
        from snnbench.core.files import write_atomically

        write_atomically(out, text.encode())
        click.echo(f"{out}: exit code {report.exit_code}")


def append_summary(report: Report) -> None:
    """Add a comparison to the summary of a GitHub job, if this is one.

    Raises:
        OutputError: The file cannot be written.
    """
    name = os.environ.get(_SUMMARY_VARIABLE)
    if not name:
        return
    from snnbench.compare.tables import to_markdown

    try:
        with Path(name).open("a", encoding="utf-8") as summary:
            summary.write(to_markdown(report))
    except OSError as error:
        msg = f"cannot write {name}: {error.strerror}; set {_SUMMARY_VARIABLE} to a writable file"
        raise OutputError(msg) from error
