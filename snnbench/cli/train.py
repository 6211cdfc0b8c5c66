"""``snnbench train``: a benchmark's weights from labelled data."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from snnbench.train.recipe import Recipe
    from snnbench.train.training import Outcome

_INTERRUPTED = 130
_DEFAULT_FOLDER = Path("results")
# Idle threads of PyTorch's OpenMP spin for milliseconds on the cores that the fused kernels'
# threads need. Read when torch is loaded; measured: ten percent more images/s on two cores.
_SPINS = ("GOMP_SPINCOUNT", "20000")


@click.command("train")
@click.argument("name")
@click.option("--data", metavar="[KIND=]PATH", help="Labelled data.  [default: embedded data]")
@click.option(
    "--recipe",
    "recipe_path",
    metavar="FILE.toml",
    type=click.Path(path_type=Path),
    help="A recipe, such as the recipe.toml of another training; options override it.",
)
@click.option("--epochs", type=int, help="Epochs.  [default: 100; embedded data: a few]")
@click.option("-T", "--timesteps", type=int, help="Timesteps T.  [default: the card's]")
@click.option("--width", type=float, help="Channel multiplier.  [default: 1]")
@click.option(
    "--shortcut",
    type=click.Choice(["paper", "identity"]),
    help="tdBN on shape-keeping shortcuts too, or none.  [default: paper]",
)
@click.option("--twin/--no-twin", default=None, help="Train the ANN twin instead.")
@click.option(
    "--batch-size",
    type=int,
    help="Samples per process.  [default: the card's; embedded data: its own]",
)
@click.option(
    "--lr",
    type=float,
    help="First learning rate of SGD.  [default: the card's; embedded data: its own]",
)
@click.option("--momentum", type=float, help="Of SGD.  [default: the card's]")
@click.option("--weight-decay", type=float, help="Of SGD.  [default: 0]")
@click.option(
    "--schedule",
    type=click.Choice(["step", "cosine"]),
    help="Learning rate in steps, or to 0 along a cosine.  [default: step; embedded data: cosine]",
)
@click.option(
    "--lr-step-epochs",
    type=int,
    help="Epochs of a step.  [default: the card's; embedded data: 100]",
)
@click.option("--lr-factor", type=float, help="Factor at a step.  [default: the card's]")
@click.option(
    "--precision",
    type=click.Choice(["32-true", "64-true", "bf16-mixed", "16-mixed"]),
    help="Of the training steps.  [default: 32-true]",
)
@click.option("--seed", type=int, help="Of weights, order and augmentation.  [default: 0]")
@click.option("--limit-train", type=int, metavar="N", help="Train on N samples, evenly spread.")
@click.option("--test/--no-test", default=None, help="Test after every epoch.  [default: test]")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or cuda:N.")
@click.option("--devices", type=int, help="Processes on this node.  [default: 1]")
@click.option("--num-nodes", type=int, help="Nodes.  [default: 1]")
@click.option("--threads", type=int, help="Threads of torch per process.  [default: all cores]")
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint in the folder.")
@click.option(
    "--checkpoint-every",
    "checkpoint_every_s",
    type=click.FloatRange(min=0),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="Between checkpoints within an epoch.",
)
@click.option("--tensorboard", is_flag=True, help="Write TensorBoard's files too.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder.  [default: results/NAME/train]"
)
def train_command(name: str, recipe_path: Path | None, out: Path | None, **options: Any) -> None:
    """Train the benchmark NAME: directly, by backpropagation through time.

    `snnbench list` shows the names. Ctrl-C saves a checkpoint; --resume goes on from it.
    """
    from snnbench.core.files import ensure_writable_folder
    from snnbench.zoo import registry

    card = registry.get(name).card
    running = {key: options.pop(key) for key in ("resume", "checkpoint_every_s", "tensorboard")}
    place = {key: options.pop(key) for key in ("device", "devices", "num_nodes", "threads")}
    folder = _DEFAULT_FOLDER / name / "train" if out is None else out
    recipe = _recipe(card, recipe_path, folder, options, resume=running["resume"])
    ensure_writable_folder(folder)
    if running["tensorboard"]:
        from snnbench.train.log import check_tensorboard

        check_tensorboard()
    os.environ.setdefault(*_SPINS)
    from snnbench.train.machine import Machine
    from snnbench.train.training import train

    command = ["snnbench", *sys.argv[1:]]
    outcome = train(recipe, Machine(**place), folder, command=command, **running)
    if outcome.writes:
        _tell(outcome, folder, command)


def _recipe(
    card: Any, path: Path | None, folder: Path, options: dict[str, Any], *, resume: bool
) -> Recipe:
    """The recipe that is asked for; resuming needs no options again."""
    from snnbench.train.recipe import FILE, resolve

    if resume and path is None and (folder / FILE).is_file():
        path = folder / FILE
    return resolve(card, path, **options)


def _tell(outcome: Outcome, folder: Path, command: list[str]) -> None:
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
