"""The figures of a report: spikes, operations, energy, firing rates over time, latency."""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING

from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from snnbench.core.units import PJ_PER
from snnbench.energy.models import memory_remark, models
from snnbench.metrics.dataframes import (
    ZERO_SKIPPING_TWIN,
    energy_dataframe,
    timestep_dataframe,
)
from snnbench.metrics.operations import SNN, TWIN, divisors, per_sample
from snnbench.render import canvas, text
from snnbench.render.canvas import Plot
from snnbench.render.engine import speedup_figure
from snnbench.render.table import records
from snnbench.results.counts import LayerRecord
from snnbench.results.run import TWIN_TIMING, RunResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NETWORK_COLORS = {
    SNN: canvas.SNN_COLOR,
    TWIN: canvas.TWIN_COLOR,
    ZERO_SKIPPING_TWIN: canvas.SKIPPING_COLOR,
}


def figures(result: RunResult) -> tuple[Plot, ...]:
    """Draw every figure that ``result`` has data for; equal results give equal bytes."""
    kinds = (
        *(spikes_figure, operations_figure, energy_figure),
        *(timestep_figure, latency_figure, speedup_figure),
    )
    with canvas.style():
        return tuple(filter(None, (draw(result) for draw in kinds)))


def spikes_figure(result: RunResult) -> Plot | None:
    """Draw figure 6 of ZH21: spikes per neuron over all timesteps, a bar per spiking layer.

    If T is unknown the bars are firing rates.
    """
    steps = result.snn.timesteps
    layers = [layer for layer in result.snn.neurons if layer.firing_rate is not None]
    if not layers:
        return None
    values = [(layer.firing_rate or 0.0) * (steps or 1) for layer in layers]
    width = min(max(4.5, 0.13 * len(layers) + 0.8), 2 * canvas.PAGE_WIDTH)
    figure, axes = canvas.single(width, 3.4)
    axes.bar(range(len(layers)), values, width=0.75, color=canvas.SNN_COLOR)
    axes.margins(x=0.01)
    axes.grid(axis="y")
    axes.tick_params(axis="x", length=0)
    names = [layer.name for layer in layers]
    canvas.label_layers(axes.xaxis, names, width - 0.8, rotation=90)
    unit = f"Spikes per neuron (T = {steps})" if steps else "Firing rate\n(spikes/neuron/timestep)"
    axes.set_ylabel(unit)
    axes.set_xlabel("Spiking layer, input to output")
    return canvas.plot(
        figure,
        result,
        name="spikes_per_neuron",
        title="Spikes per neuron by layer",
        alt=f"Bar chart of {len(layers)} spiking layers, from {text.significant(values[0])} in the "
        f"first to {text.significant(values[-1])} in the last.",
    )


def operations_figure(result: RunResult) -> Plot | None:
    """Draw effective accumulates and MACs of every SNN layer beside the twin's dense MACs.

    A layer that no spike reaches has no place on the logarithmic axis; a 0 stands at its edge.
    """
    layers = [layer for layer in result.snn.layers if layer.dense.synops]
    if not any(layer.effective.synops for layer in layers):
        return None
    divisor = divisors(result)
    height = min(0.165 * len(layers) + 1.7, canvas.MAX_HEIGHT)
    figure, axes = canvas.single(canvas.PAGE_WIDTH, height)
    twin = {layer.name: layer for layer in result.twin.layers} if result.twin else {}
    rows = list(range(len(layers)))
    snn = [layer.effective.synops / divisor[SNN] for layer in layers]
    pairs = [
        (row, value, twin[layer.name].dense.macs / divisor[TWIN])
        for row, value, layer in zip(rows, snn, layers, strict=True)
        if layer.name in twin and twin[layer.name].dense.macs
    ]
    shown = [value for value in (*snn, *(macs for _, _, macs in pairs)) if value]
    canvas.log_axis(axes, shown)
    if pairs:
        at, ours, theirs = zip(*pairs, strict=True)
        edge = axes.get_xlim()[0]
        starts = [value or edge for value in ours]
        axes.hlines(at, starts, theirs, color="#cccccc", linewidth=0.9, zorder=1)
        axes.plot(
            theirs,
            at,
            "D",
            markersize=4,
            markerfacecolor="white",
            color=canvas.TWIN_COLOR,
            label="ANN twin, dense MACs",
        )
    _operation_dots(axes, layers, snn)
    axes.set_ylim(len(layers) - 0.4, -0.6)
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    canvas.label_layers(axes.yaxis, [layer.name for layer in layers], height - 1.5)
    axes.set_xlabel(f"Operations {'per sample' if per_sample(result) else 'of the whole run'}")
    figure.legend(loc="outside upper right", ncols=3, handletextpad=0.2, columnspacing=1.2)
    return canvas.plot(
        figure,
        result,
        name="operations_by_layer",
        title="Operations by layer",
        alt=f"Dot plot of {len(layers)} layers on a logarithmic axis: operations of the SNN "
        "against the dense MACs of its twin.",
    )


