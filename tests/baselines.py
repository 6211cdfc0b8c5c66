"""Baselines of snnbench's own benchmarks: made, and what of them is compared on which CPU.

``python tests/baselines.py`` remakes ``reports/baselines``; files whose counts are equal stay as
they are. Small networks without training: two samples, an eighth of the channels. docs/ci.md says
why another CPU is given a tolerance, and how it was measured.
"""

from __future__ import annotations

import platform
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from snnbench import registry, run_config, runner
from snnbench.files import write_atomically
from snnbench.gate.compare import Comparison, compare_runs
from snnbench.gate.limits import limits
from snnbench.results import load, save
from snnbench.run_records import RunResult

FOLDER = Path(__file__).parents[1] / "reports" / "baselines"
MACHINE = FOLDER / "machine.toml"
TOLERANCE = "0.5%"
"""Six times the largest change of a total that another CPU's arithmetic made."""

ROUNDED = ("synops", "acs", "macs", "spikes", "firing_rate", "energy")
"""What depends on which neurons fire; all else follows from shapes, and is exact everywhere."""


class Silent:
    """A reporter for tests."""

    @contextmanager
    def stage(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """Say nothing."""
        yield lambda done: None

    def note(self, message: str) -> None:
        """Say nothing."""


def made_here() -> dict[str, str]:
    """What decides how this machine rounds."""
    return {
        "machine": platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__.partition("+")[0],
    }


def run(name: str) -> RunResult:
    """Count a benchmark.

    As ``snnbench run NAME --untrained --width 0.125 --samples 2 --threads 1 --no-latency`` does.
    """
    config = run_config.configure(
        name, untrained=True, width=0.125, samples=2, threads=1, with_latency=False
    )
    with tempfile.TemporaryDirectory() as folder:
        return runner.run(config, Silent(), Path(folder))


def compare(base: RunResult, head: RunResult, *, same_arithmetic: bool) -> tuple[Comparison, ...]:
    """Every comparison that must be ok.

    Args:
        base: Committed.
        head: Made now.
        same_arithmetic: Whether both were made on machines that round alike. If not, totals may
            differ by ``TOLERANCE`` in either direction, so both directions are compared.
    """
    # what is counted must stay, whatever becomes of the source
    allowed = frozenset({"benchmark_version"})
    if same_arithmetic:
        return (compare_runs([base], [head], limits((), exact=True), allowed),)
    admitted = limits([f"{name}:{TOLERANCE}" for name in ROUNDED])
    exact = {name: limit for name, limit in limits((), exact=True).items() if name not in admitted}
    # calibrated statistics of the batch norms are part of the weights' hash
    allowed |= {"weights"}
    chosen = exact | admitted
    return (
        compare_runs([base], [head], chosen, allowed),
        compare_runs([head], [base], chosen, allowed),
    )


def update(name: str) -> bool:
    """Remake one baseline; return whether it was written."""
    path, head = FOLDER / f"{name}.json", run(name)
    if path.exists() and all(
        not comparison.exit_code for comparison in compare(load(path), head, same_arithmetic=True)
    ):
        return False
    save(head, path)
    return True


def made_there() -> dict[str, str]:
    """``made_here`` of the machine that made the baselines."""
    return dict(tomllib.loads(MACHINE.read_text(encoding="utf-8")))


def main() -> None:
    """Remake the baselines of the benchmarks named in the arguments, else of all."""
    FOLDER.mkdir(exist_ok=True)
    if MACHINE.exists() and made_there() != made_here():
        told = f"made on {made_there()}, and this is {made_here()}"
        sys.exit(f"{FOLDER}: {told}; delete the folder's files to make all of them here")
    for name in sys.argv[1:] or registry.names():
        print(f"{name}: {'written' if update(name) else 'as it was'}")
    content = "".join(f'{key} = "{value}"\n' for key, value in made_here().items())
    write_atomically(MACHINE, content.encode())


if __name__ == "__main__":
    main()
