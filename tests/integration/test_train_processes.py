"""Training and evaluation in two processes: as the command starts them, and as torchrun does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

TESTS = Path(__file__).parent.parent
COMMAND = (sys.executable, "-m", "snnbench")
SMALL = (
    *("train", "resnet19", "--width", "0.0625", "-T", "1", "--epochs", "1", "--threads", "1"),
    *("--batch-size", "16", "--limit-train", "64"),
)


def in_processes(folder: Path, processes: int, batch_size: int) -> dict[str, str]:
    folder.mkdir()
    script = [sys.executable, str(TESTS / "support/train_cases.py"), str(folder)]
    subprocess.run(
        [*script, "--devices", str(processes), "--batch-size", str(batch_size)],
        check=True,
        timeout=600,
    )
    with safe_open(folder / "final.safetensors", framework="pt") as file:
        return dict(file.metadata())


@pytest.mark.slow
def test_two_processes_equal_one_on_the_joint_batch(tmp_path: Path) -> None:
    one = in_processes(tmp_path / "one", 1, 8)
    two = in_processes(tmp_path / "two", 2, 4)
    assert (one["correct"], one["tested"]) == (two["correct"], "21")
    assert one["firing_rate"] == two["firing_rate"]
    assert float(two["loss"]) == pytest.approx(float(one["loss"]), rel=1e-6)
    alone = load_file(tmp_path / "one" / "final.safetensors")
    together = load_file(tmp_path / "two" / "final.safetensors")
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_the_command_trains_and_evaluates_in_two_processes(tmp_path: Path) -> None:
    subprocess.run([*COMMAND, *SMALL, "--devices", "2", "--out", str(tmp_path)], check=True)
    facts = json.loads((tmp_path / "training.json").read_text())
    assert facts["processes"] == 2
    assert facts["log"][0]["samples"] == 64
    weights = ("--weights", str(tmp_path / "weights.safetensors"))
    arguments = ("evaluate", "resnet19", *weights, "--batch-size", "16")  # as in training
    launcher = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*launcher, "-m", "snnbench", *arguments, "--out", str(tmp_path / "found.json")],
        check=True,
        env=environment,
        capture_output=True,
        text=True,
    )
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["processes"] == 2
    assert found["results"][0]["correct"] == facts["test_correct"]
    assert done.stdout.count("top-1") == 1  # one of them speaks