def _operation_dots(axes: Axes, layers: list[LayerRecord], values: list[float]) -> None:
    for marker, color, label, uses_macs in (
        ("o", canvas.SNN_COLOR, "SNN, accumulates", False),
        ("s", canvas.SNN_MAC_COLOR, "SNN, MACs", True),
    ):
        chosen = [
            (row, value)
            for row, (layer, value) in enumerate(zip(layers, values, strict=True))
            if value and bool(layer.effective.macs) is uses_macs
        ]
        if chosen:
            at, shown = zip(*chosen, strict=True)
            axes.plot(shown, at, marker, color=color, label=label)
    for row, value in enumerate(values):
        if not value:
            beside_axis = axes.get_yaxis_transform()
            axes.text(0.005, row, "0", transform=beside_axis, va="center", fontsize=7)


def energy_figure(result: RunResult) -> Plot:
    """Draw a panel per cost table, each on an axis of its own that starts at 0."""
    rows = records(energy_dataframe(result))
    tables = [model.title for model in models()]
    lines = math.ceil(len(tables) / 2)
    networks = len({row["network"] for row in rows})
    figure = Figure(figsize=(canvas.PAGE_WIDTH, lines * (0.28 * networks + 0.65) + 0.8))
    panels = figure.subplots(lines, 2, squeeze=False, sharey=True).flatten()
    for axes, title in zip(panels, tables, strict=False):
        _energy_panel(axes, title, [row for row in rows if row["title"] == title])
    for axes in panels[len(tables) :]:
        axes.set_visible(False)
    known = [row for row in rows if row["pj"] is not None]
    return canvas.plot(
        figure,
        result,
        name="energy",
        title=f"Estimated energy {'per sample' if per_sample(result) else 'of the whole run'} "
        f"by cost table ({memory_remark(models())})",
        alt="Bar charts of estimated energy. "
        + " ".join(f"{row['title']}, {row['network']}: {text.energy(row['pj'])}." for row in known),
    )


def _energy_panel(axes: Axes, title: str, rows: list[dict[str, object]]) -> None:
    estimates = [float(row["pj"]) if row["pj"] is not None else None for row in rows]  # type: ignore[arg-type]
    unit = text.energy_unit([value for value in estimates if value is not None])
    size = PJ_PER[unit]
    longest = max((value for value in estimates if value is not None), default=0.0) / size or 1.0
    for at, (row, value) in enumerate(zip(rows, estimates, strict=True)):
        if value is None:
            reason = str(row["reason"]).partition(":")[0]
            axes.text(0, at, f" {reason}", va="center", fontsize=7, color=canvas.MUTED)
            continue
        complete = bool(row["complete"])
        axes.barh(
            at,
            value / size,
            height=0.68,
            color=_NETWORK_COLORS[str(row["network"])],
            hatch=None if complete else "////",
            edgecolor="white",
            linewidth=0,
        )
        label = ("" if complete else f"{text.AT_LEAST} ") + text.energy(value, unit)
        axes.text(value / size + 0.015 * longest, at, label, va="center", fontsize=7)
    axes.set_xlim(0, 1.3 * longest)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [str(row["network"]) for row in rows])
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set_title(title)
    axes.set_xlabel(f"Energy ({unit}), estimate")


