"""The files of a history: results of snnbench, and files of pytest-benchmark."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from snnbench.compare.history.values import (
    Value,
    identity,
    machine,
    metric_values,
    times_ms,
)
from snnbench.compare.sources import OTHER_FILES
from snnbench.core.errors import ResultError
from snnbench.core.units import MS_PER_S
from snnbench.results.checks import number_problem
from snnbench.results.files import load

TEST_TIME = "latency.test"
"""Metric: the median of pytest-benchmark's rounds."""

_COMMIT = re.compile(r"(?:\d{4,}_)?([0-9a-f]{7,40})(?:_.*)?", re.ASCII)
_EXTRA_INFO = "snnbench"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One benchmark in one file.

    Attributes:
        source: Path of the file.
        benchmark: Name of the benchmark.
        commit: Commit that was measured; ``None`` if neither the file nor its path names it.
        when: Date (UTC) of the commit if the file has it, else of the result.
        identity: Values that must agree before counts compare, by key.
        machine: Values that must agree before times compare, by key.
        values: Known values by metric.
        times_ms: Milliseconds by (metric, conditions).
    """

    source: Path
    benchmark: str
    commit: str | None
    when: datetime
    identity: Mapping[str, str]
    machine: Mapping[str, str]
    values: Mapping[str, Value]
    times_ms: Mapping[tuple[str, str], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Content of a folder.

    Attributes:
        points: Points by date.
        skipped: Why files were left out, one sentence each.
    """

    points: tuple[Point, ...]
    skipped: tuple[str, ...]


class _Commit(msgspec.Struct):
    id: str | None = None
    time: str | None = None


class _Stats(msgspec.Struct):
    median: float


class _Counts(msgspec.Struct):
    benchmark: str
    identity: dict[str, str]
    metrics: dict[str, int | float]


class _Test(msgspec.Struct):
    stats: _Stats
    extra_info: dict[str, Any] = {}


class _Stored(msgspec.Struct):
    datetime: str
    benchmarks: list[_Test]
    commit_info: _Commit = msgspec.field(default_factory=_Commit)
    machine_info: dict[str, Any] = {}


def read_folder(folder: Path, *, skip_unreadable: bool = False) -> Files:
    """Read every result in ``*.json`` files at any depth of ``folder``, hidden folders included.

    With ``skip_unreadable`` files that are damaged or of another kind are left out, and named.

    Raises:
        ResultError: There is no such folder, no result in it, or a file that cannot be read.
    """
    if not folder.is_dir():
        msg = f"{folder} is not a folder; name one that holds results, one file per commit"
        raise ResultError(msg)
    points: list[Point] = []
    skipped: list[str] = []
    for path in sorted(folder.rglob("*.json")):
        if path.name in OTHER_FILES:
            continue
        try:
            points += list(_read(path, folder))  # all of a file, or nothing
        except ResultError as error:
            if not skip_unreadable:
                msg = f"{error}; --skip-unreadable leaves out such files"
                raise ResultError(msg) from error
            skipped.append(str(error))
    if not points:
        msg = f"folder {folder} holds no result of snnbench in any *.json, at any depth"
        raise ResultError(msg)
    points.sort(key=lambda point: (point.when, str(point.source)))
    return Files(points=tuple(points), skipped=tuple(skipped))


def _read(path: Path, folder: Path) -> Iterator[Point]:
    stored = _stored(path)
    # folders above the history may have names like commits, e.g. on a build server
    commit = _commit_in(path.relative_to(folder))
    if stored is not None:
        yield from _of_tests(path, stored, commit)
        return
    result = load(path)
    # the commit of snnbench's own checkout says nothing about a user's model
    own_commit = None if result.benchmark_version is None else result.environment.commit
    yield Point(
        source=path,
        benchmark=result.benchmark,
        commit=commit or own_commit,
        when=_date(result.created_utc, path),
        identity=identity(result),
        machine=machine(result),
        values=metric_values(result),
        times_ms=times_ms(result),
    )


def _stored(path: Path) -> _Stored | None:
    """Read a file of pytest-benchmark; ``None`` if it is of another kind."""
    try:
        tree = msgspec.json.decode(path.read_bytes())
        if not isinstance(tree, dict) or "machine_info" not in tree:
            return None
        return msgspec.convert(tree, _Stored)
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise ResultError(msg) from error
    except msgspec.ValidationError as error:
        msg = f"{path} is not a valid file of pytest-benchmark: {error}"
        raise ResultError(msg) from error
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None  # `load` reports what is wrong


def _of_tests(path: Path, stored: _Stored, commit: str | None) -> Iterator[Point]:
    when = _date(stored.commit_info.time or stored.datetime, path)
    where = {key: str(stored.machine_info.get(key)) for key in ("node", "cpu", "python_version")}
    for test in stored.benchmarks:
        for counts in _counts(test, path):
            yield Point(
                source=path,
                benchmark=counts.benchmark,
                commit=_commit_in(Path(stored.commit_info.id or "")) or commit,
                when=when,
                identity=counts.identity,
                machine=where,
                values=counts.metrics,
                times_ms={(TEST_TIME, ""): test.stats.median * MS_PER_S},
            )


def _counts(test: _Test, path: Path) -> list[_Counts]:
    """Read the counts that the fixture ``snn_benchmark`` stored; none in a test without it."""
    try:
        counts = msgspec.convert(test.extra_info.get(_EXTRA_INFO, []), list[_Counts])
        problem = number_problem([each.metrics for each in counts])
    except msgspec.ValidationError as error:
        problem = str(error)
    if problem is None and counts:
        problem = number_problem(test.stats.median * MS_PER_S)
    if problem:
        msg = f"{path} holds counts or a time that are not snnbench's: {problem}"
        raise ResultError(msg)
    return counts


def _commit_in(path: Path) -> str | None:
    """Find the part of the path, nearest to the file, that is a commit (also ``0007_COMMIT``)."""
    parts = (path.stem, *(parent.name for parent in path.parents))
    commits = (match[1] for part in parts if (match := _COMMIT.fullmatch(part)))
    return next((commit for commit in commits if not _is_day(commit)), None)


def _is_day(name: str) -> bool:
    """Say whether digits that might be a commit begin with a date, as a folder's name may."""
    try:
        datetime.strptime(name[:8], "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return False
    return name.isdigit()


def _date(text: str, path: Path) -> datetime:
    try:
        when = datetime.fromisoformat(text)
        return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    except (ValueError, OverflowError):
        msg = f"{path} has no valid date: {text[:40]!r}"
        raise ResultError(msg) from None
