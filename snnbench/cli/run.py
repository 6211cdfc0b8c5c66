"""``snnbench run``: one benchmark, counted, timed and reported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snnbench.cli import options, output
from snnbench.cli.card_options import BenchmarkCommand
from snnbench.core.files import ensure_writable_folder

if TYPE_CHECKING:
    from snnbench.zoo.registry import Benchmark


@click.command("run", cls=BenchmarkCommand)
@options.benchmark
@options.timesteps(otherwise="that of the weights, else of the benchmark")
@options.integer("--samples", "Samples to count.", otherwise="about ten seconds' worth, 2 to 64")
@options.integer(
    "--batch-size", "Samples counted at once.", otherwise="up to 16, or 1 for large images"
)
@options.data("Folder of input samples.")
@options.fitting_weights
@options.option(
    "--twin-weights",
    "Trained weights of the ANN twin.",
    metavar="FILE",
    otherwise="shipped weights of the twin, else the SNN's",
)
@options.untrained
@options.seed("Seed of random weights and of the choice of samples.")
@options.threads("Number of PyTorch threads.")
@options.device
@options.width(otherwise="that of the weights, else 1")
@options.strict
@options.flag("--no-latency", "Count operations only; time nothing.")
@options.numbers(
    *("--latency-batches", "Batch sizes to time.", int, "1,32"),
    otherwise="1, and 32 if that takes only seconds",
)
@options.choice(
    "--engine",
    "Layers that run event-driven: those that are faster that way (auto), all that can (event), or "
    "none (dense); off leaves the event engine out.",
    *("auto", "event", "dense", "off"),
    default="auto",
)
@options.weights_dtype(
    "Number format of the event engine's weights.", "float32", "int16", "bfloat16"
)
@options.out("Folder for the result and its report.", otherwise="results/NAME")
def run_command(benchmark: Benchmark, out: Path | None, *, no_latency: bool, **given: Any) -> None:
    """Count, time and report the benchmark NAME.

    Counts the operations of the spiking network and of its ANN twin on the same samples, times
    both, estimates their energy, and writes a report. `snnbench list` shows the names.
    """
    from snnbench.run import counting_pass, runner
    from snnbench.run.config import configure

    config = configure(benchmark, with_latency=not no_latency, **given)
    folder = ensure_writable_folder(out or output.RESULTS / benchmark.card.name)
    from snnbench.cli.progress import RichReporter

    with RichReporter() as reporter:
        result = runner.run(benchmark, config, reporter, folder)
    result = output.save(result, folder)
    counting_pass.discard(folder)
    output.report(result, folder)
