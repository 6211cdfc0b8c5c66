"""Processor time of other programs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from snnbench.core import process as other_load
from snnbench.core.process import OtherLoad

BURN = "import time\nend = time.time() + 30\nwhile time.time() < end: pass"


def write(path: Path, *, busy: int, idle: int) -> None:
    # user nice system idle iowait irq softirq steal guest guest_nice
    path.write_text(f"cpu  {busy} 0 0 {idle} 0 0 0 0 {busy} 0\ncpu0 1 1 1 1\n", encoding="ascii")


def test_others_have_what_is_busy_and_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stat, ticks = tmp_path / "stat", os.sysconf("SC_CLK_TCK")
    seconds = iter([0.0, 0.0, 0.5, 2.0])  # own, clock; own, clock
    monkeypatch.setattr(other_load, "_STAT", stat)
    monkeypatch.setattr(other_load.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(other_load.time, "process_time", lambda: next(seconds))
    monkeypatch.setattr(other_load.time, "monotonic", lambda: next(seconds))
    write(stat, busy=100 * ticks, idle=0)
    watch = OtherLoad()
    write(stat, busy=100 * ticks + 3 * ticks // 2, idle=5 * ticks)
    assert watch.share() == pytest.approx((1.5 - 0.5) / (2.0 * 2))


def test_where_the_system_does_not_tell_it_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(other_load, "_STAT", tmp_path / "none")
    assert OtherLoad().share() is None


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="known on Linux only")
def test_another_process_is_seen():
    with subprocess.Popen([sys.executable, "-c", BURN]) as process:
        try:
            watch = OtherLoad()
            time.sleep(1)
            share = watch.share()
        finally:
            process.kill()
    assert share is not None
    assert share > 0.3 / (os.cpu_count() or 1)
