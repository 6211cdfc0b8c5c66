"""Baselines of snnbench's own benchmarks: made, and what they promise on which CPU.

``python tools/baselines.py`` remakes ``reports/baselines``; files whose counts hold stay as they
are. Small networks without training: two samples in one batch, an eighth of the channels.

The hash of their weights covers the statistics of every batch norm, calibrated on the very batch
that is counted. A machine that arrives at the same hash rounds alike, and must count alike, in
every layer. On any other, one spike more can make others; docs/ci.md says what holds there, and
how it was measured.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from snnbench.compare.compare import Comparison, compare_runs
from snnbench.compare.limits import limits
from snnbench.results.files import load, save
from snnbench.results.run import RunResult
from snnbench.run import runner
from snnbench.run.config import configure
from snnbench.zoo import registry

FOLDER = Path(__file__).parents[1] / "reports" / "baselines"
TOLERANCE = "0.5%"
"""Of a total. The largest change by other arithmetic that was measured is a quarter of it."""

ROUNDED = ("synops", "acs", "macs", "spikes", "firing_rate", "energy")
"""What depends on which neurons fire; all else follows from shapes, and is exact everywhere."""

ALLOWED = frozenset({"benchmark_version"})
"""What is counted must stay, whatever becomes of the source."""


class Silent:
    """A reporter for tests."""

    @contextmanager
    def stage(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """Say nothing."""
        yield lambda done: None

    def note(self, message: str) -> None:
        """Say nothing."""


def run(name: str) -> RunResult:
    """Count a benchmark.

    As ``snnbench run NAME --untrained --width 0.125 --samples 2 --batch-size 2 --threads 1
    --no-latency`` does.
    """
    benchmark = registry.get(name)
    config = configure(
        benchmark,
        untrained=True,
        width=0.125,
        samples=2,
        batch_size=2,
        threads=1,
        with_latency=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        return runner.run(benchmark, config, Silent(), Path(folder))


def compare(base: RunResult, head: RunResult) -> tuple[Comparison, ...]:
    """Every comparison that must be ok between a baseline and a count made now."""
    if base.weights.sha256 == head.weights.sha256:
        return (compare_exactly(base, head),)
    return compare_roughly(base, head)


def compare_exactly(base: RunResult, head: RunResult) -> Comparison:
    """Two results of machines that round alike."""
    return compare_runs([base], [head], limits((), exact=True), ALLOWED)


def compare_roughly(base: RunResult, head: RunResult) -> tuple[Comparison, Comparison]:
    """Two results of machines that round differently.

    What follows from shapes is exact; other totals may differ by ``TOLERANCE`` in either direction,
    and an accuracy by a point, so both directions are compared.
    """
    points = [] if base.accuracy is None else ["accuracy:1pt"]
    admitted = limits([*(f"{name}:{TOLERANCE}" for name in ROUNDED), *points])
    exact = {name: limit for name, limit in limits((), exact=True).items() if name not in admitted}
    chosen = exact | admitted
    return (
        compare_runs([base], [head], chosen, ALLOWED),
        compare_runs([head], [base], chosen, ALLOWED),
    )


def update(name: str) -> bool:
    """Remake one baseline; return whether it was written."""
    path, head = FOLDER / f"{name}.json", run(name)
    if path.exists() and not any(found.exit_code for found in compare(load(path), head)):
        return False
    save(head, path)
    return True


def main() -> None:
    """Remake the baselines of the benchmarks named in the arguments, else of all."""
    FOLDER.mkdir(exist_ok=True)
    for name in sys.argv[1:] or registry.names():
        print(f"{name}: {'written' if update(name) else 'as it was'}")


if __name__ == "__main__":
    main()
