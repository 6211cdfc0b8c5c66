"""How long ``snnbench compare`` takes for two large results, its start included.

Run ``python tools/experiments/compare_speed.py [LAYERS] [ROUNDS]``: every layer and every count
differs, which is the slowest case. The goal is 2 seconds for 10,000 layers.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from support.factories import make_result, snn_profile, twin_profile

from snnbench.results.files import save

GOAL_S = 2.0


def write_result(path: Path, layers: int, density: float) -> None:
    """A result of ``layers`` rows, half convolutions, half neurons, and as large a twin."""
    profile = snn_profile(density=density)
    conv, lif = profile.layers[2:4]
    rows = tuple(
        replace(row, name=f"blocks.{i}.{name}")
        for i in range(layers // 2)
        for row, name in ((conv, "conv"), (lif, "lif"))
    )
    snn = replace(profile, layers=rows)
    save(make_result(snn=snn, twin=twin_profile(snn)), path)


def compare_seconds(base: Path, head: Path) -> float:
    """Wall-clock time of one ``snnbench compare`` in a fresh process."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "snnbench", "compare", str(base), str(head)],
        check=False,
        capture_output=True,
    )
    seconds = time.perf_counter() - start
    if done.returncode != 1:
        raise SystemExit(done.stderr.decode() or "the planted regression was not found")
    return seconds


def main() -> None:
    """Print the times and whether the goal is met."""
    layers = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    with tempfile.TemporaryDirectory() as folder:
        base, head = Path(folder) / "base.json", Path(folder) / "head.json"
        write_result(base, layers, 0.15)
        write_result(head, layers, 0.151)
        seconds = sorted(compare_seconds(base, head) for _ in range(rounds))
        size = base.stat().st_size / 2**20
    print(f"{layers:,} layers, {size:.1f} MiB a file, {rounds} runs of a fresh process")
    print(f"min {seconds[0]:.2f} s, median {median(seconds):.2f} s, max {seconds[-1]:.2f} s")
    print(f"goal {GOAL_S:g} s: {'met' if median(seconds) < GOAL_S else 'MISSED'}")


if __name__ == "__main__":
    main()
