"""What a result shows, in plain words: operations, energy, latency, accuracy."""

from __future__ import annotations

from typing import Any

from snnbench.core.statistics import wilson
from snnbench.energy.models import DEFAULT_MODEL, get, memory_remark
from snnbench.metrics.dataframes import (
    ZERO_SKIPPING_TWIN,
    energy_dataframe,
    engine_dataframe,
    timing_dataframe,
)
from snnbench.metrics.operations import SNN, TWIN, divisors, per_sample
from snnbench.render import text
from snnbench.render.table import records
from snnbench.results.counts import Profile
from snnbench.results.run import EVENT_TIMING, TWIN_TIMING, Accuracy, RunResult

SAME = 0.02
"""Values whose ratio differs from 1 by less are called about equal."""


def coverage(result: RunResult) -> str:
    """Say how much of the multiply work was counted."""
    if result.snn.coverage is None:
        return "Coverage is unknown: operations of unknown size are not counted."
    share = 100 * result.snn.coverage
    exact = "100" if result.snn.coverage == 1 else f"{min(share, 99.99):.2f}"
    return f"{exact} % of the SNN's dense multiply work seen in the forward pass is counted."


def verdict(result: RunResult) -> tuple[str, ...]:
    """Put the findings in sentences: operations, energy, latency, engine, accuracy."""
    return (
        _operations_sentence(result),
        *_energy_sentences(result),
        *_latency_sentences(result),
        *_engine_sentences(result),
        *_accuracy_sentences(result),
    )


def _operations_sentence(result: RunResult) -> str:
    divisor = divisors(result)
    acs, macs = (
        text.short(count / divisor[SNN])
        for count in (result.snn.effective.acs, result.snn.effective.macs)
    )
    basis = "Per sample" if per_sample(result) else "Over the whole run"
    snn = (
        f"{basis} the SNN needs {_bound(result.snn)}{acs} additions (accumulates) and {macs} "
        "multiplications (MACs)"
    )
    if result.twin is None:
        return f"{snn}; no ANN twin was counted."
    twin = _bound(result.twin) + text.short(result.twin.dense.macs / divisor[TWIN])
    return f"{snn}; its ANN twin needs {twin} MACs."


def _bound(profile: Profile) -> str:
    return "at least " if profile.uncounted else ""


def _energy_sentences(result: RunResult) -> list[str]:
    if result.twin is None:
        return []
    rows = {(r["model"], r["network"]): r for r in records(energy_dataframe(result))}
    ordinary, skipping = (rows[DEFAULT_MODEL, name] for name in (TWIN, ZERO_SKIPPING_TWIN))
    if ordinary["over_snn"] is None:
        return []
    if not (rows[DEFAULT_MODEL, SNN]["complete"] and ordinary["complete"]):
        return [
            f"Whether the SNN would need less energy than its twin on {ordinary['title']} is not "
            "established: operations are uncounted, so the estimates are lower bounds."
        ]
    remark = f"estimate; {memory_remark([get(DEFAULT_MODEL)])}"
    lead = f"On {ordinary['title']} the SNN would need {_compare(ordinary['over_snn'], 'energy')}"
    sentences = [f"{lead} its twin ({remark})."]
    if skipping["over_snn"] is not None:
        if result.weights.status == "trained" and result.twin_accuracy is None:
            remark += "; the twin has the SNN's weights and was not trained itself"
        sentences.append(
            f"Against a twin on hardware that skips zeros it would need "
            f"{_compare(skipping['over_snn'], 'energy')} the twin ({remark})."
        )
    return sentences


def _compare(twin_over_snn: float, quantity: str) -> str:
    """Write e.g. ``1.67x less energy than``, from the ratio twin / SNN."""
    if abs(twin_over_snn - 1) < SAME:
        return f"about the same {quantity} as"
    less = twin_over_snn > 1
    ratio = twin_over_snn if less else 1 / twin_over_snn
    return f"{text.factor(ratio)} {'less' if less else 'more'} {quantity} than"


def _accuracy_sentences(result: RunResult) -> list[str]:
    if result.accuracy is None:
        return []
    sentence = f"Accuracy: SNN {_accuracy(result.accuracy)}"
    if result.twin_accuracy is not None:
        sentence += f", ANN twin {_accuracy(result.twin_accuracy)}"
    same_steps = (None, result.snn.timesteps)
    top1 = (item for item in result.published if item.quantity == "top1_percent")
    published = next((item for item in top1 if item.timesteps in same_steps), None)
    if published is not None:
        steps = "" if published.timesteps is None else f", T = {published.timesteps}"
        sentence += (
            f"; published for the full network and its own data set: {published.value:g} % "
            f"({published.source}{steps})"
        )
    return [f"{sentence}."]


