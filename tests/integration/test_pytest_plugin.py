"""The pytest plugin in sessions of its own: counting, baselines, xdist, pytest-benchmark."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from snnbench.compare.compare import compare
from snnbench.compare.limits import limits
from snnbench.compare.sources import read
from snnbench.nn import neuron
from snnbench.results.files import load
from snnbench.testing import fixture

# pytester forgets what a session imports, and torch cannot be imported twice
IMPORTED = (fixture, neuron)
pytest_plugins = ["pytester"]

Run = Callable[..., pytest.RunResult]
NET = """
import os
import pytest
import torch
from torch import nn
from snnbench.nn.neuron import LIF

def net(threshold=0.2):
    torch.manual_seed(0)
    change = float(os.environ.get("CHANGE", "0"))
    return nn.Sequential(
        nn.Flatten(2), nn.Linear(12, 8), LIF(threshold=threshold + change), nn.Linear(8, 4)
    )

def x():
    torch.manual_seed(1)
    return torch.rand(4, 2, 3, 2, 2)
"""
COUNT = """
def test_counts(snn_benchmark):
    snn_benchmark(net(), x(), timesteps=4, layout="TN")
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run pytest with this plugin, and those that are named, in a folder of its own."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    for variable in ("CHANGE", "PYTEST_XDIST_WORKER"):  # the latter turns pytest-benchmark off
        monkeypatch.delenv(variable, raising=False)

    def call(test: str, *options: str, plugins: tuple[str, ...] = ()) -> pytest.RunResult:
        pytester.makepyfile(test_net=NET + test)
        named = [f"-p{name}" for name in ("snnbench.testing.plugin", *plugins)]
        return pytester.runpytest_inprocess(*named, *options)

    return call


def baselines(pytester: pytest.Pytester) -> list[Path]:
    return sorted((pytester.path / "b").glob("*"))


def test_without_options_it_only_counts(run: Run, pytester: pytest.Pytester) -> None:
    test = """
def test_rate(snn_benchmark):
    model = net().train()
    result = snn_benchmark(model, x(), timesteps=4, layout="TN")
    assert 0 < result.snn.firing_rate < 1
    assert model.training and all(module.training for module in model.modules())
    assert (result.snn.timesteps, result.snn.samples, result.input_shape) == (4, 2, (3, 2, 2))
    assert list(snn_benchmark.results) == ["test_net.py::test_rate"]
"""
    done = run(test)
    done.assert_outcomes(passed=1)
    done.stdout.fnmatch_lines(["*test_rate: counted; no --snnbench-baseline to compare with"])
    assert not baselines(pytester)


def test_a_missing_baseline_fails_and_is_not_made(run: Run, pytester: pytest.Pytester) -> None:
    done = run(COUNT, "--snnbench-baseline", "b")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(
        ["snn_benchmark: baseline * does not exist", "make it with pytest --snnbench-update*"]
    )
    assert not baselines(pytester)


def test_an_accepted_baseline_passes_and_is_a_result(run: Run, pytester: pytest.Pytester) -> None:
    done = run(COUNT, "--snnbench-baseline", "b", "--snnbench-update")
    done.assert_outcomes(passed=1)
    done.stdout.fnmatch_lines(["snnbench: baselines in */b are written", "*new baseline"])
    (path,) = baselines(pytester)
    assert load(path).benchmark == "test_net.py::test_counts"
    done = run(COUNT, "--snnbench-baseline", "b", "--snnbench-results", "head")
    done.assert_outcomes(passed=1)
    head = pytester.path / "head"
    report = compare(read(path.parent), [read(head)], limits([], exact=True))
    assert (report.exit_code, len(report.comparisons)) == (0, 1)


