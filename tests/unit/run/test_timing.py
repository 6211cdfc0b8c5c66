"""Latency: what is timed in which order, and that no failure leaves anything behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
import torch
from torch import Tensor, nn

from snnbench.core.errors import OutputError, SnnbenchError, UsageError
from snnbench.results.run import Timing
from snnbench.run.timing import interleaved
from snnbench.run.timing.interleaved import measure
from snnbench.run.timing.worker import calls_per_run, round_order, time_calls

NETWORKS_MODULE = '''
"""Networks of an importable user module."""
import os
from pathlib import Path

import torch
from torch import nn


class Noted(nn.Module):
    """Writes down each call."""

    def __init__(self, name, notes):
        super().__init__()
        self.name, self.notes = name, notes
        self.bn = nn.BatchNorm1d(2)

    def forward(self, x):
        print("networks may print", flush=True)
        assert not self.training and torch.is_inference_mode_enabled()
        assert torch.get_num_threads() == 1 and os.environ["OMP_NUM_THREADS"] == "1"
        with Path(self.notes).open("a") as file:
            file.write(self.name)
        return self.bn(x)


class Failing(nn.Module):
    def forward(self, x):
        raise ValueError("no such\\nlayer")

'''


@pytest.fixture
def private_temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder temporary files go to; holds nothing that was there before."""
    folder = tmp_path / "temp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def user_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "user"
    folder.mkdir()
    (folder / "user_networks.py").write_text(NETWORKS_MODULE)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "user_networks", raising=False)
    return folder


def run(
    networks: dict[str, nn.Module],
    *,
    runs: int = 2,
    warmup: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Timing, ...]:
    return measure(
        networks,
        {name: torch.zeros(3, 2) for name in networks},
        runs=runs,
        warmup=warmup,
        threads=1,
        device="cpu",
        batch_size=3,
        min_run_seconds=0.0,
        progress=progress,
    )


def no_children() -> bool:
    children = psutil.Process().children(recursive=True)
    # another test may have started it; it lives as long as this process
    return all("multiprocessing.resource_tracker" in " ".join(c.cmdline()) for c in children)


def test_networks_take_turns_in_a_process_of_their_own(
    private_temp: Path, user_modules: Path
) -> None:
    from user_networks import Noted  # type: ignore[import-not-found]

    notes = user_modules / "notes"
    networks = {name: Noted(name, str(notes)) for name in "ab"}
    steps: list[tuple[int, int]] = []
    timings = run(networks, runs=4, warmup=2, progress=lambda *step: steps.append(step))
    assert notes.read_text() == "aabb" + "ab" + "ba" + "ba" + "ab"
    assert steps == [(i, 12) for i in range(1, 13)]
    assert [timing.name for timing in timings] == ["a", "b"]
    for timing in timings:
        assert (timing.device, timing.threads, timing.batch_size) == ("cpu", 1, 3)
        assert timing.number_per_run == 1
        assert len(timing.raw_seconds) == 4
        assert len(timing.warmup_seconds) == 2
        assert min(timing.raw_seconds + timing.warmup_seconds) > 0
    assert networks["a"].training
    assert list(private_temp.iterdir()) == []
    assert no_children()


def test_how_a_gpu_ran_a_network_is_noted_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    item = {"number_per_run": 1, "raw_seconds": [0.1], "warmup_seconds": [0.2]}
    times = [item | {"execution": "CUDA graph"}, item]
    monkeypatch.setattr("snnbench.run.timing.interleaved._run_worker", lambda *_: times)
    notes: list[str] = []
    timings = measure(
        {"a": nn.Identity(), "b": nn.Identity()},
        {"a": torch.zeros(1), "b": torch.zeros(1)},
        runs=1,
        warmup=1,
        threads=1,
        device="cuda:0",
        batch_size=1,
        note=notes.append,
    )
    assert [timing.execution for timing in timings] == ["CUDA graph", None]
    assert notes == ["a on cuda:0, batch of 1: CUDA graph"]


def test_the_process_gives_a_timing_per_network(
    private_temp: Path, user_modules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = [
        {
            "number_per_run": n,
            "raw_seconds": [0.5 * n, 0.25],
            "warmup_seconds": [2.0],
            "other_load": 0.25,
        }
        for n in (1, 2)
    ]
    message = json.dumps({"times": times})
    (user_modules / "ready_worker.py").write_text(f"print({message!r})")
    monkeypatch.setattr(interleaved, "_WORKER", "ready_worker")
    timings = run({"a": nn.Identity(), "b": nn.Identity()})
    assert {timing.other_load for timing in timings} == {0.25}
    assert [(t.name, t.number_per_run, t.raw_seconds) for t in timings] == [
        ("a", 1, (0.5, 0.25)),
        ("b", 2, (1.0, 0.25)),
    ]


def test_the_workers_error_reaches_the_caller(private_temp: Path, user_modules: Path) -> None:
    from user_networks import Failing

    with pytest.raises(SnnbenchError, match=r"^timing fails failed: ValueError: no such layer$"):
        run({"fails": Failing()})
    assert list(private_temp.iterdir()) == []
    assert no_children()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("import os; os.kill(os.getpid(), 9)", "ended with signal SIGKILL; if memory ran out"),
        ("import sys; sys.exit('no torch here')", r"ended with exit status 1 \(no torch here\)"),
        ("pass", "ended with exit status 0$"),
    ],
)
def test_a_worker_that_dies(
    private_temp: Path,
    user_modules: Path,
    monkeypatch: pytest.MonkeyPatch,
    body: str,
    message: str,
) -> None:
    (user_modules / "dying_worker.py").write_text(body)
    monkeypatch.setattr(interleaved, "_WORKER", "dying_worker")
    with pytest.raises(SnnbenchError, match=f"^timing a failed: the worker process {message}"):
        run({"a": nn.Identity()})
    assert list(private_temp.iterdir()) == []
    assert no_children()


