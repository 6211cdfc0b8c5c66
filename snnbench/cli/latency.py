"""``snnbench latency``: single layers, timed event-driven and dense at chosen firing rates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snnbench.cli import options, output
from snnbench.cli.card_options import BenchmarkCommand
from snnbench.core.files import ensure_writable_folder

if TYPE_CHECKING:
    from snnbench.zoo.registry import Benchmark

_RATES = "0.01,0.02,0.05,0.1,0.15,0.2,0.3,0.5"
_SAMPLES = 2


@click.command("latency", cls=BenchmarkCommand)
@options.benchmark
@options.numbers(
    "--rates",
    "Firing rates to time, in spikes per neuron and timestep, above 0 and at most 1.",
    *(float, "0.05,0.1"),
    default=_RATES,
)
@options.timesteps(otherwise="that of the weights, else of the benchmark")
@options.integer("--batch-size", "Samples per timed call.", default=1)
@options.integer("--threads", "Threads used by event-driven and by dense layers.", default=1)
@options.weights_dtype(
    "Number format of event-driven layers' weights.", *("float32", "float64", "int16", "bfloat16")
)
@options.choice(
    "--layers",
    "Time one layer of each shape (unique), or every layer (all).",
    *("unique", "all"),
    default="unique",
)
@options.data("Samples on which the layers' own firing rates are measured.")
@options.fitting_weights
@options.untrained
@options.seed("Seed of random weights, random spikes and the choice of samples.")
@options.width(otherwise="that of the weights, else 1")
@options.out("Folder for the figure and its data.", otherwise="results/NAME")
def latency_command(
    benchmark: Benchmark, rates: Any, layers: Any, out: Path | None, **given: Any
) -> None:
    """Time single layers of the benchmark NAME by firing rate.

    Times every convolution that receives spikes, event-driven and dense, on random spikes, and
    draws one curve per layer shape. `snnbench list` shows the names.
    """
    from snnbench.cli.progress import RichReporter
    from snnbench.run.config import configure
    from snnbench.run.layer_latency import measure_layers

    samples = max(_SAMPLES, given["batch_size"])
    config = configure(benchmark, samples=samples, with_latency=True, **given)
    folder = ensure_writable_folder(out or output.RESULTS / benchmark.card.name)
    with RichReporter() as reporter:
        result = measure_layers(benchmark, config, rates, layers, reporter)
        with reporter.stage("drawing", 1):
            from snnbench.render.layer_latency import STEM, print_curves, write_files

            write_files(result, folder)
    print_curves(result)
    click.echo(f"figure: {folder / STEM}.svg")
