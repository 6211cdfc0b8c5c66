"""How often ``snnbench ab`` is right: identical code, and a planted slowdown, under load.

Run ``python tools/experiments/ab_experiment.py [--repetitions 50] [--out FOLDER]``. It compares
this environment with itself, each time by three fresh processes a side in turns, while background
processes burn processor time in bursts. Half of the comparisons are of identical code: there no
gate may fail. In the other half the head's networks take 1.25 times as long, and one layer of it
1.3 times, which must be found and named. Raw times go to ``ab_experiment.json``, a table to the
screen and ``ab_experiment.md``.

The planted slowdown waits after each call for the rest of the time, so its factor is exact. The
planted layer is slowed where steps are timed one by one. Timing happens in the process that
counts, unlike in ``snnbench run``, which starts another one: that halves the time of a run.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from statistics import median

from ab_worker import LAYER, SLOWDOWN, SLOWER_LAYER, TIMED, Silent

from snnbench.compare.ab import turns, verdict
from snnbench.compare.ab.revisions import Revision
from snnbench.compare.compare import Comparison
from snnbench.compare.times import time_pairs
from snnbench.core.files import write_atomically
from snnbench.metrics.metric import Family
from snnbench.results.run import RunResult

DETECT = Fraction(1, 4)
_SHORTEST_BURST_S = 0.01


WORKER = Path(__file__).with_name("ab_worker.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Repetition:
    """One comparison and what it said.

    Attributes:
        planted: Whether the head was slower.
        counts_failed: Count gates that failed.
        times: Status of each time gate, by metric.
        base_ms: Process medians of the base, by metric.
        head_ms: The same of the head.
        slower_steps: Those named, largest first.
        notes: What the user reads.
        seconds: That the comparison took.
    """

    planted: bool
    counts_failed: tuple[str, ...]
    times: dict[str, str]
    base_ms: dict[str, tuple[float, ...]]
    head_ms: dict[str, tuple[float, ...]]
    slower_steps: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float


def burn(seed: int, longest_s: float) -> None:
    """Use a processor in bursts of random length, with as long pauses, until the parent ends."""
    draw, parent = random.Random(seed), os.getppid()
    while os.getppid() == parent:
        end = time.perf_counter() + draw.uniform(_SHORTEST_BURST_S, longest_s)
        while time.perf_counter() < end:
            sum(range(10_000))
        time.sleep(draw.uniform(_SHORTEST_BURST_S, longest_s))


@contextmanager
def background_load(processes: int, longest_s: float) -> Iterator[None]:
    """Burn processor time in ``processes`` processes."""
    command = (sys.executable, __file__, "--burst", str(longest_s), "--burn")
    running = [subprocess.Popen((*command, str(seed))) for seed in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def compare_once(seconds: float, folder: Path, *, planted: bool) -> Repetition:
    """One comparison, three processes a side."""
    start = time.perf_counter()
    base, head = (
        turns.Side(
            name=name,
            revision=Revision(asked=name, commit="0" * 40),
            python=Path(sys.executable),
            folder=folder,
            benchmarks=frozenset(),
        )
        for name in ("base", "head")
    )

    def arguments(side: turns.Side, to: Path) -> tuple[str, ...]:
        plant = ("--planted",) if planted and side is head else ()
        return (str(WORKER), str(to), "--seconds", str(seconds), *plant)

    runs = turns.in_turns((base, head), arguments, folder, Silent(), processes=3)
    rules = verdict.rules((), DETECT, exact=True)
    comparison = verdict.judge(
        *runs,
        rules,
        asked=frozenset(),
        allowed=frozenset(),
        detect=DETECT,
        labels=("base", "head"),
    )
    return summarised(comparison, *runs, planted=planted, seconds=time.perf_counter() - start)


def summarised(
    comparison: Comparison,
    base: list[RunResult],
    head: list[RunResult],
    *,
    planted: bool,
    seconds: float,
) -> Repetition:
    """What is kept of a comparison."""
    times = {gate.metric.name: gate for gate in comparison.gates if gate.limit is not None}
    times = {name: gate for name, gate in times.items() if gate.metric.family is Family.TIME}
    pairs = {metric: time_pairs(base, head, name)[0] for metric, name in TIMED.items()}
    failed = [
        gate.metric.name
        for gate in comparison.gates
        if gate.metric.family is not Family.TIME and gate.status not in ("ok", "not gated")
    ]
    return Repetition(
        planted=planted,
        counts_failed=(*failed, *(item.key for item in comparison.refused)),
        times={name: str(gate.status) for name, gate in times.items()},
        base_ms={metric: pair.base_ms for metric, pair in pairs.items()},
        head_ms={metric: pair.head_ms for metric, pair in pairs.items()},
        slower_steps=tuple(step.name for step in verdict.slower_steps(base, head, 0.1)),
        notes=comparison.notes,
        seconds=seconds,
    )


def table(done: list[Repetition], load: int) -> str:
    """Markdown: identical code against planted, and the goals."""
    lines = [
        f"{load} background processes; 3 processes a side; limit of times "
        f"{verdict.DEFAULT_TOLERANCE}",
        "",
        "| head | repetitions | count gates failed | time gate failed | inconclusive | "
        f"`{LAYER}` named first | another step named first | seconds each |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for planted, title in ((False, "identical"), (True, f"{SLOWDOWN}x, layer {SLOWER_LAYER}x")):
        some = [one for one in done if one.planted is planted]
        first = [one.slower_steps[0] for one in some if one.slower_steps]
        cells = (
            title,
            len(some),
            sum(bool(one.counts_failed) for one in some),
            sum("regression" in one.times.values() for one in some),
            sum(
                "inconclusive" in one.times.values() and "regression" not in one.times.values()
                for one in some
            ),
            first.count(LAYER),
            len(first) - first.count(LAYER),
            f"{median(one.seconds for one in some):.1f}" if some else "",
        )
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def experiment(repetitions: int, seconds: float, load: int, burst_s: float, out: Path) -> None:
    """All comparisons, identical and planted ones in turn; files are written after each."""
    out.mkdir(parents=True, exist_ok=True)
    done: list[Repetition] = []
    with (
        tempfile.TemporaryDirectory(prefix="snnbench-ab-") as temporary,  # and compiled kernels
        background_load(load, burst_s),
    ):
        for index in range(2 * repetitions):
            folder = Path(temporary, str(index))
            folder.mkdir()
            done.append(compare_once(seconds, folder, planted=index % 2 == 1))
            settings = {"load": load, "burst_s": burst_s, "seconds": seconds}
            raw = {**settings, "repetitions": list(map(asdict, done))}
            write_atomically(out / "ab_experiment.json", json.dumps(raw, indent=1).encode())
            write_atomically(out / "ab_experiment.md", table(done, load).encode())
    print(table(done, load), end="")


def main() -> None:
    """Parse the arguments: of the experiment, or of its load."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repetitions", type=int, default=50, help="of each kind")
    parser.add_argument("--seconds", type=float, default=0.5, help="of timing per process")
    parser.add_argument("--load", type=int, default=1, help="background processes")
    parser.add_argument("--burst", type=float, default=0.2, help="longest of the load, in seconds")
    parser.add_argument("--out", type=Path, default=Path("results/ab_experiment"))
    parser.add_argument("--burn", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.burn is not None:
        burn(options.burn, options.burst)
    else:
        experiment(options.repetitions, options.seconds, options.load, options.burst, options.out)


if __name__ == "__main__":
    main()
