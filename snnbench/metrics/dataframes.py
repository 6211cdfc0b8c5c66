"""From records to tidy pandas tables: one observation a row, units in the column names.

Counts in ``layer_dataframe`` are exact integers over all samples. The other tables divide by the
samples of each profile; where a number of samples is unknown they hold whole-run values and the
column ``per`` says ``run`` instead of ``sample``. Unknown values are missing (``NA``), never 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

import pandas as pd

from snnbench.energy.estimate import EnergyEstimate, estimate_energy
from snnbench.energy.models import EnergyModel, models
from snnbench.metrics.catalogue import metrics
from snnbench.metrics.operations import SNN, TWIN, divisors, operation_rows, per_sample, ratio
from snnbench.results.counts import LayerRecord, Profile
from snnbench.results.engine import EngineRun
from snnbench.results.run import DENSE_TIMING, TWIN_TIMING, RunResult, Timing
from snnbench.results.tidy import tidy

ZERO_SKIPPING_TWIN = "ANN twin, zero-skipping"


def layer_dataframe(profile: Profile, engine: EngineRun | None = None) -> pd.DataFrame:
    """One row per layer, exact counts over all samples and timesteps.

    Args:
        profile: Counts of a network.
        engine: What the event engine executed of it.

    Returns:
        ``Profile.table()``, and every other metric of layers in ``snnbench.metrics.catalogue``;
        with an engine ``executed_acs_per_sample`` and ``executed_macs_per_sample`` of its batch.
    """
    rows = [layer.row(profile.timesteps) | _derived(layer, profile) for layer in profile.layers]
    if engine is None:
        return tidy(rows)
    executed = executed_operations(engine)
    nothing = dict.fromkeys(("executed_acs_per_sample", "executed_macs_per_sample"))
    return tidy([row | executed.get(row["layer"], nothing) for row in rows])


def _derived(layer: LayerRecord, profile: Profile) -> dict[str, float | None]:
    """Metrics of layers that a record does not have itself."""
    values = {n: m.of_layer(layer, profile) for n, m in metrics().items() if m.layer}
    return {name: None if value is None else float(value) for name, value in values.items()}


def executed_operations(engine: EngineRun) -> dict[str, dict[str, float | None]]:
    """Accumulates and MACs per sample that the engine executed, by layer."""
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
        spiking = estimate_energy(result.snn, model)
        snn = _energy_row(SNN, spiking, divisor[SNN])
        rows.append(snn | {"over_snn": ratio(snn["pj"], snn["pj"])})
        if result.twin is None:
            continue
        dense = estimate_energy(result.twin, model, counting="dense")
        effective = estimate_energy(result.twin, model)
        for network, guess in ((TWIN, dense), (ZERO_SKIPPING_TWIN, effective)):
            row = _energy_row(network, guess, divisor[TWIN])
            rows.append(row | {"over_snn": ratio(row["pj"], snn["pj"])})
    table = tidy(rows)
    table["per"] = "sample" if per_sample(result) else "run"
    return table


def _energy_row(network: str, guess: EnergyEstimate, divisor: int) -> dict[str, Any]:
    return {
        "model": guess.model.name,
        "title": guess.model.title,
        "network": network,
        "counting": guess.counting,
        "pj": None if guess.exact_pj is None else float(guess.exact_pj / divisor),
        "complete": guess.complete,
        "excluded": "; ".join(guess.excluded),
        "reason": guess.reason,
        "source": guess.model.source,
    }


def measured_energy_dataframe(result: RunResult) -> pd.DataFrame:
    """Meter readings in joules per run; a table of its own, never beside estimates."""
    return tidy(
        [
            asdict(item) | {"joules_per_run": item.joules / item.runs}
            for item in result.energy_measured
        ]
    )


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
        others = {
            key: groups.get((other, device, threads, batch_size), [])
            for key, other in (("over_twin", TWIN_TIMING), ("over_dense", DENSE_TIMING))
        }
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
                **_time_ratio("over_twin", timings, others["over_twin"]),
                **_time_ratio("over_dense", timings, others["over_dense"]),
            }
        )
    return tidy(rows)


def _time_ratio(key: str, timings: list[Timing], others: list[Timing]) -> dict[str, float | None]:
    mine = _by_process(timings)
    theirs = _by_process(others)
    low = middle = high = None
    if {key: len(times) for key, times in mine.items()} == {k: len(t) for k, t in theirs.items()}:
        ratios = pd.Series(
            [a / b for key, times in mine.items() for a, b in zip(times, theirs[key], strict=True)]
        )
        low, middle, high = ratios.quantile([0.25, 0.5, 0.75])
    elif others:
        middle = ratio(_median(mine), _median(theirs))
    return {key: middle, f"{key}_q1": low, f"{key}_q3": high}


def _by_process(timings: Iterable[Timing]) -> dict[int, list[float]]:
    times: dict[int, list[float]] = {}
    for timing in timings:
        times.setdefault(timing.process, []).extend(timing.sample_ms)
    return times


def _median(times: dict[int, list[float]]) -> float:
    return median([ms for run in times.values() for ms in run])


def checks_dataframe(result: RunResult) -> pd.DataFrame:
    """Cross-checks: ``name``, ``expected``, ``measured``, ``ok``, ``note``."""
    return tidy([asdict(check) for check in result.checks])