def test_more_spikes_fail_with_layer_and_numbers(
    run: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(COUNT, "--snnbench-baseline", "b", "--snnbench-update")
    (path,) = baselines(pytester)
    was = load(path).snn.neurons[0].output_spikes
    content = path.read_bytes()
    monkeypatch.setenv("CHANGE", "-0.1")
    done = run(COUNT, "--snnbench-baseline", "b", "--snnbench-results", "head")
    done.assert_outcomes(failed=1)
    now = load(next((pytester.path / "head").iterdir())).snn.neurons[0].output_spikes
    assert was is not None
    assert now is not None
    assert now > was
    done.stdout.fnmatch_lines(
        [
            f"snn_benchmark: worse than the baseline {path}",
            f"  2 * spikes * {was} -> * {now} * worse",
            "  regression: spikes: worse; most in 2",
            "if this is meant, accept it with pytest --snnbench-update, and commit the file",
        ]
    )
    assert path.read_bytes() == content
    run(COUNT, "--snnbench-baseline", "b", "--snnbench-update").assert_outcomes(passed=1)
    run(COUNT, "--snnbench-baseline", "b").assert_outcomes(passed=1)


def test_fewer_spikes_pass_and_are_listed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run(COUNT, "--snnbench-baseline", "b", "--snnbench-update")
    monkeypatch.setenv("CHANGE", "0.2")
    done = run(COUNT, "--snnbench-baseline", "b")
    done.assert_outcomes(passed=1)
    done.stdout.fnmatch_lines(["*test_counts: moved, within the limits*", "  2 * spikes * better"])


@pytest.mark.parametrize(
    ("marker", "change", "outcome"),
    [
        ('fail_above=["spikes:500%"]', "-0.1", "passed"),
        ('fail_above=["spikes:1%"]', "-0.1", "failed"),
        ("exact=True", "0.2", "failed"),
        ('fail_above=["spikez:1%"]', "0", "errors"),
        ('fail_above="spikes:1%"', "0", "errors"),
        ('tolerance="1%"', "0", "errors"),
        ('allow=["spikes"]', "0", "errors"),
    ],
)
def test_a_marker_sets_the_limits(
    run: Run, monkeypatch: pytest.MonkeyPatch, marker: str, change: str, outcome: str
) -> None:
    run(COUNT, "--snnbench-baseline", "b", "--snnbench-update")
    monkeypatch.setenv("CHANGE", change)
    marked = f"@pytest.mark.snn_benchmark({marker})\n{COUNT.strip()}\n"
    run(marked, "--snnbench-baseline", "b", "--strict-markers").assert_outcomes(**{outcome: 1})


def test_other_weights_are_no_regression_but_refused(run: Run) -> None:
    run(COUNT, "--snnbench-baseline", "b", "--snnbench-update")
    reseeded = COUNT.replace("net(),", "net().apply(torch.nn.Module.float).requires_grad_(),")
    run(reseeded, "--snnbench-baseline", "b").assert_outcomes(passed=1)
    other = """
def test_counts(snn_benchmark):
    model = net()
    torch.nn.init.ones_(model[1].weight)
    snn_benchmark(model, x(), timesteps=4, layout="TN")
"""
    done = run(other, "--snnbench-baseline", "b")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(
        ["snn_benchmark: not comparable with *", "  weights differs: *", "  seed the model *"]
    )
    allowed = '@pytest.mark.snn_benchmark(fail_above=["params:0"], allow=["weights"])'
    run(f"{allowed}\n{other.strip()}\n", "--snnbench-baseline", "b").assert_outcomes(passed=1)


def test_accuracy_is_gated_in_points(run: Run) -> None:
    def accuracy(correct: int) -> str:
        return COUNT.replace('"TN"', f'"TN", accuracy=({correct}, 100)')

    run(accuracy(93), "--snnbench-baseline", "b", "--snnbench-update").assert_outcomes(passed=1)
    run(accuracy(94), "--snnbench-baseline", "b").assert_outcomes(passed=1)
    done = run(accuracy(92), "--snnbench-baseline", "b")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["*accuracy*93.00 % -> 92.00 %*-1.00 pt*regression"])


