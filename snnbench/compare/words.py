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
"""Meaning of each exit code."""

HEADERS = ("Layer", "Metric", "Base", "Head", "Change", "Result")
_NUMERIC = ("Base", "Head", "Change")
_WHOLE_NETWORK = "(network)"
_NAME_CHARACTERS = 32
_COUNT_DIGITS = 5
_MOST_NAMED = 20
"""Layers that are gone or new and named; of further ones only the number is given."""
_MILLION = 10**6


def numeric(header: str) -> bool:
    """Say whether the column of that header holds numbers."""
    return header in _NUMERIC


def verdict(judged: Comparison | Report) -> str:
    """Put the outcome in a word."""
    code = judged.exit_code
    return str(Status.INCONCLUSIVE) if not code and judged.inconclusive else VERDICTS[code]


def heading(comparison: Comparison) -> str:
    """Name benchmark, verdict and sides."""
    sides = f"{text.shorten(comparison.base, 60)} against {text.shorten(comparison.head, 60)}"
    return printable(f"{text.shorten(comparison.benchmark, 60)}: {verdict(comparison)} ({sides})")


def sentences(comparison: Comparison) -> tuple[str, ...]:
    """Put in words: differences, what is gone or new, failures and notes."""
    lines = [
        f"not comparable: {item.key} differs: {item.base} and {item.head}; accept it with "
        f"--allow {item.key}"
        for item in comparison.refused
    ]
    lines += [
        f"allowed: {item.key} differs: {item.base} and {item.head}" for item in comparison.allowed
    ]
    failing = dict.fromkeys(comparison.failing_losses)
    allowed = [item for item in comparison.missing if item not in failing]
    lines += _some("missing", [f"{item.layer}: {item.detail}" for item in failing])
    lines += _some("gone", [f"{item.layer}: {item.detail}" for item in allowed])
    lines += _gate_sentences(comparison.gates)
    lines += _some("new", comparison.added)
    lines += [f"note: {note}" for note in comparison.notes]
    if not comparison.refused and not comparison.moves and not comparison.layer_moves:
        lines.append("no count, rate, energy or accuracy moved")
    return tuple(map(printable, lines))


def _some(what: str, items: Sequence[str]) -> Iterator[str]:
    yield from (f"{what}: {item}" for item in items[:_MOST_NAMED])
    if len(items) > _MOST_NAMED:
        yield f"{what}: {len(items) - _MOST_NAMED:,} more"


def gate_sentence(gate: Gate) -> str:
    """Name status, metric and reason, and the layers that moved most."""
    layers = f"; most in {', '.join(gate.layers)}" if gate.layers else ""
    return f"{gate.status}: {gate_name(gate)}: {gate.reason}{layers}"


def missing_sentences(report: Report) -> tuple[str, ...]:
    """Name the benchmarks that only one side has."""
    gone = [f"missing: {head} has no result of {name} to compare" for name, head in report.missing]
    new = [f"new: {head} has {name}, and the base does not" for name, head in report.added]
    return tuple(map(printable, gone + new))


def rows(comparison: Comparison, most_layers: int) -> tuple[tuple[str, ...], ...]:
    """Write cells under ``HEADERS``: moves and failures of the network, then moves of layers.

    Text is on one line and printable, but not escaped for any format. The largest changes come
    first, of layers ``most_layers`` at most.
    """
    gates = [gate for gate in comparison.gates if _worth_a_row(gate)]
    gated = {gate.metric.name for gate in gates}
    return (
        *(_gate_row(gate) for gate in gates),
        *(_move_row(move) for move in comparison.moves if move.metric.name not in gated),
        *(_move_row(move) for move in comparison.layer_moves[:most_layers]),
    )


def gate_name(gate: Gate) -> str:
    """Name the metric, and the conditions of a time."""
    return f"{gate.metric.name}, {gate.where}" if gate.where else gate.metric.name


def value(metric: Metric, number: Number | None) -> str:
    """Write a value with few digits; a count below a million with all of them."""
    if number is None:
        return text.UNKNOWN
    if metric.family is Family.COUNT:
        count = int(number)
        return text.short(count, _COUNT_DIGITS) if abs(count) >= _MILLION else f"{count:,}"
    return text.metric_value(metric, number, digits=4)


def change(metric: Metric, base: Number | None, head: Number | None) -> str:
    """Write a change: in points of accuracy, in percent for anything else."""
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
    """Say whether a gate with a limit failed, or held although its value moved."""
    held = gate.status is Status.NOT_GATED or (gate.status is Status.OK and gate.base == gate.head)
    return gate.limit is not None and not held


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
    """Write one sentence per failure that names layers, and one per reason for the others."""
    lines = []
    together: dict[tuple[Status, str], list[str]] = {}
    for gate in gates:
        if gate.layers:
            lines.append(gate_sentence(gate))
        elif gate.reason:
            together.setdefault((gate.status, gate.reason), []).append(gate_name(gate))
    return lines + [
        f"{status}: {'; '.join(names)}: {reason}" for (status, reason), names in together.items()
    ]
