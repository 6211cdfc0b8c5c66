"""``snnbench run``: one benchmark, counted, timed and reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from snnbench.cli import options, output


@click.command("run")
@options.benchmark
@options.timesteps("as the weights were trained, else as the benchmark says")
@click.option(
    "--samples",
    type=int,
    metavar="N",
    help="Samples to count.  [default: about ten seconds' worth, 2 to 64]",
)
@click.option(
    "--batch-size",
    type=int,
    metavar="N",
    help="Samples per forward pass while counting.  [default: 16, or 1 for large images]",
)
@options.data("Input samples: a folder of images, CIFAR-10, or event recordings.")
@options.weights
@click.option(
    "--twin-weights",
    metavar="FILE",
    help="Trained weights of the ANN twin.  [default: shipped weights, else the SNN's]",
)
@options.untrained
@options.seed("Seed of random weights and of the choice of samples.")
@click.option(
    "--threads", type=int, metavar="N", help="PyTorch threads.  [default: all available cores]"
)
@options.device
@options.width("as the weights were trained, else 1")
@options.shortcut("as the weights were trained, else paper")
@options.strict
@click.option("--no-latency", is_flag=True, help="Count operations only; time nothing.")
@click.option(
    "--latency-batches",
    callback=options.numbers(int, "1,32"),
    metavar="N,...",
    help="Batch sizes to time.  [default: 1, and 32 if that takes only seconds]",
)
@click.option(
    "--engine",
    type=click.Choice(["auto", "event", "dense", "off"]),
    default="auto",
    show_default=True,
    help=(
        "Layers the event engine runs event-driven: those that are faster that way (auto), all "
        "that can (event), none (dense); off leaves the engine out."
    ),
)
@options.weights_dtype("float32", "int16", "bfloat16", user="event engine")
@options.out("Folder for the result and its report.  [default: results/NAME]")
def run_command(name: str, out: Path | None, *, no_latency: bool, **given: Any) -> None:
    """Count, time and report the benchmark NAME.

    Counts the operations of the spiking network and of its ANN twin on the same samples, times
    both, estimates their energy, and writes a report. `snnbench list` shows the names.
    """
    from snnbench.zoo import registry

    registry.get(name)  # an unknown name is reported before torch takes its seconds to load
    from snnbench.run import config as run_config
    from snnbench.run import counting_pass, runner

    config = run_config.configure(name, with_latency=not no_latency, **given)
    folder = output.writable(out or output.RESULTS / name)
    from snnbench.cli.progress import RichReporter

    with RichReporter() as reporter:
        result = runner.run(config, reporter, folder)
    result = output.save(result, folder)
    counting_pass.discard(folder)
    output.report(result, folder)
