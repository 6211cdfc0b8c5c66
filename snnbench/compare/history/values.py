"""A result in plain numbers and words, as a history compares them; pytest-benchmark stores them."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import isfinite
from statistics import median
from typing import Any

from snnbench.compare.identity import COUNT_KEYS
from snnbench.compare.times import time_pairs
from snnbench.metrics.catalogue import LATENCY, measured
from snnbench.metrics.metric import Number
from snnbench.results.run import MUST_MATCH, RunResult

Value = int | float


def summary(result: RunResult) -> dict[str, Any]:
    """What pytest-benchmark's ``extra_info`` gets of a result: built-in types only."""
    return {
        "benchmark": result.benchmark,
        "identity": identity(result),
        "metrics": dict(metric_values(result)),
        "firing_rates": {layer.name: layer.firing_rate for layer in result.snn.neurons},
    }


def identity(result: RunResult) -> dict[str, str]:
    """What must agree before counts compare: key -> value."""
    return {key: _told(value(result)) for key, value in COUNT_KEYS.items()}


def metric_values(result: RunResult) -> Mapping[str, Value]:
    """Every metric that is known, but times; an energy that is only a lower bound is not."""
    found = measured(result)
    return {
        name: _plain(value)
        for name, value in found.values.items()
        if value is not None and name not in found.lower_bounds
    }


def times_ms(result: RunResult) -> Mapping[tuple[str, str], float]:
    """(metric, conditions) -> median of the process medians, in milliseconds per sample."""
    pairs = (
        (name, pair)
        for name, timing in LATENCY.items()
        for pair in time_pairs([result], [], timing)
    )
    return {
        (name, f"batch {at.batch_size}, {at.device}, threads {at.threads}"): median(pair.base_ms)
        for name, pair in pairs
        if all(map(isfinite, pair.base_ms)) and (at := pair.conditions)
    }


def machine(result: RunResult) -> dict[str, str]:
    """What must agree before times compare: key -> value."""
    return {key: str(getattr(result.environment, key)) for key in MUST_MATCH}


def _plain(value: Number) -> Value:
    return float(value) if isinstance(value, Fraction) else value


def _told(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_told, value))
    return "unknown" if value is None else str(value)
