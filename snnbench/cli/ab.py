"""``snnbench ab``: two revisions run in turns on this machine, and the verdict."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import click

from snnbench.cli import options, output
from snnbench.core.errors import UsageError
from snnbench.core.files import ensure_writable_folder

if TYPE_CHECKING:
    from snnbench.compare.ab.revisions import Revision
    from snnbench.compare.ab.turns import Side
    from snnbench.compare.compare import Report

_OWN_OPTIONS = ("--out",)


@click.command("ab")
@click.argument("base", metavar="BASE_REF")
@click.argument("head", metavar="HEAD_REF")
@click.argument("command", metavar="-- run NAME ...", nargs=-1, required=True)
@options.integer(
    "--processes", "Number of runs of each revision.", type=click.IntRange(1), default=3
)
@options.fail_above(
    "Fail if METRIC is worse by more than TOL, such as latency.event:15%; adds to the default "
    "limits; may be repeated."
)
@options.exact
@options.allow
@options.option(
    "--detect",
    "Smallest slowdown that must not go unnoticed; if times vary too much to exclude it, the "
    "verdict is inconclusive.",
    default="25%",
    metavar="PERCENT",
)
@options.flag("--fail-inconclusive", "Exit with code 3 if times are inconclusive.")
@options.option(
    "--repo", "Any folder of the git repository.", type=options.PATH, default=".", metavar="FOLDER"
)
@options.flag("--install", "Install the dependencies of each revision separately (downloads them).")
@options.flag("--keep", "Keep the environments of both revisions.")
@options.report_format
@options.out("New folder for the results of all runs.", otherwise="results/ab/BASE-HEAD-TIME")
def ab_command(
    base: str,
    head: str,
    command: tuple[str, ...],
    *,
    processes: int,
    fail_above: tuple[str, ...],
    exact: bool,
    allow: tuple[str, ...],
    detect: str,
    fail_inconclusive: bool,
    repo: Path,
    install: bool,
    keep: bool,
    format_name: str,
    out: Path | None,
) -> int:
    """Compare two revisions by running both in turns.

    BASE_REF and HEAD_REF are commits, branches or tags of a git repository; `.` is its working
    tree. The command after `--` is run by both.

    Example: snnbench ab main . -- run resnet19 --samples 4 --threads 1

    Exit codes: 0 no regression or inconclusive, 1 regression, 2 wrong usage, 3 not comparable, 4
    the benchmark is missing.
    """
    from snnbench.cli.progress import RichReporter
    from snnbench.compare.ab import revisions, turns, verdict
    from snnbench.compare.compare import Report
    from snnbench.compare.identity import check_allowed

    name, command = _benchmark(command), with_fixed_batches(command)
    _check_processes(processes, command)
    smallest = _share(detect)
    rules, keys = verdict.rules(fail_above, smallest, exact=exact), check_allowed(allow)
    top = revisions.top_of(repo)
    old, new = revisions.resolve(top, base), revisions.resolve(top, head)
    folder = ensure_writable_folder(_new_folder(out, old, new))
    with RichReporter() as reporter:
        if old.commit == new.commit and not (old.changed or new.changed):
            reporter.note(f"base and head are both {old}: differences in time are noise")
        with turns.sides(top, old, new, reporter, install=install, keep=keep) as both:
            report = absent(name, both)
            if report is None:
                runs = turns.in_turns(
                    both,
                    lambda _side, to: ("-m", "snnbench", *command, "--out", str(to.resolve())),
                    folder,
                    reporter,
                    processes=processes,
                )
                comparison = verdict.judge(
                    *runs,
                    rules,
                    asked=verdict.asked_metrics(fail_above),
                    allowed=keys | {"benchmark_version"},
                    detect=smallest,
                    labels=(str(old), str(new)),
                )
                report = Report(comparisons=(comparison,))
    output.show_comparison(report, format_name, None)
    if report.comparisons:
        click.echo(f"results of all runs: {folder}", err=True)
    code = report.exit_code
    if fail_inconclusive and not code and report.inconclusive:
        code = verdict.INCONCLUSIVE
        click.echo(
            f"exit code {code}, because times are inconclusive (--fail-inconclusive)", err=True
        )
    return code


def _benchmark(command: tuple[str, ...]) -> str:
    """Check the command ``run NAME ...``, and return the benchmark's name."""
    if command[0] != "run" or len(command) < 2 or command[1].startswith("-"):
        msg = f"write the command as `-- run NAME ...`, not `{' '.join(command)}`"
        raise UsageError(msg)
    for word in command:
        if word.partition("=")[0] in _OWN_OPTIONS:
            msg = f"{word} must stand before `--`: all runs after it would share one folder"
            raise UsageError(msg)
    return command[1]


def with_fixed_batches(command: tuple[str, ...]) -> tuple[str, ...]:
    """Time batches of one sample, unless the command says otherwise or times nothing.

    By default each run would decide by its own estimate whether to time a large batch too, and
    runs with different timings cannot be compared.
    """
    named = {word.partition("=")[0] for word in command}
    if named & {"--latency-batches", "--no-latency"}:
        return command
    return (*command, "--latency-batches", "1")


def _check_processes(processes: int, command: tuple[str, ...]) -> None:
    from snnbench.compare.times import MIN_TURNS

    if processes < MIN_TURNS and "--no-latency" not in command:
        msg = (
            f"--processes {processes} is too few to compare times; choose at least {MIN_TURNS}, "
            "or put --no-latency after `--`"
        )
        raise UsageError(msg)


def _share(text: str) -> Fraction:
    match = re.fullmatch(r"(\d{1,4}(?:\.\d{1,4})?)%?", text, re.ASCII)
    if match is None:
        msg = f"--detect must be a percentage such as 25%; got {text!r}"
        raise UsageError(msg)
    return Fraction(match[1]) / 100


def _new_folder(out: Path | None, base: Revision, head: Revision) -> Path:
    if out is None:
        now = datetime.now(tz=UTC).strftime("%Y%m%dT%H%M%SZ")
        return output.RESULTS / "ab" / f"{base.commit[:7]}-{head.commit[:7]}-{now}"
    if any((out / side).exists() for side in ("base", "head")):
        msg = f"{out} holds runs of an earlier comparison; choose another folder with --out"
        raise UsageError(msg)
    return out


def absent(name: str, both: tuple[Side, Side]) -> Report | None:
    """Report a benchmark that only one side has; ``None`` if both have it.

    Raises:
        UsageError: Neither side has the benchmark.
    """
    from snnbench.compare.compare import Report

    base, head = both
    if name in base.benchmarks and name in head.benchmarks:
        return None
    if name in base.benchmarks:
        return Report(comparisons=(), missing=((name, head.label),))
    if name in head.benchmarks:
        return Report(comparisons=(), added=((name, head.label),))
    known = ", ".join(sorted(base.benchmarks | head.benchmarks))
    msg = f"neither {base.label} nor {head.label} has the benchmark {name}; they have {known}"
    raise UsageError(msg)