def test_an_interrupted_caller_stops_the_worker(private_temp: Path, user_modules: Path) -> None:
    started = user_modules / "started"
    (user_modules / "endless_worker.py").write_text(
        "import os, pathlib, time\n"
        f"pathlib.Path({str(started)!r}).write_text(f'{{os.getpid()}}.')\n"
        "time.sleep(600)\n"
    )
    script = """
import torch
from snnbench.run.timing import interleaved
interleaved._WORKER = "endless_worker"
a = {"a": torch.nn.Identity()}
interleaved.measure(a, a, runs=1, warmup=1, threads=1, device="cpu", batch_size=1)
"""
    environment = os.environ | {"PYTHONPATH": str(user_modules), "TMPDIR": str(private_temp)}
    # From standard input, where re-importing the main module is impossible.
    with subprocess.Popen(
        [sys.executable, "-"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as caller:
        try:
            assert caller.stdin is not None
            assert caller.stderr is not None
            caller.stdin.write(script.encode())
            caller.stdin.close()
            while not (started.exists() and started.read_text().endswith(".")):
                assert caller.poll() is None, caller.stderr.read().decode()
                time.sleep(0.05)
            worker = psutil.Process(int(started.read_text()[:-1]))
            assert psutil.Process(caller.pid) in worker.parents()
            caller.send_signal(signal.SIGINT)
            assert b"KeyboardInterrupt" in caller.stderr.read()
        finally:
            caller.kill()
    assert not worker.is_running()
    assert list(private_temp.iterdir()) == []


def test_an_exception_in_the_progress_callback_stops_the_worker(
    private_temp: Path, user_modules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (user_modules / "talking_worker.py").write_text(
        "import time; print('{\"done\": 1}', flush=True); time.sleep(600)"
    )
    monkeypatch.setattr(interleaved, "_WORKER", "talking_worker")

    def fail(done: int, total: int) -> None:
        raise LookupError(f"{done} of {total}")

    with pytest.raises(LookupError, match="1 of 3"):
        run({"a": nn.Identity()}, progress=fail)
    assert list(private_temp.iterdir()) == []
    assert no_children()


def test_networks_that_cannot_be_sent(private_temp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Local(nn.Module):
        pass

    with pytest.raises(
        UsageError, match="networks a cannot be timed, since they cannot be pickled"
    ):
        run({"a": nn.Sequential(Local())})
    monkeypatch.setattr(Local, "__module__", "__main__")
    with pytest.raises(UsageError, match=r"Local is defined in the running script; move it to a"):
        run({"a": nn.Sequential(Local())})
    assert list(private_temp.iterdir()) == []


def test_no_room_for_the_networks(private_temp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("file write failed")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OutputError, match=r"file write failed.*free space or set TMPDIR"):
        run({"a": nn.Identity()})
    assert list(private_temp.iterdir()) == []


def test_wrong_arguments() -> None:
    with pytest.raises(UsageError, match="runs is 0: choose 1 or more"):
        run({"a": nn.Identity()}, runs=0)
    with pytest.raises(UsageError, match="warmup is 0: choose 1 or more"):
        run({"a": nn.Identity()}, warmup=0)
    with pytest.raises(UsageError, match=r"networks \[\] and inputs \[\] must have the same names"):
        run({})


@pytest.mark.parametrize("networks", [1, 2, 3, 4])
def test_rounds_are_balanced(networks: int) -> None:
    rounds = [round_order(networks, i) for i in range(2 * networks)]
    assert all(sorted(order) == list(range(networks)) for order in rounds)
    for place in range(networks):
        assert sorted(order[place] for order in rounds) == sorted([*range(networks)] * 2)
    if networks <= 3:
        pairs = [(a, b) for order in rounds for a, b in pairwise(order)]
        assert len({pairs.count(pair) for pair in pairs}) <= 1
        assert len(set(pairs)) == networks * (networks - 1)


@pytest.mark.parametrize(
    ("overhead", "each", "minimum", "expected"),
    [(0.0, 2.0, 1.0, 1), (0.0, 0.01, 1.0, 105), (0.09, 0.01, 1.0, 91), (0.0, 0.0, 1.0, 1_000_000)],
)
def test_calls_fill_the_shortest_run(
    overhead: float, each: float, minimum: float, expected: int
) -> None:
    def timed(number: int) -> float:
        return overhead + number * each

    number = calls_per_run(timed, timed(1), minimum)
    assert number == expected
    assert timed(number) >= minimum or number == 1_000_000


def test_garbage_is_collected_between_the_runs_only() -> None:
    import gc

    class Asks(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(gc.isenabled())
            if len(seen) == 5:
                raise ValueError
            return x

    seen: list[bool] = []
    time_calls(Asks(), torch.zeros(1), 3)
    with pytest.raises(ValueError, match=r"^$"):
        time_calls(Asks(), torch.zeros(1), 3)
    assert seen == [False] * 5
    assert gc.isenabled()
