"""``snnbench train``: a benchmark's weights from labelled data."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snnbench.cli import options, output

if TYPE_CHECKING:
    from snnbench.train.recipe import Recipe
    from snnbench.train.training import Outcome

_INTERRUPTED = 130
_CARD = "as the benchmark says; the data that comes with snnbench has its own"
# Idle threads of PyTorch's OpenMP spin for milliseconds on the cores that the fused kernels'
# threads need. Read when torch is loaded; measured: ten percent more images/s on two cores.
_SPINS = ("GOMP_SPINCOUNT", "20000")


@click.command("train")
@options.benchmark
@options.data("Labelled data set.")
@click.option(
    "--recipe",
    "recipe_path",
    metavar="FILE.toml",
    type=click.Path(path_type=Path),
    help="Recipe to start from, such as recipe.toml of another training; options override it.",
)
@click.option(
    "--epochs",
    type=int,
    metavar="N",
    help="Number of epochs.  [default: 100, or a few on the data that comes with snnbench]",
)
@options.timesteps("as the benchmark says")
@options.width("1")
@options.shortcut("paper")
@click.option(
    "--twin/--no-twin",
    default=None,
    help="Train the ANN twin instead of the spiking network.  [default: no-twin]",
)
@click.option(
    "--batch-size",
    type=int,
    metavar="N",
    help=f"Samples per step in each process.  [default: {_CARD}]",
)
@click.option(
    "--lr", type=float, metavar="RATE", help=f"Initial learning rate.  [default: {_CARD}]"
)
@click.option(
    "--momentum",
    type=float,
    metavar="FACTOR",
    help="Momentum of SGD.  [default: as the benchmark says]",
)
@click.option(
    "--weight-decay", type=float, metavar="FACTOR", help="Weight decay of SGD.  [default: 0]"
)
@click.option(
    "--schedule",
    type=click.Choice(["step", "cosine"]),
    help=(
        "Lower the learning rate in steps, or along a cosine to 0.  [default: step, or cosine on "
        "the data that comes with snnbench]"
    ),
)
@click.option(
    "--lr-step-epochs",
    type=int,
    metavar="N",
    help=(
        "Epochs between two steps of the learning rate.  [default: as the benchmark says, or 100 "
        "on the data that comes with snnbench]"
    ),
)
@click.option(
    "--lr-factor",
    type=float,
    metavar="FACTOR",
    help="Factor on the learning rate at each step.  [default: as the benchmark says]",
)
@click.option(
    "--precision",
    type=click.Choice(["32-true", "64-true", "bf16-mixed", "16-mixed"]),
    help="Number format of the training steps.  [default: 32-true]",
)
@click.option(
    "--seed",
    type=int,
    metavar="N",
    help="Seed of initial weights, sample order and augmentation.  [default: 0]",
)
@click.option(
    "--limit-train",
    type=int,
    metavar="N",
    help="Train on N samples only, spread evenly over the training part.  [default: all]",
)
@click.option(
    "--test/--no-test", default=None, help="Measure the accuracy after each epoch.  [default: test]"
)
@options.machine
@click.option("--resume", is_flag=True, help="Continue from the last checkpoint in the folder.")
@click.option(
    "--checkpoint-every",
    "checkpoint_every_s",
    type=click.FloatRange(min=0),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between checkpoints within an epoch.",
)
@click.option("--tensorboard", is_flag=True, help="Write event files for TensorBoard as well.")
@options.out("Folder for weights, log and checkpoints.  [default: results/NAME/train]")
def train_command(name: str, recipe_path: Path | None, out: Path | None, **given: Any) -> None:
    """Train the network of the benchmark NAME on labelled data.

    Trains the spiking network directly, by backpropagation through time. Ctrl-C saves a
    checkpoint, from which --resume continues. `snnbench list` shows the names.
    """
    from snnbench.zoo import registry

    card = registry.get(name).card
    running = {key: given.pop(key) for key in ("resume", "checkpoint_every_s", "tensorboard")}
    machine = options.take_machine(given)
    folder = out or output.RESULTS / name / "train"
    recipe = _recipe(card, recipe_path, folder, given, resume=running["resume"])
    output.writable(folder)
    if running["tensorboard"]:
        from snnbench.train.log import check_tensorboard

        check_tensorboard()
    os.environ.setdefault(*_SPINS)
    from snnbench.train.training import train

    command = ["snnbench", *sys.argv[1:]]
    outcome = train(recipe, machine, folder, command=command, **running)
    if outcome.writes:
        _print(outcome, folder, command)


def _recipe(
    card: Any, path: Path | None, folder: Path, given: dict[str, Any], *, resume: bool
) -> Recipe:
    """The recipe as options and files say; to resume, the folder's own recipe is enough."""
    from snnbench.train.recipe import FILE, resolve

    if resume and path is None and (folder / FILE).is_file():
        path = folder / FILE
    return resolve(card, path, **given)


def _print(outcome: Outcome, folder: Path, command: list[str]) -> None:
    state = outcome.state
    if not outcome.finished:
        again = shlex.join([*(word for word in command if word != "--resume"), "--resume"])
        click.echo(
            f"stopped in epoch {state.epoch + 1} of {state.recipe.epochs} after {state.step} "
            f"steps; go on with: {again}",
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
