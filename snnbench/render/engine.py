"""The event engine in a report: its steps as a table, and speedup against firing rate."""

from __future__ import annotations

from typing import Any

from matplotlib.ticker import FuncFormatter, LogLocator

from snnbench.metrics.dataframes import engine_dataframe
from snnbench.render import canvas, text
from snnbench.render.canvas import Plot
from snnbench.render.table import Column, Table, caption, records
from snnbench.results.engine import EngineRun
from snnbench.results.run import RunResult

_TICKS = (1, 2, 5)


def engine_table(result: RunResult, engine: EngineRun) -> Table:
    """Make the table of steps: what ran each, what it executed, how long it took."""
    data = engine_dataframe(engine)
    return Table(
        name="engine",
        title="Event engine by step",
        caption=caption(
            result,
            f"Steps of the event engine (mode {engine.mode}, {engine.weights_dtype} weights, "
            f"{text.plural(engine.threads, 'thread')}) for a batch of {engine.batch_size}",
            f"Accumulates are counted by the kernels. {engine.flipped_spikes:,} of "
            f"{engine.spike_sites:,} spikes differ from those of the dense folded network "
            f"({engine.flipped_by_rounding:,} if that passes on the engine's spikes), its output "
            f"by at most {engine.output_max_abs_difference:.2g} at outputs up to "
            f"{engine.output_max_abs:.3g}. Compiled in {text.significant(engine.compile_s)} s. "
            f"Ceiling: {text.short(engine.adds_ceiling_per_s)} additions per second and thread "
            f"({engine.adds_ceiling_method}). Single steps are timed alone, which costs a little "
            "more than their share of a whole call.",
        ),
        columns=(
            Column("Step", "Name of the neurons, or of the layer.", numeric=False),
            Column("Kernel", "What ran it.", numeric=False),
            Column("Input rate", "Firing rate of the step's input, spikes per site."),
            Column("ACs executed", "Additions that event kernels executed for spikes."),
            Column("ACs expected", "Effective accumulates the profiler counts on the same input."),
            Column("ACs padding", "Additions of zero rows that fill event lists up."),
            Column("MACs executed", "Multiply-accumulates of dense kernels, zeros included."),
            Column("Step (ms)", "Median time of the step."),
            Column("Share", "Share of the time of all steps."),
            Column("Dense / step", "Time of the same step in dense kernels divided by the step's."),
            Column("Of ceiling", "Additions per second over what this machine's loads allow."),
            Column(
                "Break-even",
                "Estimate: input rate at which the step would take as long as in dense kernels, if "
                "its time grew in proportion to the rate.",
            ),
            Column("Why dense", "Why the step does not run event-driven.", numeric=False),
        ),
        rows=tuple(_cells(row) for row in records(data)),
        data=data,
    )


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["step"],
        row["kernel"],
        text.significant(row["firing_rate"]),
        text.count(row["executed_acs"]),
        text.count(row["expected_acs"]),
        text.count(row["padding_acs"]),
        text.count(row["executed_macs"]),
        text.significant(row["median_ms"]),
        text.percent(row["share"]),
        text.factor(row["dense_over_step"]),
        text.percent(row["of_ceiling"]),
        _rate(row["break_even_estimate"]),
        row["reason"] or "",
    )


def _rate(value: float | None) -> str:
    """Write a firing rate, which is at most 1."""
    return "> 1" if value is not None and value > 1 else text.significant(value)


def speedup_figure(result: RunResult) -> Plot | None:
    """Draw the speedup of each step over its own dense time, by the firing rate of its input."""
    if result.engine is None:
        return None
    rows = [
        row
        for row in records(engine_dataframe(result.engine))
        if row["firing_rate"] and row["dense_over_step"]
    ]
    if not rows:
        return None
    figure, axes = canvas.single(4.8, 3.4)
    for label, color, chosen in (
        ("event kernel", canvas.SNN_COLOR, [r for r in rows if r["reason"] is None]),
        ("run densely", canvas.MUTED, [r for r in rows if r["reason"] is not None]),
    ):
        if chosen:
            at = [row["firing_rate"] for row in chosen]
            times_faster = [row["dense_over_step"] for row in chosen]
            axes.plot(at, times_faster, "o", color=color, alpha=0.8, label=label)
    rates, speedups = zip(*((r["firing_rate"], r["dense_over_step"]) for r in rows), strict=True)
    highest = max(1.25 * max(rates), 0.05)
    grid = [highest * (step + 1) / 100 for step in range(100)]
    inverse = [1 / rate for rate in grid]
    axes.plot(grid, inverse, "--", color=canvas.MUTED, linewidth=0.9, label="1 / firing rate")
    axes.axhline(1, color="black", linewidth=1, label="break-even")
    axes.set_yscale("log")
    axes.set_ylim(min(0.8, min(speedups) / 1.2), max(2.0, 1.6 * max(speedups)))
    axes.yaxis.set_major_locator(LogLocator(subs=_TICKS))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}{text.TIMES}"))
    axes.minorticks_off()
    axes.set_xlim(0, highest)
    axes.grid(axis="y")
    axes.set_xlabel("Firing rate of the step's input (spikes/neuron/timestep)")
    axes.set_ylabel("Speedup over the dense step")
    axes.legend(loc="best")
    slower = sum(1 for value in speedups if value < 1)
    return canvas.plot(
        figure,
        result,
        name="speedup_by_firing_rate",
        title="Speedup of the engine's steps against firing rate",
        alt=f"Scatter plot of {len(rows)} steps at input rates from "
        f"{text.significant(min(rates))} to {text.significant(max(rates))}: speedups from "
        f"{text.factor(min(speedups))} to {text.factor(max(speedups))}; {slower} slower than "
        "dense.",
    )
