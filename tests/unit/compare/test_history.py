"""Histories: which values belong together, which commits step, which files are refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from support import factories

from snnbench.cli.main import cli
from snnbench.compare.history.files import read_folder
from snnbench.compare.history.plots import write_files
from snnbench.compare.history.series import Track, choose, tracks
from snnbench.compare.history.values import summary
from snnbench.core.errors import ResultError, SnnbenchError, UsageError
from snnbench.results.files import save
from snnbench.results.run import RunResult

LONG = ("x" * 300, "x" * 301)
COMMITS = [f"{day:02d}abcdef" for day in range(1, 20)]


def put(folder: Path, day: int, result: RunResult) -> Path:
    path = folder / COMMITS[day - 1] / "result.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    save(replace(result, created_utc=f"2026-03-{day:02d}T10:00:00+00:00"), path)
    return path


def put_stored(folder: Path, day: int, result: RunResult, **changes: object) -> Path:
    """What pytest-benchmark stores of a test that uses both fixtures."""
    path = folder / ".benchmarks" / "Linux-64bit" / f"{day:04d}_{COMMITS[day - 1]}_0.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "machine_info": {"node": "here", "cpu": {"count": 2}, "python_version": "3.11"},
        "commit_info": {"id": COMMITS[day - 1], "time": f"2026-03-{day:02d}T10:00:00+01:00"},
        "datetime": "2026-05-01T00:00:00+00:00",
        "benchmarks": [
            {"stats": {"median": 0.25}, "extra_info": {"snnbench": [summary(result)]}},
            {"stats": {"median": 0.5}, "extra_info": {}},
        ],
        **changes,
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def read(folder: Path, *metrics: str) -> tuple[Track, ...]:
    return tracks(read_folder(folder).points, choose(metrics))


def stepped(track: Track) -> list[str | None]:
    return [step.point.commit for step in track.steps]


def test_counts_step_at_the_commit_that_changed_them(tmp_path: Path) -> None:
    for day in (3, 1, 2, 4):
        put(tmp_path, day, factories.make_result(density=0.15 if day < 3 else 0.2))
    synops, rate = read(tmp_path, "synops", "firing_rate")
    assert [entry.point.commit for entry in synops.series[0].entries] == COMMITS[:4]
    assert stepped(synops) == stepped(rate) == [COMMITS[2]]
    assert (synops.steps[0].base, synops.steps[0].head) == (
        factories.snn_profile(density=0.15).effective.synops,
        factories.snn_profile(density=0.2).effective.synops,
    )


def test_the_same_numbers_never_step(tmp_path: Path) -> None:
    for day in range(1, 9):
        put(tmp_path, day, factories.trained(factories.make_result()))
    found = read(tmp_path)
    assert {track.metric.name for track in found} >= {"synops", "accuracy", "latency.event"}
    assert [track.steps for track in found] == [()] * len(found)


@pytest.mark.parametrize(
    ("key", "change"),
    [
        (
            "weights",
            lambda r: replace(r, weights=replace(r.weights, status="trained", sha256="ef" * 32)),
        ),
        ("data", lambda r: replace(r, data=replace(r.data, sha256="ef" * 32))),
        ("benchmark_version", lambda r: replace(r, benchmark_version="f" * 64)),
        ("seed", lambda r: replace(r, config=replace(r.config, seed=7))),
    ],
)
def test_what_does_not_compare_starts_a_series(
    tmp_path: Path, key: str, change: Callable[[RunResult], RunResult]
) -> None:
    put(tmp_path, 1, factories.make_result())
    put(tmp_path, 2, change(factories.make_result(density=0.2)))
    put(tmp_path, 3, change(factories.make_result(density=0.3)))
    (track,) = read(tmp_path, "synops")
    first, second = track.series
    assert (len(first.entries), len(second.entries)) == (1, 2)
    assert second.differs.startswith(f"{key} was ")
    assert stepped(track) == [COMMITS[2]]


def test_times_of_two_machines_are_not_joined(tmp_path: Path) -> None:
    other = replace(factories.make_result().environment, cpu="Another CPU")
    put(tmp_path, 1, factories.make_result())
    put(tmp_path, 2, factories.make_result(environment=other))
    synops, *times = read(tmp_path, "synops", "latency")
    assert len(synops.series) == 1
    assert {len(track.series) for track in times} == {2}
    assert all("cpu was Example CPU" in track.series[1].differs for track in times)


def test_a_slowdown_is_found_and_scatter_is_not(tmp_path: Path) -> None:
    for day in range(1, 17):
        ms = (50 if day < 9 else 65) * (1 + 0.01 * (day * 7 % 5))
        timings = (factories.timing("snn-event", ms), factories.timing("ann-twin", 14 + day % 5))
        put(tmp_path, day, factories.make_result(timings=timings))
    event, twin = read(tmp_path, "latency")
    assert stepped(event) == [COMMITS[8]]
    assert event.steps[0].head / event.steps[0].base == pytest.approx(1.3, rel=0.03)
    assert stepped(twin) == []


def test_files_of_pytest_benchmark_are_read_by_their_commits_date(tmp_path: Path) -> None:
    put_stored(tmp_path, 2, factories.make_result(density=0.2))
    put_stored(tmp_path, 1, factories.make_result())
    put(tmp_path, 3, factories.make_result(density=0.2))
    synops, rate, time = read(tmp_path, "synops", "firing_rate", "latency.test")
    assert stepped(synops) == stepped(rate) == [COMMITS[1]]
    assert len(synops.series[0].entries) == 3
    assert [entry.value for entry in time.series[0].entries] == [250.0, 250.0]


def test_a_users_result_has_no_commit_of_snnbench(tmp_path: Path) -> None:
    mine = factories.make_result(benchmark_version=None)
    save(mine, tmp_path / "mine.json")
    save(factories.make_result(), tmp_path / "ours.json")
    commits = {point.source.stem: point.commit for point in read_folder(tmp_path).points}
    assert commits == {"mine": None, "ours": mine.environment.commit}


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


BAD = {
    "truncated": truncated,
    "foreign": lambda path: path.write_text('{"name": "package"}'),
    "a list": lambda path: path.write_text("[1]"),
    "nested": lambda path: path.write_text("[" * 100_000),
    "no date": lambda path: path.write_text(
        path.read_text().replace("2026-03-02T10:00:00+00:00", "yesterday")
    ),
    "a date of no year": lambda path: path.write_text(
        path.read_text().replace("2026-03-02T10:00:00+00:00", "0001-01-01T00:00:00+23:59")
    ),
    "no tests": lambda path: path.write_text('{"machine_info": {}, "datetime": ""}'),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_file_that_cannot_be_read_is_an_error_unless_skipped(tmp_path: Path, kind: str) -> None:
    put(tmp_path, 1, factories.make_result())
    bad = put(tmp_path, 2, factories.make_result())
    BAD[kind](bad)
    with pytest.raises(ResultError, match="--skip-unreadable") as caught:
        read_folder(tmp_path)
    assert str(bad) in str(caught.value)
    files = read_folder(tmp_path, skip_unreadable=True)
    assert [point.commit for point in files.points] == COMMITS[:1]
    assert len(files.skipped) == 1
    assert str(bad) in files.skipped[0]


def test_a_file_with_one_bad_test_is_skipped_as_a_whole(tmp_path: Path) -> None:
    put(tmp_path, 1, factories.make_result())
    bad = put_stored(tmp_path, 2, factories.make_result())
    tree = json.loads(bad.read_text(encoding="utf-8"))
    tree["benchmarks"][1]["extra_info"] = {"snnbench": "none"}
    bad.write_text(json.dumps(tree))
    files = read_folder(tmp_path, skip_unreadable=True)
    assert [point.commit for point in files.points] == COMMITS[:1]
    assert len(files.skipped) == 1


@pytest.mark.parametrize("value", ["-1", "1e400", '"x"', "99999999999999999999999999"])
def test_counts_that_are_none_are_refused(tmp_path: Path, value: str) -> None:
    path = put_stored(tmp_path, 1, factories.make_result())
    synops = factories.make_result().snn.effective.synops
    content = path.read_text(encoding="utf-8")
    assert f'"synops": {synops}' in content
    path.write_text(content.replace(f'"synops": {synops}', f'"synops": {value}'))
    with pytest.raises(ResultError, match=path.name):
        read_folder(tmp_path)


@pytest.mark.parametrize("seconds", ["-1", "1e308"])
def test_a_time_that_is_none_is_refused(tmp_path: Path, seconds: str) -> None:
    path = put_stored(tmp_path, 1, factories.make_result())
    path.write_text(path.read_text(encoding="utf-8").replace("0.25", seconds))
    with pytest.raises(ResultError, match=r"counts or a time that are not snnbench's: .*negative"):
        read_folder(tmp_path)


def test_what_a_test_stored_beside_may_be_nested(tmp_path: Path) -> None:
    path = put_stored(tmp_path, 1, factories.make_result())
    content, deep = path.read_text(encoding="utf-8"), "[" * 600 + "]" * 600
    assert '"firing_rates": {' in content
    path.write_text(content.replace('"firing_rates": {', f'"x": {deep}, "firing_rates": {{'))
    assert len(read_folder(tmp_path).points) == 1


def test_folders_above_the_history_are_no_commits(tmp_path: Path) -> None:
    folder = tmp_path / "1234567" / "history"
    folder.mkdir(parents=True)
    save(factories.make_result(benchmark_version=None), folder / "mine.json")
    assert [point.commit for point in read_folder(folder).points] == [None]


@pytest.mark.parametrize(
    ("name", "commit"),
    [
        ("20261121", None),
        ("20261121_1200", None),
        ("0007_20261121", None),
        ("20261121120000", None),
        ("20261399", "20261399"),
    ],
)
def test_a_folder_named_by_its_day_is_no_commit(
    tmp_path: Path, name: str, commit: str | None
) -> None:
    (tmp_path / name).mkdir()
    save(factories.make_result(benchmark_version=None), tmp_path / name / "result.json")
    assert [point.commit for point in read_folder(tmp_path).points] == [commit]


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="holds no result"):
        read_folder(tmp_path)
    with pytest.raises(ResultError, match="is not a folder"):
        read_folder(tmp_path / "nowhere")


def test_metrics_are_chosen_by_name_or_group() -> None:
    assert [metric.name for metric in choose(["acs", "latency", "acs"])] == [
        *("acs", "latency.event", "latency.dense", "latency.twin", "latency.test"),
    ]
    with pytest.raises(UsageError, match="did you mean synops"):
        choose(["synop"])


def test_equal_histories_give_equal_files(tmp_path: Path) -> None:
    hostile = factories.with_names(factories.make_result(), factories.HOSTILE_NAME)
    put(tmp_path, 1, hostile)
    put(tmp_path, 2, factories.with_names(factories.make_result(density=0.2), hostile.benchmark))
    found = read(tmp_path, "synops", "latency")
    made = {}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        made[name] = [path.read_bytes() for path in write_files(found, tmp_path / name)]
    assert made["one"] == made["two"]
    assert len(made["one"]) == 1 + 2 * len(found)
    svg = next(path for path in (tmp_path / "one").glob("synops*.svg"))
    assert "<script" not in svg.read_text(encoding="utf-8")


def test_the_command_shows_steps_and_writes_plots(tmp_path: Path) -> None:
    put(tmp_path / "results", 1, factories.make_result())
    put(tmp_path / "results", 2, factories.make_result(density=0.2))
    out = tmp_path / "history"
    done = CliRunner().invoke(
        cli, ["history", str(tmp_path / "results"), "--metric", "acs", "--out", str(out)]
    )
    assert done.exit_code == 0, done.output
    words = " ".join(done.output.split())
    assert f"at {COMMITS[1]}" in words
    assert {path.suffix for path in out.iterdir()} == {".csv", ".svg", ".png"}
    rows = (out / "history.csv").read_text(encoding="utf-8").splitlines()
    acs = [factories.snn_profile(density=x).effective.acs for x in (0.15, 0.2)]
    assert [row.split(",")[-2:] for row in rows[1:]] == [[str(acs[0]), "0"], [str(acs[1]), "1"]]


def test_what_a_training_writes_is_no_damaged_result(tmp_path: Path) -> None:
    put(tmp_path, 1, factories.make_result())
    training = tmp_path / "resnet19" / "train"
    (training / "checkpoints" / "last").mkdir(parents=True)
    (training / "training.json").write_text("{}")
    (training / "checkpoints" / "last" / "state.json").write_text("{}")
    assert len(read_folder(tmp_path).points) == 1


def test_the_command_says_what_it_skipped(tmp_path: Path) -> None:
    put(tmp_path, 1, factories.make_result())
    truncated(put(tmp_path, 2, factories.make_result()))
    done = CliRunner().invoke(cli, ["history", str(tmp_path)])
    assert isinstance(done.exception, SnnbenchError)
    assert done.exception.exit_code == 2
    done = CliRunner().invoke(cli, ["history", str(tmp_path), "--skip-unreadable"])
    assert done.exit_code == 0
    assert "warning: skipped" in done.stderr
    assert "no step" in done.stdout


def test_a_history_needs_no_torch(tmp_path: Path) -> None:
    put(tmp_path, 1, factories.make_result())
    script = (
        "import sys\n"
        "sys.modules['torch'] = None\n"  # importing it raises ImportError
        f"sys.argv = ['snnbench', 'history', {str(tmp_path)!r}, '--out', {str(tmp_path / 'o')!r}]\n"
        "from snnbench.cli.main import main; main()"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path, capture_output=True)
    assert (tmp_path / "o" / "history.csv").exists()
