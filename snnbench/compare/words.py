"""A comparison in words and rows, shared by every format for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from snnbench.compare.compare import Comparison, Report
from snnbench.compare.judge import Gate, Status
from snnbench.compare.moves import Move
from snnbench.metrics.metric import Family, Metric, Number
from snnbench.render import text
from snnbench.render.escape import printable

VERDICTS = {0: "ok", 1: "regression", 3: "not comparable", 4: "missing"}
"""Exit code -> what it means."""

HEADERS = ("Layer", "Metric", "Base", "Head", "Change", "Result")
_NUMERIC = ("Base", "Head", "Change")
_WHOLE_NETWORK = "(network)"
_NAME_CHARACTERS = 32
_COUNT_DIGITS = 5
_MOST_NAMED = 20
"""Layers that are gone or new, of which the rest is a number."""
_MILLION = 10**6


def numeric(header: str) -> bool:
    """Whether the column of that header holds numbers."""
    return header in _NUMERIC


def verdict(judged: Comparison | Report) -> str:
    """The exit code in a word, or that it says nothing."""
    code = judged.exit_code
    return str(Status.INCONCLUSIVE) if not code and judged.inconclusive else VERDICTS[code]


def heading(comparison: Comparison) -> str:
    """Benchmark, sides and verdict."""
    sides = f"{text.shorten(comparison.base, 60)} against {text.shorten(comparison.head, 60)}"
    return printable(f"{text.shorten(comparison.benchmark, 60)}: {verdict(comparison)} ({sides})")


def sentences(comparison: Comparison) -> tuple[str, ...]:
    """What is said in words: differences, what is gone, failures, notes.

    Where very many layers are gone or new, the first of them are named.
    """
    told = [
        f"not comparable: {item.key} differs: {item.base} and {item.head}; accept it with "
        f"--allow {item.key}"
        for item in comparison.refused
    ]
    told += [
        f"allowed: {item.key} differs: {item.base} and {item.head}" for item in comparison.allowed
    ]
    failing = set(comparison.failing_losses)
    accepted = [item for item in comparison.missing if item not in failing]
    told += _some("missing", [f"{item.layer}: {item.detail}" for item in comparison.failing_losses])
    told += _some("gone", [f"{item.layer}: {item.detail}" for item in accepted])
    told += _gate_sentences(comparison.gates)
    told += _some("new", comparison.added)
    told += [f"note: {note}" for note in comparison.notes]
    if not comparison.refused and not comparison.moves and not comparison.layer_moves:
        told.append("no count, rate, energy or accuracy moved")
    return tuple(map(printable, told))


def _some(what: str, items: Sequence[str]) -> Iterator[str]:
    yield from (f"{what}: {item}" for item in items[:_MOST_NAMED])
    if len(items) > _MOST_NAMED:
        yield f"{what}: {len(items) - _MOST_NAMED:,} more"


def gate_sentence(gate: Gate) -> str:
    """Status, metric and reason, with the layers that moved most."""
    layers = f"; most in {', '.join(gate.layers)}" if gate.layers else ""
    return f"{gate.status}: {gate_name(gate)}: {gate.reason}{layers}"


def missing_sentences(report: Report) -> tuple[str, ...]:
    """Benchmarks that only one side has."""
    gone = [f"missing: {head} has no result of {name} to compare" for name, head in report.missing]
    new = [f"new: {head} has {name}, and the base does not" for name, head in report.added]
    return tuple(map(printable, gone + new))


def rows(comparison: Comparison, most_layers: int) -> tuple[tuple[str, ...], ...]:
    """Cells under ``HEADERS``: what moved or failed in the network, then in its layers.

    Text is on one line and printable, but not escaped for any format.

    Args:
        comparison: Comparison of one benchmark.
        most_layers: Rows of layers, from the largest change on.
    """
    gates = [gate for gate in comparison.gates if _worth_a_row(gate)]
    gated = {gate.metric.name for gate in gates}
    return (
        *(_gate_row(gate) for gate in gates),
        *(_move_row(move) for move in comparison.moves if move.metric.name not in gated),
        *(_move_row(move) for move in comparison.layer_moves[:most_layers]),
    )


def gate_name(gate: Gate) -> str:
    """The metric, and its conditions where several gates share it."""
    return f"{gate.metric.name}, {gate.where}" if gate.where else gate.metric.name


def value(metric: Metric, number: Number | None) -> str:
    """A value: digits enough to read it, all of a count below a million."""
    if number is None:
        return text.UNKNOWN
    if metric.family is Family.COUNT:
        count = int(number)
        return text.short(count, _COUNT_DIGITS) if abs(count) >= _MILLION else f"{count:,}"
    return text.metric_value(metric, number, digits=4)


def change(metric: Metric, base: Number | None, head: Number | None) -> str:
    """Points of accuracy, percent of anything else."""
    if base is None or head is None:
        return text.UNKNOWN
    if base == head:
        return "="
    if metric.family is Family.ACCURACY:
        return f"{_signed(float(head - base))} pt"
    if not base:
        return f"{_signed(float(head))} from 0"
    return f"{_signed(float(100 * (head - base) / base))} %"


def _signed(number: float) -> str:
    return f"{'+' if number > 0 else '-'}{text.significant(abs(number))}"


def _worth_a_row(gate: Gate) -> bool:
    """Whether a gate failed, or its value moved and it is not a time that nobody gates."""
    if gate.limit is None:
        return False
    failed = gate.status not in (Status.OK, Status.NOT_GATED)
    return failed or (gate.base != gate.head and gate.status is Status.OK)


def _gate_row(gate: Gate) -> tuple[str, ...]:
    name, base, head, moved = _cells(gate.metric, gate.base, gate.head)
    limit = f", limit {gate.limit}" if gate.limit not in (None, "0", "exact") else ""
    return _WHOLE_NETWORK, name, base, head, moved, f"{gate.status}{limit}"


def _move_row(move: Move) -> tuple[str, ...]:
    layer = _WHOLE_NETWORK if move.layer is None else text.shorten(move.layer, _NAME_CHARACTERS)
    return printable(layer), *_cells(move.metric, move.base, move.head), str(move.direction)


def _cells(metric: Metric, base: Number | None, head: Number | None) -> tuple[str, str, str, str]:
    old, new = value(metric, base), value(metric, head)
    if old == new and base != head and metric.family is Family.COUNT:  # every digit is needed
        old, new = (text.count(None if x is None else int(x)) for x in (base, head))
    return metric.name, old, new, change(metric, base, head)


def _gate_sentences(gates: Sequence[Gate]) -> list[str]:
    """One sentence per failure that names layers, one per reason for all others."""
    told = []
    together: dict[tuple[Status, str], list[str]] = {}
    for gate in gates:
        if gate.layers:
            told.append(gate_sentence(gate))
        elif gate.reason:
            together.setdefault((gate.status, gate.reason), []).append(gate_name(gate))
    return told + [
        f"{status}: {'; '.join(names)}: {reason}" for (status, reason), names in together.items()
    ]
