"""``snnbench train``: a benchmark's weights from labelled data."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snnbench.cli import options, output
from snnbench.cli.card_options import BenchmarkCommand
from snnbench.core.files import ensure_writable_folder

if TYPE_CHECKING:
    from snnbench.train.checkpoint import State
    from snnbench.zoo.registry import Benchmark

_INTERRUPTED = 130
_EMBEDDED = " on embedded data"
# Idle threads of PyTorch's OpenMP spin for milliseconds on the cores that the fused kernels'
# threads need. Read when torch is loaded; measured: ten percent more images/s on two cores.
_SPINS = ("GOMP_SPINCOUNT", "20000")


@click.command("train", cls=BenchmarkCommand)
@options.benchmark
@options.data("Labelled data set to train and test on.")
@options.option(
    "--recipe recipe_path",
    "Recipe to start from, such as recipe.toml of another training; options override it.",
    metavar="FILE.toml",
    type=options.PATH,
)
@options.integer("--epochs", "Number of epochs.", otherwise=f"100, or a few{_EMBEDDED}")
@options.timesteps(otherwise="the benchmark's")
@options.width(otherwise="1")
@options.option(
    "--twin/--no-twin",
    "Train the ANN twin instead of the spiking network.",
    default=None,
    otherwise="no-twin",
)
@options.integer(
    "--batch-size",
    "Samples per training step in each process.",
    otherwise=f"the benchmark's, or a fixed one{_EMBEDDED}",
)
@options.choice(
    "--loss", "Loss function to minimise.", "cross-entropy", "mse", otherwise="the benchmark's"
)
@options.choice(
    "--optimizer", "Optimiser of the weights.", "SGD", "Adam", otherwise="the benchmark's"
)
@options.number(
    "--lr", "Initial learning rate.", otherwise=f"the benchmark's, or a fixed one{_EMBEDDED}"
)
@options.number("--momentum", "Momentum of SGD, or beta 1 of Adam.", otherwise="the benchmark's")
@options.number("--weight-decay", "Weight decay of the optimiser.", otherwise="0")
@options.choice(
    "--schedule",
    "Lower the learning rate in steps, or along a cosine to 0.",
    *("step", "cosine"),
    otherwise=f"step, or cosine{_EMBEDDED}",
)
@options.integer(
    "--lr-step-epochs",
    "Number of epochs between two steps of the learning rate.",
    otherwise=f"the benchmark's, or 100{_EMBEDDED}",
)
@options.number(
    "--lr-factor", "Factor on the learning rate at each step.", otherwise="the benchmark's"
)
@options.choice(
    "--precision",
    "Number format of the training steps.",
    *("32-true", "64-true", "bf16-mixed", "16-mixed"),
    otherwise="32-true",
)
@options.seed(
    "Seed of initial weights, sample order and augmentation.", default=None, otherwise="0"
)
@options.integer("--limit-train", "Number of training samples, spread evenly.", otherwise="all")
@options.option(
    "--test/--no-test", "Measure the accuracy after each epoch.", default=None, otherwise="test"
)
@options.machine
@options.flag("--resume", "Continue from the last checkpoint in the folder.")
@options.number(
    "--checkpoint-every checkpoint_every_s",
    "Time between checkpoints within an epoch.",
    type=click.FloatRange(min=0),
    default=300.0,
    metavar="SECONDS",
)
@options.flag("--tensorboard with_tensorboard", "Write event files for TensorBoard as well.")
@options.out("Folder for weights, log and checkpoints.", otherwise="results/NAME/train")
def train_command(
    benchmark: Benchmark, recipe_path: Path | None, out: Path | None, **given: Any
) -> None:
    """Train the network of the benchmark NAME on labelled data.

    Trains the spiking network directly, by backpropagation through time. Ctrl-C saves a
    checkpoint, from which --resume continues. `snnbench list` shows the names.
    """
    keys = ("resume", "checkpoint_every_s", "with_tensorboard")
    running = {key: given.pop(key) for key in keys}
    machine = options.take_machine(given)
    folder = out or output.RESULTS / benchmark.card.name / "train"
    fields = given.pop("options") | given
    from snnbench.train.recipe import FILE, resolve

    if running["resume"] and recipe_path is None and (folder / FILE).is_file():
        recipe_path = folder / FILE
    recipe = resolve(benchmark.card, recipe_path, **fields)
    ensure_writable_folder(folder)
    if running["with_tensorboard"]:
        from snnbench.train.log import check_tensorboard

        check_tensorboard()
    os.environ.setdefault(*_SPINS)
    from snnbench.train.training import train

    command = ["snnbench", *sys.argv[1:]]
    state = train(recipe, machine, folder, command=command, **running)
    if state is not None:
        _print(state, folder, command)


def _print(state: State, folder: Path, command: list[str]) -> None:
    if not state.finished:
        again = shlex.join([*(word for word in command if word != "--resume"), "--resume"])
        click.echo(
            f"stopped in epoch {state.epoch + 1} of {state.recipe.epochs} after {state.step} "
            f"steps; continue with: {again}",
            err=True,
        )
        raise SystemExit(_INTERRUPTED)  # click would swallow an exit code of its own
    last = state.history[-1]
    if last.test_accuracy is not None and last.test_correct is not None:
        from snnbench.core.statistics import wilson

        low, high = wilson(last.test_correct, last.test_samples or 1)
        click.echo(
            f"test accuracy {last.test_accuracy:.2%} (95 % interval {low:.2%} to {high:.2%}, "
            f"{last.test_correct:,} of {last.test_samples:,})"
        )
    if last.test_firing_rate is not None:
        click.echo(f"firing rate {last.test_firing_rate:.4f} spikes per neuron and timestep")
    click.echo(f"weights: {folder / 'weights.safetensors'}")
