"""Baselines of tests: one result file per test in a folder, compared or replaced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from snnbench.compare.compare import Comparison, compare_runs
from snnbench.compare.judge import Status
from snnbench.compare.limits import Limit
from snnbench.compare.words import rows, sentences
from snnbench.core.errors import ResultError
from snnbench.core.files import file_stem
from snnbench.render.escape import printable
from snnbench.results.files import load, save
from snnbench.results.run import RunResult

_SHOWN_LAYERS = 8
_ACCEPT = "pytest --snnbench-update, and commit the file"
_SEED = {
    "weights": "seed the model (torch.manual_seed) before it is made",
    "data": "pass the same input in every run (torch.manual_seed, or a stored tensor)",
}
"""Key -> what to do if it differs in a test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baselines:
    """A folder of baselines, and the limits for comparing with them.

    Attributes:
        folder: Folder of the baselines; with ``None`` nothing is compared.
        update: Write baselines instead of comparing with them.
        limits: Limits by metric.
        allowed: Keys that may differ.
        notes: Lines for the summary at the end; ``check`` adds to them.
    """

    folder: Path | None
    update: bool
    limits: Mapping[str, Limit]
    allowed: frozenset[str]
    notes: list[str]

    def check(self, result: RunResult) -> None:
        """Compare ``result`` with its baseline, or make it the baseline.

        Raises:
            ResultError: The baseline is damaged.
            OutputError: It cannot be written.
        """
        name = printable(result.benchmark)
        if self.folder is None:
            self.notes.append(f"{name}: counted; no --snnbench-baseline to compare with")
            return
        path = _path(result, self.folder)
        if self.update:
            self.notes.append(f"{name}: {_update(result, path)}")
            return
        if not path.exists():
            self._fail(
                result,
                "no baseline",
                [f"baseline {path} does not exist", f"make it with {_ACCEPT}"],
            )
        comparison = compare_runs(
            [load(path)], [result], self.limits, self.allowed, labels=(str(path), "this test")
        )
        if comparison.exit_code:
            verdict = "not comparable" if comparison.refused else "worse than the baseline"
            self._fail(result, verdict, _message(comparison, verdict))
        if comparison.moves or comparison.layer_moves:
            self.notes.append(f"{name}: moved, within the limits; keep it with {_ACCEPT}")
            self.notes.extend(_moved(comparison))

    def _fail(self, result: RunResult, verdict: str, lines: list[str]) -> None:
        self.notes.append(f"{printable(result.benchmark)}: {verdict}")
        pytest.fail("\n".join(["snn_benchmark: " + lines[0], *lines[1:]]), pytrace=False)


def keep(result: RunResult, folder: Path) -> None:
    """Write ``result`` to a file in ``folder`` that is named after it."""
    save(result, _path(result, folder))


def _path(result: RunResult, folder: Path) -> Path:
    return folder / f"{file_stem(result.benchmark)}.json"


def _update(result: RunResult, path: Path) -> str:
    """Write the baseline where anything but machine and date differs; say what was done."""
    if not path.exists():
        save(result, path)
        return "new baseline"
    try:
        old = load(path)
    except ResultError:
        save(result, path)
        return "baseline replaced, the old one was damaged"
    if replace(result, environment=old.environment, created_utc=old.created_utc) == old:
        return "baseline is up to date"
    save(result, path)
    return "baseline replaced"


def _message(comparison: Comparison, verdict: str) -> list[str]:
    if comparison.refused:
        return [
            f"{verdict} with {comparison.base}",
            *_refusals(comparison),
            f"if this is meant, make a new baseline with {_ACCEPT}",
        ]
    return [
        f"{verdict} {comparison.base}",
        *_moved(comparison),
        *(f"  {line}" for line in sentences(comparison) if not line.startswith(Status.NOT_GATED)),
        f"if this is meant, accept it with {_ACCEPT}",
    ]


def _refusals(comparison: Comparison) -> Iterator[str]:
    for item in comparison.refused:
        yield printable(f"  {item.key} differs: {item.base} then, {item.head} now")
        if item.key in _SEED:
            yield f"  {_SEED[item.key]}"
        yield f'  or compare all the same: @pytest.mark.snn_benchmark(allow=["{item.key}"])'


def _moved(comparison: Comparison) -> Iterator[str]:
    """Layer, metric and the two numbers, aligned; the layers come first."""
    moved = rows(comparison, _SHOWN_LAYERS)
    network = len(moved) - min(_SHOWN_LAYERS, len(comparison.layer_moves))
    cells = (*moved[network:], *moved[:network])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for layer, metric, base, head, change, verdict in cells:
        yield (
            f"  {layer:<{widths[0]}}  {metric:<{widths[1]}}  {base:>{widths[2]}} -> "
            f"{head:>{widths[3]}}  {change:>{widths[4]}}  {verdict}"
        )
    left = len(comparison.layer_moves) - _SHOWN_LAYERS
    if left > 0:
        yield f"  and {left} smaller changes of layers"
