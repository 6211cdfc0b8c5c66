"""Seeds and threads of this process, and processor time of other programs."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from snnbench.core import process
from snnbench.core.errors import UsageError
from snnbench.core.process import OtherLoad, seed_everything, set_threads

BURN = "while True: pass"


def write(path: Path, *, busy: int, idle: int) -> None:
    # user nice system idle iowait irq softirq steal guest guest_nice
    path.write_text(f"cpu  {busy} 0 0 {idle} 0 0 0 0 {busy} 0\ncpu0 1 1 1 1\n", encoding="ascii")


def test_others_have_what_is_busy_and_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stat, ticks = tmp_path / "stat", os.sysconf("SC_CLK_TCK")
    seconds = iter([0.0, 0.0, 0.5, 2.0])  # own, clock; own, clock
    monkeypatch.setattr(process, "_STAT", stat)
    monkeypatch.setattr(process.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(process.time, "process_time", lambda: next(seconds))
    monkeypatch.setattr(process.time, "monotonic", lambda: next(seconds))
    write(stat, busy=100 * ticks, idle=0)
    watch = OtherLoad()
    write(stat, busy=100 * ticks + 3 * ticks // 2, idle=5 * ticks)
    assert watch.share() == pytest.approx((1.5 - 0.5) / (2.0 * 2))


def test_where_the_system_does_not_tell_it_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(process, "_STAT", tmp_path / "none")
    assert OtherLoad().share() is None


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="known on Linux only")
def test_another_process_is_seen():
    seen = 0.3 / (os.cpu_count() or 1)
    with subprocess.Popen([sys.executable, "-c", BURN]) as burner:
        try:
            watch, limit = OtherLoad(), time.monotonic() + 120
            while (share := watch.share() or 0.0) <= seen and time.monotonic() < limit:
                time.sleep(0.1)  # until it has started, and has run for the larger part
        finally:
            burner.kill()
    assert share > seen


def test_seeding_repeats_every_generator() -> None:
    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.random()), float(torch.rand(()))

    seed_everything(7)
    first = draw()
    assert draw() != first
    seed_everything(7)
    assert draw() == first


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seeds_out_of_range(seed: int) -> None:
    with pytest.raises(UsageError, match=f"seed {seed} is out of range: choose one from 0 to"):
        seed_everything(seed)


def test_threads() -> None:
    before = torch.get_num_threads()
    try:
        set_threads(2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    with pytest.raises(UsageError, match="threads is 0: choose 1 or more"):
        set_threads(0)
