"""A comparison for programs: JSON, and JUnit XML."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any
from xml.etree import ElementTree as ET

from snnbench.compare import words
from snnbench.compare.compare import Comparison, Report
from snnbench.compare.judge import Gate, Status
from snnbench.compare.moves import Move
from snnbench.metrics.metric import Number
from snnbench.render.escape import printable

VERSION = 1
"""Version of the JSON format; rises when a field changes its meaning or goes away."""

_FAILED = (Status.REGRESSION, Status.MISSING, Status.INCOMPARABLE)


def to_json(report: Report) -> str:
    """Write JSON: all fields of the records, values as numbers."""
    tree = {
        "version": VERSION,
        "exit_code": report.exit_code,
        "verdict": words.verdict(report),
        "comparisons": [_comparison_tree(comparison) for comparison in report.comparisons],
        "missing": [{"benchmark": name, "head": head} for name, head in report.missing],
        "added": [{"benchmark": name, "head": head} for name, head in report.added],
    }
    return json.dumps(tree, indent=1, allow_nan=False) + "\n"


def _comparison_tree(comparison: Comparison) -> dict[str, Any]:
    return {
        "benchmark": comparison.benchmark,
        "title": comparison.title,
        "base": comparison.base,
        "head": comparison.head,
        "exit_code": comparison.exit_code,
        "verdict": words.verdict(comparison),
        "refused": list(map(asdict, comparison.refused)),
        "allowed": list(map(asdict, comparison.allowed)),
        "gates": list(map(_gate_tree, comparison.gates)),
        "moves": list(map(_move_tree, comparison.moves)),
        "layer_moves": list(map(_move_tree, comparison.layer_moves)),
        "missing": list(map(asdict, comparison.missing)),
        "added": comparison.added,
        "notes": comparison.notes,
    }


def _gate_tree(gate: Gate) -> dict[str, Any]:
    return {
        "metric": gate.metric.name,
        "where": gate.where,
        "limit": gate.limit,
        "status": gate.status,
        "unit": gate.metric.unit,
        "base": _number(gate.base),
        "head": _number(gate.head),
        "reason": gate.reason,
        "layers": gate.layers,
    }


def _move_tree(move: Move) -> dict[str, Any]:
    return {
        "metric": move.metric.name,
        "layer": move.layer,
        "unit": move.metric.unit,
        "base": _number(move.base),
        "head": _number(move.head),
        "relative": move.relative,
        "direction": move.direction,
    }


def _number(number: Number | None) -> int | float | None:
    return number if number is None or isinstance(number, int) else float(number)


def to_junit(report: Report) -> str:
    """Write JUnit XML: a suite per benchmark and head, a test case per gate."""
    root = ET.Element("testsuites", name="snnbench compare")
    for comparison in report.comparisons:
        _junit_suite(root, comparison)
    for name, head in report.missing:
        suite = ET.SubElement(root, "testsuite", name=printable(name), tests="1", failures="1")
        case = ET.SubElement(suite, "testcase", classname=printable(name), name="result")
        message = printable(f"{head} has no result of {name} to compare")
        ET.SubElement(case, "failure", type="missing", message=message)
    ET.indent(root)
    declaration = '<?xml version="1.0" encoding="utf-8"?>\n'
    return f"{declaration}{ET.tostring(root, encoding='unicode')}\n"


def _junit_suite(root: ET.Element, comparison: Comparison) -> None:
    name = printable(f"{comparison.benchmark} ({comparison.head})")
    suite = ET.SubElement(root, "testsuite", name=name)
    for item in comparison.refused:
        message = f"{item.key} differs: {item.base} and {item.head}"
        _case(suite, comparison, f"comparable: {item.key}", "not comparable", message)
    for loss in comparison.failing_losses:
        name = f"{loss.kind}: {loss.layer}"
        _case(suite, comparison, name, "missing", f"{loss.layer}: {loss.detail}")
    for gate in comparison.gates:
        name = words.gate_name(gate)
        if gate.status in _FAILED:
            _case(suite, comparison, name, gate.status, words.gate_sentence(gate))
            continue
        case = _case(suite, comparison, name)
        if gate.status in (Status.NOT_GATED, Status.INCONCLUSIVE):
            ET.SubElement(case, "skipped", message=printable(gate.reason))
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("skipped", str(len(suite.findall("testcase/skipped"))))


def _case(
    suite: ET.Element, comparison: Comparison, name: str, failure: str = "", message: str = ""
) -> ET.Element:
    classname = printable(comparison.benchmark)
    case = ET.SubElement(suite, "testcase", classname=classname, name=printable(name))
    if failure:
        ET.SubElement(case, "failure", type=failure, message=printable(message))
    return case
