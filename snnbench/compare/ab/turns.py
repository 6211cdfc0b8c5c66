"""Two revisions, made ready to run and then run in turns."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from snnbench.compare.ab import environments, revisions
from snnbench.compare.ab.processes import run
from snnbench.compare.ab.revisions import Revision
from snnbench.core.files import temporary_folder
from snnbench.core.progress import Reporter
from snnbench.results.files import load
from snnbench.results.run import RunResult

_PREFIX = "snnbench-ab-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A revision in an environment of its own.

    Attributes:
        name: ``base`` or ``head``.
        revision: The revision.
        python: Its interpreter.
        folder: Folder of the environment.
        benchmarks: Names of its benchmarks.
    """

    name: str
    revision: Revision
    python: Path
    folder: Path
    benchmarks: frozenset[str]

    @property
    def label(self) -> str:
        """Name and revision, for messages."""
        return f"{self.name} {self.revision}"


@contextmanager
def sides(
    repository: Path,
    base: Revision,
    head: Revision,
    reporter: Reporter,
    *,
    install: bool = False,
    keep: bool = False,
) -> Iterator[tuple[Side, Side]]:
    """Make an environment for each of both revisions, removed when the block ends.

    Args:
        repository: Top folder of the repository.
        base: Revision before.
        head: Revision after.
        reporter: Shows progress, and a note if the dependencies differ.
        install: Whether to install the dependencies of each side from the package index.
        keep: Whether to leave the environments, and say where they are.

    Raises:
        UsageError: A revision cannot be checked out, or what builds it is missing.
        RunError: A revision cannot be built, or its snnbench cannot be loaded.
    """
    with _folder(reporter, keep=keep) as folder:
        _share_kernels(folder)
        needs, made = [], []
        with reporter.stage("environments of both sides", 2) as show:
            for done, (name, revision) in enumerate((("base", base), ("head", head)), start=1):
                with revisions.checkout(repository, revision, folder / f"{name}-source") as source:
                    needs.append(revisions.requirements(source))
                    made.append(_side(name, revision, source, folder / name, install=install))
                show(done)
        if needs[0] != needs[1] and not install:
            names = ", ".join(sorted(needs[0] ^ needs[1]))
            reporter.note(
                f"the dependencies differ ({names}), but both sides use those of this environment; "
                "--install gives each side its own"
            )
        yield made[0], made[1]


@contextmanager
def _folder(reporter: Reporter, *, keep: bool) -> Iterator[Path]:
    if not keep:
        with temporary_folder(_PREFIX) as folder:
            yield folder
        return
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        yield folder
    finally:
        reporter.note(f"the environments are kept in {folder}")


def order(processes: int) -> Iterator[tuple[int, int]]:
    """Yield (side, ordinal) of each run, base and head first by turns, so that drift cancels.

    >>> [side for side, _ in order(3)]
    [0, 1, 1, 0, 0, 1]
    """
    for ordinal in range(processes):
        for side in (0, 1) if ordinal % 2 == 0 else (1, 0):
            yield side, ordinal


def in_turns(
    both: tuple[Side, Side],
    arguments: Callable[[Side, Path], Sequence[str]],
    out: Path,
    reporter: Reporter,
    *,
    processes: int,
) -> tuple[list[RunResult], list[RunResult]]:
    """Run both sides in turns, each run in a fresh process.

    Args:
        both: Base and head.
        arguments: Makes the interpreter's arguments, which write ``result.json`` into a folder.
        out: Run i of a side goes to ``out/NAME/i``.
        reporter: Shows progress.
        processes: Runs of each side.

    Returns:
        Results of the base, and of the head.

    Raises:
        RunError: A run failed.
        ResultError: A result cannot be read, e.g. because its schema is newer.
    """
    results: tuple[list[RunResult], list[RunResult]] = ([], [])
    with reporter.stage("runs in turns", 2 * processes) as show:
        for done, (index, ordinal) in enumerate(order(processes), start=1):
            side = both[index]
            folder = out / side.name / str(ordinal + 1)
            folder.mkdir(parents=True)
            command = [str(side.python), "-P", *arguments(side, folder)]
            variables = environments.environment(side.folder) | {
                "NUMBA_CACHE_DIR": str(side.folder.parent / "kernels")
            }
            run(command, variables, folder / "stderr.log", f"run {ordinal + 1} of {side.label}")
            results[index].append(load(folder / "result.json"))
            show(done)
    return results


def _side(name: str, revision: Revision, source: Path, folder: Path, *, install: bool) -> Side:
    label = f"{name} {revision}"
    python = environments.create(folder, source, label, install=install)
    return Side(
        name=name,
        revision=revision,
        python=python,
        folder=folder,
        benchmarks=environments.benchmarks(python, folder, label),
    )


def _share_kernels(folder: Path) -> None:
    """Link the compiled kernels of this environment, which are named by what they depend on."""
    from snnbench.core import numba_cache

    ours = numba_cache.folder()
    shared = folder / "kernels"
    shared.mkdir(mode=0o700)
    if ours is not None:
        (shared / "snnbench").symlink_to(ours)