def test_an_update_leaves_what_did_not_move(run: Run, pytester: pytest.Pytester) -> None:
    run(COUNT, "--snnbench-baseline", "b", "--snnbench-update")
    (path,) = baselines(pytester)
    stored = path.read_text(encoding="utf-8")
    aged = stored.replace(load(path).created_utc, "2020-01-01T00:00:00+00:00")
    path.write_text(aged, encoding="utf-8")
    done = run(COUNT, "--snnbench-baseline", "b", "--snnbench-update")
    done.stdout.fnmatch_lines(["*baseline is up to date"])
    assert path.read_text(encoding="utf-8") == aged


def test_a_damaged_baseline_is_an_error_until_it_is_replaced(
    run: Run, pytester: pytest.Pytester
) -> None:
    run(COUNT, "--snnbench-baseline", "b", "--snnbench-update")
    (path,) = baselines(pytester)
    path.write_bytes(path.read_bytes()[:300])
    done = run(COUNT, "--snnbench-baseline", "b")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines([f"*ResultError: {path} is damaged*"])
    done = run(COUNT, "--snnbench-baseline", "b", "--snnbench-update")
    done.stdout.fnmatch_lines(["*baseline replaced, the old one was damaged"])
    load(path)


def test_a_baseline_that_cannot_be_written_is_told(run: Run, pytester: pytest.Pytester) -> None:
    run(COUNT, "--snnbench-baseline", "b", "--snnbench-update")
    (path,) = baselines(pytester)
    path.unlink()
    path.mkdir()
    done = run(COUNT, "--snnbench-baseline", "b", "--snnbench-update")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines([f"*OutputError: cannot write {path}: *choose another path"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_told(run: Run, pytester: pytest.Pytester) -> None:
    (pytester.path / "b").mkdir(mode=0o500)
    done = run(COUNT, "--snnbench-baseline", "b", "--snnbench-update")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["*OutputError: cannot write *"])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--snnbench-update",), "--snnbench-update needs --snnbench-baseline FOLDER"),
        (("--snnbench-baseline", "taken", "--snnbench-update"), "*taken cannot be made: *"),
        (("--snnbench-results", "taken"), "--snnbench-results *taken cannot be made: *"),
    ],
)
def test_wrong_options_stop_before_any_test(
    run: Run, pytester: pytest.Pytester, options: tuple[str, ...], told: str
) -> None:
    (pytester.path / "taken").write_text("mine", encoding="utf-8")
    done = run(COUNT, *options)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines([f"ERROR: {told}*"])
    assert (pytester.path / "taken").read_text(encoding="utf-8") == "mine"


def test_every_test_and_every_call_has_a_baseline_of_its_own(
    run: Run, pytester: pytest.Pytester
) -> None:
    test = """
@pytest.mark.parametrize("key", ["a/b", "a:b", "a b", "A b", "\\u00fc", "x" * 300, "x" * 301])
def test_ids(snn_benchmark, key):
    snn_benchmark(net(), x(), timesteps=4, layout="TN")

def test_calls(snn_benchmark):
    for name in ("small", "large"):
        snn_benchmark(net(), x(), timesteps=4, layout="TN", name=name)

def test_same_name(snn_benchmark):
    snn_benchmark(net(), x(), timesteps=4, layout="TN")
    with pytest.raises(Exception, match="counted twice in one test: give each call a name"):
        snn_benchmark(net(), x(), timesteps=4, layout="TN")
"""
    run(test, "--snnbench-baseline", "b", "--snnbench-update").assert_outcomes(passed=9)
    assert len(baselines(pytester)) == 10
    names = {load(path).benchmark for path in baselines(pytester)}
    assert len(names) == 10
    assert "test_net.py::test_calls:small" in names
    run(test, "--snnbench-baseline", "b").assert_outcomes(passed=9)


