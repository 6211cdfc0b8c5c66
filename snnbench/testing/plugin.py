"""The pytest plugin: the fixture ``snn_benchmark``, its marker and its options.

pytest imports this module at every start, so nothing but the standard library and pytest is loaded
here; torch comes with the first test that uses the fixture.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from snnbench.testing.fixture import SnnBenchmark

_MARKER = (
    "snn_benchmark(fail_above=(), exact=False, allow=()): limits and keys for the fixture "
    "snn_benchmark, as `snnbench compare` has them"
)
_NOTES = pytest.StashKey[list[str]]()
_REPORTED = "snnbench_notes"
"""Attribute of a test's report; xdist brings it to the process that prints the summary."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the command line."""
    group = parser.getgroup("snnbench", "spiking networks (snnbench)")
    group.addoption(
        "--snnbench-baseline",
        metavar="FOLDER",
        help="Compare what snn_benchmark counts with the baselines in FOLDER, one file per test.",
    )
    group.addoption(
        "--snnbench-update",
        action="store_true",
        help="Write what is counted to the baselines instead of comparing it with them.",
    )
    group.addoption(
        "--snnbench-results",
        metavar="FOLDER",
        help="Write every result to FOLDER as well, for `snnbench compare` and `snnbench history`.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker; check the options before any test runs."""
    config.addinivalue_line("markers", _MARKER)
    if config.option.snnbench_update and not config.option.snnbench_baseline:
        msg = "--snnbench-update needs --snnbench-baseline FOLDER, the folder to write to"
        raise pytest.UsageError(msg)
    for name in ("baseline", "results"):
        given = getattr(config.option, f"snnbench_{name}")
        if not given:
            continue
        # absolute, for workers of xdist and tests that change the folder
        folder = config.invocation_params.dir / given
        setattr(config.option, f"snnbench_{name}", str(folder))
        try:
            if name == "results" or config.option.snnbench_update:
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = f"cannot be made: {error.strerror}; choose a writable folder"
            msg = f"--snnbench-{name} {folder} {reason}"
            raise pytest.UsageError(msg) from error


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say what happens to baselines, under xdist as well."""
    folder = config.option.snnbench_baseline
    if not folder:
        return None
    verb = "written" if config.option.snnbench_update else "compared"
    workers = getattr(config.option, "tx", None)
    how = "; xdist: each worker reads and writes the files of its own tests" if workers else ""
    return f"snnbench: baselines in {folder} are {verb}{how}"


@pytest.fixture
def snn_benchmark(request: pytest.FixtureRequest) -> SnnBenchmark:
    """Count a model: ``snn_benchmark(model, x, timesteps=4, layout="TN")``.

    See ``snnbench.testing.fixture.SnnBenchmark``.
    """
    from snnbench.testing.fixture import SnnBenchmark

    return SnnBenchmark(request, request.node.stash.setdefault(_NOTES, []))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach the notes of the fixture to the report of its test."""
    report = yield
    if report.when == "call" and _NOTES in item.stash:
        setattr(report, _REPORTED, item.stash[_NOTES])
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """List what moved, what was written, and what was not compared."""
    reports = [report for group in terminalreporter.stats.values() for report in group]
    notes = [note for report in reports for note in getattr(report, _REPORTED, ())]
    if notes:
        terminalreporter.section("snnbench")
        for note in notes:
            terminalreporter.write_line(note)
