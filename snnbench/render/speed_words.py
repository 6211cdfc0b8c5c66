"""Which network is faster, by how much, and how sure that is, in plain words."""

from __future__ import annotations

from typing import Any

from snnbench.metrics.engine_frames import engine_frame
from snnbench.metrics.frames import timing_frame
from snnbench.render import text
from snnbench.render.table import records
from snnbench.results.run import EVENT_TIMING, TWIN_TIMING, RunResult

SAME = 0.02
"""Two values whose ratio is closer to 1 than this are called about equal."""


def latency_sentences(result: RunResult) -> list[str]:
    """The fastest way to run the SNN against the twin, for each batch size."""
    fastest: dict[int, dict[str, Any]] = {}
    for row in records(timing_frame(result)):
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
    """E.g. ``, quartiles 0.31 to 0.34``; empty where there are none."""
    if row[f"{key}_q1"] is None:
        return ""
    low, high = (text.significant(row[f"{key}_{quartile}"]) for quartile in ("q1", "q3"))
    return f", quartiles {low} to {high}"


def engine_sentences(result: RunResult) -> list[str]:
    """Where events pay and where they do not, and whether the spikes are the same."""
    sentences = []
    for row in records(timing_frame(result)):
        if row["name"] == EVENT_TIMING and row["over_dense"]:
            twin = f" and {_speed(row, 'over_twin')} its twin" if row["over_twin"] else ""
            sentences.append(
                f"With a batch of {row['batch_size']} and {text.weights_note(result)} the event "
                f"engine is {_speed(row, 'over_dense')} the dense SNN{twin} (measured; all "
                "prepacked)."
            )
    if result.engine is None:
        return sentences
    rows = records(engine_frame(result.engine))
    fed = [row for row in rows if row["firing_rate"] is not None]
    driven = [row for row in rows if row["reason"] is None]
    slower = [row for row in driven if (row["dense_over_step"] or 1) < 1 - SAME]
    events = sum(row["reason"] is None for row in fed)
    sentence = f"Event kernels run {events} of the {len(fed)} steps that spikes feed"
    if slower:
        worst = min(slower, key=lambda row: float(row["dense_over_step"]))
        sentence += (
            f"; {text.plural(len(slower), 'step')} of the engine would be faster in dense kernels, "
            f"most of all {text.shorten(worst['step'])} "
            f"({text.factor(1 / worst['dense_over_step'])} the time of dense)"
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
    """E.g. ``2.50x faster than``, from a ratio of times; no claim where quartiles enclose 1."""
    time_over_other = float(row[key])
    low, high = row[f"{key}_q1"], row[f"{key}_q3"]
    within_noise = low is not None and low < 1 < high
    if within_noise:
        return "neither clearly faster nor slower than"
    if abs(time_over_other - 1) < SAME:
        return "about as fast as"
    if time_over_other < 1:
        return f"{text.factor(1 / time_over_other)} faster than"
    return f"{text.factor(time_over_other)} slower than"
