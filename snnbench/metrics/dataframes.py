"""Results as tidy pandas DataFrames: one observation per row, units in the column names.

Counts in ``layer_dataframe`` are exact integers over all samples. The other tables divide by the
samples of each profile; where a number of samples is unknown they hold whole-run values and the
column ``per`` says ``run`` instead of ``sample``. Unknown values are missing (``NA``), never 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

import pandas as pd

from snnbench.core.units import MS_PER_S
from snnbench.energy.estimate import EnergyEstimate, estimate_energy
from snnbench.energy.models import EnergyModel, models
from snnbench.metrics.catalogue import metrics
from snnbench.metrics.operations import SNN, TWIN, divisors, operation_rows, per_sample, ratio
from snnbench.results.counts import LayerRecord, Profile
from snnbench.results.engine import EngineRun, EngineStep
from snnbench.results.run import DENSE_TIMING, TWIN_TIMING, RunResult, Timing
from snnbench.results.tidy import tidy

ZERO_SKIPPING_TWIN = "ANN twin, zero-skipping"


def layer_dataframe(profile: Profile, engine: EngineRun | None = None) -> pd.DataFrame:
    """One row per layer, exact counts over all samples and timesteps.

    Returns:
        ``Profile.table()``, and every other metric of layers in ``snnbench.metrics.catalogue``;
        with an ``engine`` also ``executed_acs_per_sample`` and ``executed_macs_per_sample``, the
        operations that it executed for its batch.
    """
    rows = [layer.row(profile.timesteps) | _derived(layer, profile) for layer in profile.layers]
    if engine is None:
        return tidy(rows)
    executed = executed_operations(engine)
    nothing = dict.fromkeys(("executed_acs_per_sample", "executed_macs_per_sample"))
    return tidy([row | executed.get(row["layer"], nothing) for row in rows])


def _derived(layer: LayerRecord, profile: Profile) -> dict[str, float | None]:
    """Return metrics of a layer that its record does not store."""
    values = {n: m.of_layer(layer, profile) for n, m in metrics().items() if m.layer}
    return {name: None if value is None else float(value) for name, value in values.items()}


def executed_operations(engine: EngineRun) -> dict[str, dict[str, float | None]]:
    """Return the accumulates and MACs per sample that the engine executed, by layer."""
    return {
        layer.name: {
            "executed_acs_per_sample": layer.executed_adds / engine.batch_size,
            "executed_macs_per_sample": layer.executed_macs / engine.batch_size,
        }
        for step in engine.steps
        for layer in step.layers
    }


def timestep_dataframe(result: RunResult) -> pd.DataFrame:
    """Spikes, firing rate and synaptic operations of the SNN by layer and timestep (from 1)."""
    rows = []
    for layer in result.snn.layers:
        spikes, synops = layer.spikes_per_timestep, layer.effective_per_timestep
        steps = len(spikes or synops or ())
        sites = layer.output_sites / steps if spikes and layer.output_sites else None
        rows += [
            {
                "layer": layer.name,
                "role": layer.role.value,
                "timestep": step + 1,
                "spikes": spikes[step] if spikes else None,
                "neurons_x_samples": sites,
                "firing_rate": spikes[step] / sites if spikes and sites else None,
                "effective_synops": synops[step] if synops else None,
            }
            for step in range(steps)
        ]
    return tidy(rows)


def operations_dataframe(result: RunResult) -> pd.DataFrame:
    """Additions and multiplications of one inference, counted as ZH21 does.

    Returns:
        ``network``, ``counting``, ``origin`` (counted, estimated, published), ``additions``,
        ``multiplications``, ``twin_dense_over_*`` (twin's dense count divided by the row's),
        ``over_published_*`` (row divided by the published number, where width and T agree),
        ``per`` and ``source``.
    """
    return tidy(operation_rows(result))


def energy_dataframe(
    result: RunResult, cost_tables: Sequence[EnergyModel] | None = None
) -> pd.DataFrame:
    """Estimated energy by cost table and network, in picojoules.

    The SNN skips zeros (effective counts). The twin appears twice: on an ordinary accelerator,
    which computes every synapse (dense), and on one that skips zeros (effective).

    Returns:
        ``model``, ``title``, ``network``, ``counting``, ``pj``, ``complete`` (else ``pj`` is a
        lower bound), ``over_snn`` (row divided by the SNN), ``excluded``, ``reason`` (why ``pj`` is
        unknown), ``source`` and ``per``.
    """
    divisor = divisors(result)
    rows = []
    for model in models() if cost_tables is None else cost_tables:
        estimates = [_energy_row(SNN, estimate_energy(result.snn, model), divisor[SNN])]
        if result.twin is not None:
            dense = estimate_energy(result.twin, model, counting="dense")
            effective = estimate_energy(result.twin, model)
            estimates.append(_energy_row(TWIN, dense, divisor[TWIN]))
            estimates.append(_energy_row(ZERO_SKIPPING_TWIN, effective, divisor[TWIN]))
        snn_pj = estimates[0]["pj"]
        rows += [row | {"over_snn": ratio(row["pj"], snn_pj)} for row in estimates]
    table = tidy(rows)
    table["per"] = "sample" if per_sample(result) else "run"
    return table


def _energy_row(network: str, estimate: EnergyEstimate, divisor: int) -> dict[str, Any]:
    return {
        "model": estimate.model.name,
        "title": estimate.model.title,
        "network": network,
        "counting": estimate.counting,
        "pj": None if estimate.exact_pj is None else float(estimate.exact_pj / divisor),
        "complete": estimate.complete,
        "excluded": "; ".join(estimate.excluded),
        "reason": estimate.reason,
        "source": estimate.model.source,
    }


def measured_energy_dataframe(result: RunResult) -> pd.DataFrame:
    """Meter readings in joules per run; a table of its own, never beside estimates."""
    readings = result.energy_measured
    return tidy([asdict(x) | {"joules_per_run": x.joules / x.runs} for x in readings])


def timing_dataframe(result: RunResult) -> pd.DataFrame:
    """Latency per sample by network, device, threads and batch size.

    Raw times of all worker processes are pooled. Networks are timed in interleaved rounds, so
    ratios are taken round by round and keep a spread of their own; where the rounds do not match,
    only the ratio of the medians is known.

    Returns:
        ``name``, ``device``, ``threads``, ``batch_size``, ``execution`` (how a GPU ran it),
        ``processes``, ``n`` (raw times), ``min_ms``, ``q1_ms``, ``median_ms``, ``q3_ms``,
        ``spread`` ((q3 - q1) / median),
        ``over_twin``, ``over_twin_q1``, ``over_twin_q3``, and the same ``over_dense``, the SNN in
        prepacked dense kernels.
    """
    groups: dict[tuple[str, str, int, int], list[Timing]] = {}
    for timing in result.timings:
        key = (timing.name, timing.device, timing.threads, timing.batch_size)
        groups.setdefault(key, []).append(timing)
    rows = []
    for (name, device, threads, batch_size), timings in groups.items():
        times = pd.Series([ms for timing in timings for ms in timing.sample_ms])
        low, middle, high = times.quantile([0.25, 0.5, 0.75])
        twin, dense = (
            groups.get((other, device, threads, batch_size), [])
            for other in (TWIN_TIMING, DENSE_TIMING)
        )
        rows.append(
            {
                "name": name,
                "device": device,
                "threads": threads,
                "batch_size": batch_size,
                "execution": timings[0].execution,
                "processes": len({timing.process for timing in timings}),
                "n": len(times),
                "min_ms": float(times.min()),
                "q1_ms": float(low),
                "median_ms": float(middle),
                "q3_ms": float(high),
                "spread": ratio(high - low, middle),
                **_time_ratio("over_twin", timings, twin),
                **_time_ratio("over_dense", timings, dense),
            }
        )
    return tidy(rows)


def _time_ratio(key: str, timings: list[Timing], others: list[Timing]) -> dict[str, float | None]:
    """Return median and quartiles of ``timings`` over ``others``, round by round if they match."""
    mine, theirs = _rounds(timings), _rounds(others)
    low = middle = high = None
    if mine.keys() == theirs.keys():
        ratios = pd.Series([ms / theirs[place] for place, ms in mine.items()])
        low, middle, high = ratios.quantile([0.25, 0.5, 0.75])
    elif theirs:
        middle = ratio(median(mine.values()), median(theirs.values()))
    return {key: middle, f"{key}_q1": low, f"{key}_q3": high}


def _rounds(timings: list[Timing]) -> dict[tuple[int, int], float]:
    """Return milliseconds per sample by (process, round of that process)."""
    times: dict[tuple[int, int], float] = {}
    rounds: Counter[int] = Counter()
    for timing in timings:
        for ms in timing.sample_ms:
            times[timing.process, rounds[timing.process]] = ms
            rounds[timing.process] += 1
    return times


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
    rows = [_step_row(step, engine) for step in engine.steps]
    total = sum(row["median_ms"] or 0.0 for row in rows)
    return tidy([row | {"share": ratio(row["median_ms"], total)} for row in rows])


def _step_row(step: EngineStep, engine: EngineRun) -> dict[str, Any]:
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


def checks_dataframe(result: RunResult) -> pd.DataFrame:
    """Cross-checks: ``name``, ``expected``, ``measured``, ``ok``, ``note``."""
    return tidy([asdict(check) for check in result.checks])