def test_layouts_count_the_same(run: Run) -> None:
    test = """
class Steps(nn.Module):
    def __init__(self, time_axis):
        super().__init__()
        self.net, self.time_axis = net(), time_axis

    def forward(self, x):
        x = x.transpose(0, 1) if self.time_axis else x
        return self.net(x)

def test_layouts(snn_benchmark):
    tn = snn_benchmark(net(), x(), timesteps=4, layout="TN", name="tn").snn
    nt = snn_benchmark(Steps(1), x().transpose(0, 1), timesteps=4, layout="NT", name="nt").snn
    assert tn.effective == nt.effective
    linear = nn.Linear(12, 4)
    frames = x().flatten(2)
    step = snn_benchmark(linear, frames, timesteps=4, name="step").snn
    assert (step.timesteps, step.samples) == (4, 2)

class Loop(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x):
        return sum(self.linear(x) for _ in range(4))

def test_as_many_channels_as_timesteps(snn_benchmark):
    looped = snn_benchmark(Loop(), torch.rand(2, 4), timesteps=4, layout="loop")
    assert looped.input_shape == (4,)

def test_wrong_arguments(snn_benchmark):
    for arguments, told in (
        (dict(layout="TNN"), "layout must be one of"),
        (dict(layout="step", timesteps=3), "pass torch.stack"),
        (dict(accuracy=(3, 2)), "accuracy is .correct, samples."),
    ):
        with pytest.raises(Exception, match=told):
            snn_benchmark(nn.Linear(2, 4), x(), **{"timesteps": 4, **arguments})
"""
    run(test).assert_outcomes(passed=3)


def test_an_unknown_neuron_is_told(run: Run) -> None:
    test = COUNT.replace("net(),", "nn.Flatten(2),")
    done = run(test)
    done.stdout.fnmatch_lines(["*no spiking neuron is known in the model: pass neurons=*"])


def test_pytest_benchmark_carries_the_numbers(run: Run, pytester: pytest.Pytester) -> None:
    test = """
def test_both(snn_benchmark, benchmark):
    model = net()
    snn_benchmark(model, x(), timesteps=4, layout="TN", accuracy=(3, 4))
    benchmark.pedantic(model, args=(x(),), rounds=2)
"""
    done = run(test, "--benchmark-json", "stored.json", plugins=("pytest_benchmark.plugin",))
    done.assert_outcomes(passed=1)
    stored = json.loads((pytester.path / "stored.json").read_text(encoding="utf-8"))
    ((counts,),) = [test["extra_info"]["snnbench"] for test in stored["benchmarks"]]
    assert counts["benchmark"] == "test_net.py::test_both"
    assert counts["metrics"]["accuracy"] == 75
    assert counts["metrics"]["synops"] > 0
    assert counts["firing_rates"] == {"2": counts["metrics"]["firing_rate"]}


def test_xdist_workers_share_the_folder(run: Run, pytester: pytest.Pytester) -> None:
    test = """
@pytest.mark.parametrize("key", range(4))
def test_many(snn_benchmark, key):
    snn_benchmark(net(), x(), timesteps=4, layout="TN")
"""
    workers = ("xdist.plugin", "xdist.looponfail")
    done = run(test, "--snnbench-baseline", "b", "--snnbench-update", "-n2", plugins=workers)
    done.assert_outcomes(passed=4)
    done.stdout.fnmatch_lines(["snnbench: baselines in */b are written; xdist: each worker *"])
    assert done.stdout.str().count("new baseline") == 4
    assert len(baselines(pytester)) == 4
    run(test, "--snnbench-baseline", "b").assert_outcomes(passed=4)


def test_a_session_without_the_fixture_loads_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_plain.py").write_text("def test_plain(): pass\n", encoding="utf-8")
    (tmp_path / "conftest.py").write_text(
        "import sys\n"
        "def pytest_sessionfinish(session):\n"
        "    heavy = {'torch', 'numpy', 'msgspec', 'rich', 'click', 'snnbench.compare'}\n"
        "    print('LOADED', sorted(heavy & sys.modules.keys()))\n"
        "    print('PLUGIN', 'snnbench.testing.plugin' in sys.modules)\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "snnbench.testing.plugin", "-q", "-s", tmp_path],
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert "LOADED []" in done.stdout
    assert "PLUGIN True" in done.stdout


def test_pytest_finds_the_plugin_by_itself() -> None:
    found = {entry.name: entry.value for entry in metadata.entry_points(group="pytest11")}
    assert found["snnbench"] == "snnbench.testing.plugin"