def timestep_figure(result: RunResult) -> Plot | None:
    """Draw firing rates over the timesteps: a line per spiking layer, and the mean."""
    data = timestep_dataframe(result)
    if data.empty or not data["spikes"].notna().any():
        return None
    data = data[data["spikes"].notna()]
    layers = [rows for _, rows in data.groupby("layer", sort=False)]
    figure, axes = canvas.single(4.8, 3.4)
    depth = Normalize(1, max(2, len(layers)))
    shades = canvas.depth_colors()
    marker = "." if data["timestep"].max() == 1 else None  # a line of one point is invisible
    for number, rows in enumerate(layers, start=1):
        rates = rows["firing_rate"].astype(float)
        axes.plot(
            rows["timestep"], rates, marker=marker, color=shades(depth(number)), linewidth=0.8
        )
    sums = data.groupby("timestep")[["spikes", "neurons_x_samples"]].sum()
    mean = (sums["spikes"] / sums["neurons_x_samples"]).astype(float)
    axes.plot(mean.index, mean, "o-", color="black", linewidth=2, label="mean over all neurons")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(axis="y")
    axes.set_xlabel("Timestep")
    axes.set_ylabel("Firing rate (spikes/neuron)")
    axes.legend(loc="best")
    if len(layers) > 1:
        colors = ScalarMappable(norm=depth, cmap=shades)
        bar = figure.colorbar(colors, ax=axes, shrink=0.9, pad=0.02)
        bar.set_label("Spiking layer, input (1) to output")
        bar.locator = MaxNLocator(6, integer=True)
        bar.update_ticks()
    return canvas.plot(
        figure,
        result,
        name="firing_rate_by_timestep",
        title="Firing rate by timestep",
        alt="Line chart of the firing rate over timesteps; mean "
        + ", ".join(text.significant(float(value)) for value in mean)
        + ".",
    )


def latency_figure(result: RunResult) -> Plot | None:
    """Draw every raw time and the median, a line per network and batch size."""
    if not result.timings:
        return None
    times: dict[str, list[float]] = {}
    several = len({timing.batch_size for timing in result.timings}) > 1
    for timing in result.timings:
        name = timing.name + (f", batch {timing.batch_size}" if several else "")
        times.setdefault(name, []).extend(timing.sample_ms)
    figure, axes = canvas.single(canvas.PAGE_WIDTH, 0.42 * len(times) + 1.3)
    for row, (name, values) in enumerate(times.items()):
        color = canvas.TWIN_COLOR if name.startswith(TWIN_TIMING) else canvas.SNN_COLOR
        # A fixed pattern instead of random jitter, so that equal results give equal bytes.
        offsets = [row + 0.08 * (index % 5 - 2) for index in range(len(values))]
        axes.plot(values, offsets, "o", color=color, alpha=0.45, markersize=3, markeredgewidth=0)
        middle = median(values)
        axes.plot([middle, middle], [row - 0.32, row + 0.32], color="black", linewidth=1.5)
    axes.set_xlim(left=0)
    axes.set_ylim(len(times) - 0.5, -0.5)
    axes.set_yticks(range(len(times)), [text.shorten(name) for name in times])
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    axes.set_xlabel("Time per sample (ms); black line: median")
    return canvas.plot(
        figure,
        result,
        name="latency",
        title="Latency, every raw time",
        alt=f"Strip chart of raw times of {', '.join(times)}.",
    )
