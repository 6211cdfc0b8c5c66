"""The event engine's steps as a tidy table."""

from __future__ import annotations

from statistics import median
from typing import Any

import pandas as pd

from snnbench.core.units import MS_PER_S
from snnbench.metrics.operations import ratio
from snnbench.results.engine import EngineRun, EngineStep
from snnbench.results.tidy import tidy


def engine_dataframe(engine: EngineRun) -> pd.DataFrame:
    """One row per step of the engine's plan; counts and times are those of its whole batch.

    Returns:
        ``step``, ``kernel``, ``reason``, ``layers``, ``firing_rate`` (of the step's input),
        ``executed_acs``, ``padding_acs``, ``expected_acs`` (profiler, same input),
        ``executed_macs``, ``n`` (raw times), ``median_ms``, ``q1_ms``, ``q3_ms``,
        ``dense_median_ms`` (the step run densely), ``dense_over_step`` (ratio of the medians),
        ``share`` (of all steps' medians), ``acs_per_s``, ``of_ceiling`` (of what the loads of the
        engine's threads allow), ``break_even_estimate`` (input rate x ``dense_over_step``).
    """
    rows = [_row(step, engine) for step in engine.steps]
    total = sum(row["median_ms"] or 0.0 for row in rows)
    return tidy([row | {"share": ratio(row["median_ms"], total)} for row in rows])


def _row(step: EngineStep, engine: EngineRun) -> dict[str, Any]:
    times = pd.Series([seconds * MS_PER_S for seconds in step.raw_seconds], dtype=float)
    low, middle, high = times.quantile([0.25, 0.5, 0.75]) if len(times) else (None, None, None)
    dense = median(step.dense_raw_seconds) * MS_PER_S if step.dense_raw_seconds else None
    adds = sum(layer.executed_adds for layer in step.layers)
    expected = [x.expected_adds for x in step.layers if x.expected_adds is not None]
    speed = ratio(adds * MS_PER_S, middle) if adds else None
    rate, speedup = ratio(step.input_spikes, step.input_sites), ratio(dense, middle)
    # a time that grows in proportion to the rate; one that has a constant part breaks even later
    break_even = rate * speedup if rate and speedup and step.reason is None else None
    return {
        "step": step.name,
        "kernel": step.kernel,
        "reason": step.reason,
        "layers": ", ".join(layer.name for layer in step.layers),
        "firing_rate": rate,
        "executed_acs": adds,
        "padding_acs": sum(layer.padding_adds for layer in step.layers),
        "expected_acs": sum(expected) if expected else None,
        "executed_macs": sum(layer.executed_macs for layer in step.layers),
        "n": len(times),
        "median_ms": middle,
        "q1_ms": low,
        "q3_ms": high,
        "dense_median_ms": dense,
        "dense_over_step": speedup,
        "acs_per_s": speed,
        "of_ceiling": ratio(speed, engine.adds_ceiling_per_s * engine.threads),
        "break_even_estimate": break_even,
    }
