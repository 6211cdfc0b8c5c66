"""Speedup against firing rate, layer by layer: figure, table on the screen, csv, JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import msgspec
import pandas as pd
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from snnbench.core.files import write_atomically
from snnbench.core.statistics import quartiles
from snnbench.render import canvas, text
from snnbench.render.escape import cell
from snnbench.results.layer_latency import (
    LatencyCurve,
    LatencyPoint,
    LayerLatencyResult,
    break_even,
    interrupted_share,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STEM = "speedup_curves"
"""Beginning of the files' names."""

_SUBTICKS = (1, 2, 5)
_DISTURBED = 0.1


def write_files(result: LayerLatencyResult, folder: Path) -> None:
    """Write JSON (all raw times), csv, svg and png into a ``folder`` that exists.

    Raises:
        OutputError: A file cannot be written.
    """
    data = msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n"
    write_atomically(folder / f"{STEM}.json", data)
    table = _points(result).to_csv(index=False, lineterminator="\n")
    write_atomically(folder / f"{STEM}.csv", table.encode())
    for kind, content in draw(result).items():
        write_atomically(folder / f"{STEM}.{kind}", content)


def _points(result: LayerLatencyResult) -> pd.DataFrame:
    """Return a row per curve and firing rate, all digits; times in seconds."""
    return pd.DataFrame(
        {
            "layers": cell(" ".join(curve.layers)),
            "shape": str(curve.shape),
            "timesteps": result.config.timesteps,
            "batch_size": result.config.batch_size,
            "threads": result.config.threads,
            "weights_dtype": result.config.weights_dtype,
            "firing_rate": point.firing_rate,
            "input_firing_rate": point.input_firing_rate,
            "output_firing_rate": point.output_firing_rate,
            **_times("event", point.event_s),
            **_times("dense", point.dense_s),
            **_times("convolution", point.convolution_s),
            "speedup": point.speedup,
            "speedup_first_quartile": point.speedup_quartiles[0],
            "speedup_third_quartile": point.speedup_quartiles[1],
            "speedup_over_convolution": point.speedup_over_convolution,
            "break_even_firing_rate": break_even(curve.points),
            "interrupted_rounds": point.interrupted_rounds,
        }
        for curve in result.curves
        for point in curve.points
    )


def _times(name: str, seconds: Sequence[float]) -> dict[str, float]:
    first, third = quartiles(seconds)
    return {
        f"{name}_median_s": median(seconds),
        f"{name}_first_quartile_s": first,
        f"{name}_third_quartile_s": third,
    }


def print_curves(result: LayerLatencyResult, console: Console | None = None) -> None:
    """Print speedups, a row per curve, to ``console`` or standard output."""
    rates = [point.firing_rate for point in result.curves[0].points]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    table.add_column("Speedup at", no_wrap=True)
    for header in (*(f"{rate:g}" for rate in rates), "1 at", "Own rate"):
        table.add_column(header, justify="right", no_wrap=True)
    for curve in result.curves:
        cells = [str(curve.shape), *(text.significant(p.speedup, 2) for p in curve.points)]
        table.add_row(*(Text(cell) for cell in (*cells, _limit(curve), _own_rates(curve))))
    interrupted = interrupted_share(result.curves)
    warning = (
        f"! other programs took the cores in {text.percent(interrupted)} of the rounds, which "
        "lengthens dense calls more than short event calls: measure on an idle machine\n"
    )
    (console or Console()).print(
        Text(subject(result), style="bold"),
        table,
        Text(warning if interrupted and interrupted > _DISTURBED else "", style="yellow", end=""),
        Text(
            "Dense time over event time, each with its LIF, on random spikes of a firing rate: of "
            "layers, not of the network. Dense: prepacked float32 convolutions. 1 at: break-even."
        ),
    )


def _limit(curve: LatencyCurve) -> str:
    """Write the break-even rate, or on which side of all measured rates it lies."""
    rate = break_even(curve.points)
    if rate is not None:
        return text.significant(rate, 2)
    slower = curve.points[0].speedup < 1
    return f"<{curve.points[0].firing_rate:g}" if slower else f">{curve.points[-1].firing_rate:g}"


def _own_rates(curve: LatencyCurve) -> str:
    known = sorted(rate for rate in curve.layer_firing_rates if rate is not None)
    if not known:
        return text.UNKNOWN
    ends = dict.fromkeys(text.significant(rate, 2) for rate in (known[0], known[-1]))
    return text.UNKNOWN.join(ends)


def subject(result: LayerLatencyResult) -> str:
    """Name what was measured, in one line."""
    config = result.config
    width = "" if config.width in (None, 1) else f", width {config.width:g}"
    return (
        f"{result.title}, T = {config.timesteps}{width}, batch {config.batch_size}, "
        f"{text.plural(config.threads, 'thread')}, {config.weights_dtype} weights; "
        f"layers' own rates: {result.data.name}, {result.weights.status.upper()} weights"
    )


def draw(result: LayerLatencyResult) -> dict[str, bytes]:
    """Draw the figure as ``svg`` and ``png``; equal results give equal bytes."""
    with canvas.style():
        figure, axes = canvas.single(canvas.PAGE_WIDTH, 4.0)
        colors = canvas.depth_colors()
        for index, curve in enumerate(result.curves):
            _draw_curve(axes, curve, colors(index / max(1, len(result.curves) - 1)))
        _label(axes, result)
        title = "Speedup of event kernels against firing rate, layer by layer"
        return canvas.finish(figure, title, subject(result), note_size=6)


def _draw_curve(axes: Axes, curve: LatencyCurve, color: tuple[float, float, float, float]) -> None:
    rates = [point.firing_rate for point in curve.points]
    axes.plot(rates, [p.speedup for p in curve.points], color=color, label=str(curve.shape))
    if len(rates) > 1:
        low, high = zip(*(point.speedup_quartiles for point in curve.points), strict=True)
        axes.fill_between(rates, low, high, color=color, alpha=0.12, linewidth=0)
    marks = [
        (rate, speedup)
        for rate in curve.layer_firing_rates
        if rate is not None and (speedup := _speedup_at(curve.points, rate)) is not None
    ]
    if marks:
        axes.plot(*zip(*marks, strict=True), "o", color=color, markersize=4)
    limit = break_even(curve.points)
    if limit is not None:
        axes.plot([limit], [1], "x", color=color, markersize=6)


def _speedup_at(points: Sequence[LatencyPoint], rate: float) -> float | None:
    """Read the drawn line, which is straight in logarithms; ``None`` beyond its ends."""
    for below, above in pairwise(points):
        low, high = below.firing_rate, above.firing_rate
        if low <= rate <= high:
            share = math.log(rate / low) / math.log(high / low)
            return float(below.speedup ** (1 - share) * above.speedup**share)
    return None


def _label(axes: Axes, result: LayerLatencyResult) -> None:
    rates = [point.firing_rate for point in result.curves[0].points]
    axes.axhline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(FixedLocator(rates))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_major_locator(LogLocator(subs=_SUBTICKS))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}{text.TIMES}"))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
    axes.grid(axis="y")
    axes.set_xlabel("Firing rate of the input (spikes/neuron/timestep)")
    axes.set_ylabel("Speedup over prepacked dense")
    axes.plot([], [], "o", color=canvas.MUTED, markersize=4, label="a layer's own rate")
    axes.plot([], [], "x", color=canvas.MUTED, markersize=6, label="break-even")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=6)
