"""A result as plain numbers and texts, which a history compares and pytest-benchmark stores."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import isfinite
from statistics import median
from typing import Any

from snnbench.compare.identity import COUNT_KEYS
from snnbench.compare.times import time_pairs
from snnbench.metrics.catalogue import LATENCY, measured
from snnbench.results.run import MUST_MATCH, RunResult

Value = int | float


def summary(result: RunResult) -> dict[str, Any]:
    """Summarise a result in built-in types, for pytest-benchmark's ``extra_info``."""
    return {
        "benchmark": result.benchmark,
        "identity": identity(result),
        "metrics": dict(metric_values(result)),
        "firing_rates": {layer.name: layer.firing_rate for layer in result.snn.neurons},
    }


def identity(result: RunResult) -> dict[str, str]:
    """Return by key the values that must agree before counts compare."""
    return {key: _shown(value(result)) for key, value in COUNT_KEYS.items()}


def metric_values(result: RunResult) -> Mapping[str, Value]:
    """Return every known metric except times; lower bounds are not known values."""
    metrics = measured(result)
    return {
        name: float(value) if isinstance(value, Fraction) else value
        for name, value in metrics.values.items()
        if value is not None and name not in metrics.lower_bounds
    }


def times_ms(result: RunResult) -> Mapping[tuple[str, str], float]:
    """Return by (metric, conditions) the median over processes, in milliseconds per sample."""
    return {
        (name, f"batch {at.batch_size}, {at.device}, threads {at.threads}"): median(pair.base_ms)
        for name, timing in LATENCY.items()
        for pair in time_pairs([result], [], timing)
        if all(map(isfinite, pair.base_ms)) and (at := pair.conditions)
    }


def machine(result: RunResult) -> dict[str, str]:
    """Return by key the values that must agree before times compare."""
    return {key: str(getattr(result.environment, key)) for key in MUST_MATCH}


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_shown, value))
    return "unknown" if value is None else str(value)
