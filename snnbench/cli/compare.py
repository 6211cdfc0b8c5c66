"""``snnbench compare``: results against a base, as a table, files and an exit code."""

from __future__ import annotations

from pathlib import Path

import click

from snnbench.cli import options, output


@click.command("compare")
@click.argument("base", metavar="BASE", type=options.PATH)
@click.argument("heads", metavar="HEAD...", nargs=-1, required=True, type=options.PATH)
@options.fail_above(
    "Fail if METRIC is worse by more than TOL, such as synops:1% or accuracy:0.5pt; replaces "
    "the default limits; may be repeated."
)
@options.exact
@options.allow
@options.report_format
@options.out("File for the comparison.", metavar="FILE", otherwise="none, print only")
def compare_command(
    base: Path,
    heads: tuple[Path, ...],
    *,
    fail_above: tuple[str, ...],
    exact: bool,
    allow: tuple[str, ...],
    format_name: str,
    out: Path | None,
) -> int:
    """Compare the results HEAD with the results BASE.

    BASE and HEAD are result files that `snnbench run` wrote, or folders of them. docs/ci.md has
    the rules.

    Exit codes: 0 no regression, 1 regression, 2 wrong usage, 3 not comparable, 4 a result is
    missing.
    """
    from snnbench.compare.compare import compare
    from snnbench.compare.identity import check_allowed
    from snnbench.compare.limits import limits
    from snnbench.compare.sources import read

    rules, keys = limits(fail_above, exact=exact), check_allowed(allow)
    comparison = compare(read(base), [read(head) for head in heads], rules, keys)
    output.show_comparison(comparison, format_name, out)
    return comparison.exit_code