def _accuracy(accuracy: Accuracy) -> str:
    share = text.percent(accuracy.correct / accuracy.samples if accuracy.samples else None)
    counted = f"{accuracy.correct:,} of {accuracy.samples:,}"
    if accuracy.samples:
        low, high = map(text.percent, wilson(accuracy.correct, accuracy.samples))
        counted += f"; 95 % interval {low} to {high}"
    return f"{share} ({counted})"


def _latency_sentences(result: RunResult) -> list[str]:
    """Compare the fastest way to run the SNN with the twin, for each batch size."""
    fastest: dict[int, dict[str, Any]] = {}
    for row in records(timing_dataframe(result)):
        if row["name"] == TWIN_TIMING or not row["over_twin"]:
            continue
        best = fastest.setdefault(row["batch_size"], row)
        if row["over_twin"] < best["over_twin"]:
            fastest[row["batch_size"]] = row
    return [
        f"On this machine, with a batch of {batch}, the SNN at its fastest ({best['name']}) takes "
        f"{text.significant(best['median_ms'])} ms per sample, {text.factor(best['over_twin'])} "
        f"the twin's time (measured{_quartiles(best, 'over_twin')})."
        for batch, best in fastest.items()
    ]


def _quartiles(row: dict[str, Any], key: str) -> str:
    """Write e.g. ``, quartiles 0.31 to 0.34``; nothing where there are none."""
    if row[f"{key}_q1"] is None:
        return ""
    low, high = (text.significant(row[f"{key}_{quartile}"]) for quartile in ("q1", "q3"))
    return f", quartiles {low} to {high}"


def _engine_sentences(result: RunResult) -> list[str]:
    """Say where events pay and where they do not, and whether the spikes are the same."""
    sentences = []
    for row in records(timing_dataframe(result)):
        if row["name"] == EVENT_TIMING and row["over_dense"]:
            twin = f" and {_speed(row, 'over_twin')} its twin" if row["over_twin"] else ""
            sentences.append(
                f"With a batch of {row['batch_size']} and {text.weights_note(result)} the event "
                f"engine is {_speed(row, 'over_dense')} the dense SNN{twin} (measured; all "
                "prepacked)."
            )
    if result.engine is None:
        return sentences
    rows = records(engine_dataframe(result.engine))
    fed = [row for row in rows if row["firing_rate"] is not None]
    by_events = [row for row in rows if row["reason"] is None]
    slower = [row for row in by_events if (row["dense_over_step"] or 1) < 1 - SAME]
    events = sum(row["reason"] is None for row in fed)
    sentence = f"Event kernels run {events} of the {len(fed)} steps that spikes feed"
    if slower:
        worst = min(slower, key=lambda row: float(row["dense_over_step"]))
        sentence += (
            f"; {text.plural(len(slower), 'step')} of the engine would be faster in dense kernels, "
            f"most of all {text.shorten(worst['step'])} "
            f"({text.factor(1 / worst['dense_over_step'])} the time)"
        )
    flipped, sites = result.engine.flipped_spikes, result.engine.spike_sites
    same = "the same spikes as dense"
    if flipped:
        same = (
            f"{flipped:,} of {sites:,} spikes other than dense "
            f"({result.engine.flipped_by_rounding:,} if dense passes on the engine's spikes)"
        )
    weights = f"{result.engine.weights_dtype} weights"
    return [*sentences, f"{sentence}.", f"With {weights} it fires {same}."]


def _speed(row: dict[str, Any], key: str) -> str:
    """Write e.g. ``2.50x faster than``, from a ratio of times; no claim if quartiles enclose 1."""
    time_over_other = float(row[key])
    low, high = row[f"{key}_q1"], row[f"{key}_q3"]
    if low is not None and low < 1 < high:
        return "neither clearly faster nor slower than"
    if abs(time_over_other - 1) < SAME:
        return "about as fast as"
    if time_over_other < 1:
        return f"{text.factor(1 / time_over_other)} faster than"
    return f"{text.factor(time_over_other)} slower than"
