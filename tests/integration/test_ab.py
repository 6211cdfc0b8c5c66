"""``snnbench ab`` on a repository of a user's own benchmarks, made by the test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.command_line import Invoke, invoker
from support.factories import make_result, timing

from snnbench.cli import ab
from snnbench.compare.ab import revisions, turns
from snnbench.compare.ab.processes import RunError
from snnbench.core.errors import UsageError

ROOT = Path(__file__).parents[2]
PROJECT = """
[build-system]
requires = ["{builder}"]
build-backend = "setuptools.build_meta"
[project]
name = "toy-benchmarks"
version = "1"
dependencies = ["snnbench"]
[project.entry-points."snnbench.models"]
{name} = "toy_benchmarks:toy"
[tool.setuptools]
packages = ["toy_benchmarks"]
[tool.setuptools.package-data]
toy_benchmarks = ["*.toml"]
"""
MODULE = """
from pathlib import Path
from snnbench.zoo.registry import Benchmark
toy = Benchmark(path=Path(__file__).with_name("toy.toml"), builder="snnbench.models.resnet:build")
"""
# what a run leaves behind, without the seconds that a run takes
WORKER = """
import sys
from datetime import UTC, datetime
sys.path.append({tests!r})
from support.factories import make_result
from snnbench.results.files import save
import toy_benchmarks
result = make_result(title=toy_benchmarks.__file__, created_utc=datetime.now(tz=UTC).isoformat())
save(result, sys.argv[1] + "/result.json")
"""


class Silent:
    """A reporter that remembers the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    @contextmanager
    def stage(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        yield lambda done: None

    def note(self, message: str) -> None:
        self.notes.append(message)


def write_project(folder: Path, *, name: str = "toy", builder: str = "setuptools") -> None:
    package = folder / "toy_benchmarks"
    package.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(PROJECT.format(name=name, builder=builder))
    (package / "__init__.py").write_text(MODULE)
    card = (ROOT / "models/cards/plain20.toml").read_text(encoding="utf-8")
    (package / "toy.toml").write_text(card.replace('name = "plain20"', 'name = "toy"'))


def commit(folder: Path) -> None:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    variables = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    for arguments in (("init", "-q"), ("add", "."), (*identity, "commit", "-q", "-m", "toy")):
        subprocess.run(("git", *arguments), cwd=folder, env=variables, check=True)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of one commit; temporary files go to ``tmp_path/tmp``."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "project"
    write_project(folder)
    commit(folder)
    return folder


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Invoke:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    monkeypatch.setenv("COLUMNS", "200")

    return invoker(monkeypatch, capsys, "ab")


def both_sides(repository: Path) -> tuple[revisions.Revision, revisions.Revision]:
    top = revisions.top_of(repository)
    return revisions.resolve(top, "HEAD"), revisions.resolve(top, ".")


def test_each_side_has_its_own_project_and_the_packages_of_this_environment(
    repository: Path, tmp_path: Path
) -> None:
    write_project(repository, name="renamed")  # uncommitted, as is the next dependency
    text = (repository / "pyproject.toml").read_text()
    (repository / "pyproject.toml").write_text(text.replace('["snnbench"]', '["snnbench", "rich"]'))
    reporter = Silent()
    base, head = both_sides(repository)
    code = WORKER.format(tests=str(ROOT / "tests"))
    with turns.sides(repository, base, head, reporter) as both:
        assert [side.benchmarks & {"toy", "renamed"} for side in both] == [{"toy"}, {"renamed"}]
        out = tmp_path / "out"
        runs = turns.in_turns(
            both, lambda _, folder: ("-c", code, str(folder)), out, reporter, processes=2
        )
        for side, results in zip(both, runs, strict=True):
            assert all(run.title.startswith(str(side.folder)) for run in results)
            assert len(list((out / side.name).rglob("result.json"))) == 2
        made = sorted((run.created_utc, which) for which, side in enumerate(runs) for run in side)
        assert [which for _, which in made] == [0, 1, 1, 0]
        with pytest.raises(
            RunError, match=r"^run 1 of base HEAD \(\w{7}\) failed with exit code 7"
        ):
            turns.in_turns(
                both,
                lambda _, folder: ("-c", "raise SystemExit(7)"),
                tmp_path / "failing",
                reporter,
                processes=1,
            )
    assert not list((tmp_path / "tmp").iterdir())
    (note,) = reporter.notes
    assert note.startswith("the dependencies differ (rich), but both sides use those of this")


def test_a_builder_that_is_missing_is_told(repository: Path, tmp_path: Path) -> None:
    write_project(repository, builder="setuptools>=1000")
    reporter = Silent()
    with (
        pytest.raises(UsageError, match=r"building head .* needs setuptools>=1000, which is "),
        turns.sides(repository, *both_sides(repository), reporter),
    ):
        pass
    assert not list((tmp_path / "tmp").iterdir())


def test_a_benchmark_that_the_head_lacks(repository: Path, invoke: Invoke) -> None:
    write_project(repository, name="renamed")
    code, out, err = invoke("HEAD", ".", "--repo", "project", "--", "run", "toy")
    assert code == 4, err
    assert out.startswith("missing: head . (")
    assert "has no result of toy to compare" in out


def test_all_runs_time_the_same_batches() -> None:
    run = ("run", "resnet19")
    assert ab.with_fixed_batches(run) == (*run, "--latency-batches", "1")
    for own in (("--latency-batches", "1,8"), ("--latency-batches=8",), ("--no-latency",)):
        assert ab.with_fixed_batches((*run, *own)) == (*run, *own)


def test_a_benchmark_that_only_the_head_has_or_neither() -> None:
    revision = revisions.Revision(name="main", commit="0" * 40)
    base, head = (
        turns.Side(
            name=name,
            revision=revision,
            python=Path(),
            folder=Path(),
            benchmarks=frozenset(benchmarks),
        )
        for name, benchmarks in (("base", ("old", "both")), ("head", ("new", "both")))
    )
    assert ab.absent("both", (base, head)) is None
    new = ab.absent("new", (base, head))
    assert new is not None
    assert (new.exit_code, new.added) == (0, (("new", "head main (0000000)"),))
    with pytest.raises(UsageError, match="has the benchmark newer; they have both, new, old"):
        ab.absent("newer", (base, head))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("HEAD", ".", "--", "latency", "toy"), "write the command as `-- run NAME ...`"),
        (("HEAD", ".", "--", "run"), "write the command as `-- run NAME ...`"),
        (("HEAD", ".", "--", "run", "toy", "--out=x"), "--out=x must stand before `--`"),
        (("HEAD", "v9", "--", "run", "toy"), "has no revision v9; fetch it first"),
        (("HEAD", ".", "--detect", "lots", "--", "run", "toy"), "must be a percentage"),
        (("HEAD", ".", "--detect", "5%", "--", "run", "toy"), "must be above the tolerance"),
        (("HEAD", ".", "--fail-above", "speed:1", "--", "run", "toy"), "no such metric"),
        (("HEAD", ".", "--repo", "nowhere", "--", "run", "toy"), "nowhere is not a folder"),
        (("HEAD", ".", "--out", "used", "--", "run", "toy"), "holds runs of an earlier"),
        (("HEAD", ".", "--processes", "2", "--", "run", "toy"), "is too few to compare times"),
    ],
)
def test_what_cannot_be_is_one_line(
    repository: Path, invoke: Invoke, arguments: tuple[str, ...], told: str
) -> None:
    (repository.parent / "used/base").mkdir(parents=True)
    if "--repo" not in arguments:
        arguments = (*arguments[:2], "--repo", "project", *arguments[2:])
    code, out, err = invoke(*arguments)
    assert (code, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(("option", "expected"), [((), 0), (("--fail-inconclusive",), 3)])
def test_noise_fails_on_request(
    repository: Path,
    invoke: Invoke,
    monkeypatch: pytest.MonkeyPatch,
    option: tuple[str, ...],
    expected: int,
) -> None:
    @contextmanager
    def sides(
        repository: Path, *both: revisions.Revision, **_: object
    ) -> Iterator[tuple[turns.Side, ...]]:
        yield tuple(
            turns.Side(
                name=name,
                revision=both[0],
                python=Path(),
                folder=Path(),
                benchmarks=frozenset({"toy"}),
            )
            for name in ("base", "head")
        )

    noisy = [
        [
            make_result(
                timings=(timing("snn-event", ms),), created_utc=f"2026-01-02T03:0{minute}:00"
            )
            for minute, ms in side
        ]
        for side in (((0, 10), (3, 14), (4, 10.1)), ((1, 10.1), (2, 10), (5, 13)))
    ]
    monkeypatch.setattr(turns, "sides", sides)
    monkeypatch.setattr(turns, "in_turns", lambda *_, **__: noisy)
    code, out, err = invoke("HEAD", "HEAD", "--repo", "project", *option, "--", "run", "toy")
    assert code == expected, out + err
    assert "verdict: inconclusive" in out
    assert ("exit code 3, because times are inconclusive" in err) == bool(option)


@pytest.mark.slow
def test_a_planted_change_is_found_and_named(repository: Path, invoke: Invoke) -> None:
    card = repository / "toy_benchmarks/toy.toml"
    text = card.read_text(encoding="utf-8")
    card.write_text(text.replace("decay = 0.25", "decay = 0.5"), encoding="utf-8")
    command = ("--", "run", "toy", "--samples", "1", "--width", "0.125", "--no-latency")
    options = ("--repo", "project", "--processes", "1")
    code, out, err = invoke("HEAD", ".", *options, *command)
    assert code == 1, out + err
    assert "allowed: benchmark_version differs" in out
    assert "both networks are untrained" in out  # and calibrated again
    assert "regression: spikes: worse; most in " in out
    assert "verdict: regression (exit code 1)" in out


def test_ctrl_c_leaves_nothing_behind(repository: Path, tmp_path: Path) -> None:
    command = ("ab", "HEAD", ".", "--repo", "project", "--", "run", "toy", "--width", "0.125")
    process = subprocess.Popen(
        (sys.executable, "-m", "snnbench", *command),
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
        stderr=subprocess.PIPE,
        text=True,
    )
    results = tmp_path / "results"
    while process.poll() is None and not list(results.rglob("stderr.log")):
        time.sleep(0.05)
    time.sleep(2.0)  # the first run is under way
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 130, err
    assert "interrupted" in err
    assert "Traceback" not in err
    assert not list((tmp_path / "tmp").iterdir())
