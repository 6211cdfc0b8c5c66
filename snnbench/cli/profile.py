"""``snnbench profile``: the operations of a user's own model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from snnbench.cli import options, output


@click.command("profile")
@click.argument("target", metavar="MODULE:FACTORY")
@click.option(
    "--input",
    "shape",
    required=True,
    metavar="CxHxW",
    help="Shape of one sample at one timestep, such as 3x32x32.",
)
@click.option(
    "-T",
    "--timesteps",
    type=int,
    default=1,
    show_default=True,
    metavar="N",
    help="Number of timesteps T.",
)
@click.option(
    "--layout",
    type=click.Choice(["step", "loop", "TN", "NT"]),
    default="step",
    show_default=True,
    help=(
        "How the model takes its input: called once per timestep with [N, ...] (step); called "
        "once with [N, ...], looping over time itself (loop); called once with [T, N, ...] (TN) "
        "or [N, T, ...] (NT)."
    ),
)
@click.option(
    "--batch-size",
    type=int,
    default=1,
    show_default=True,
    metavar="N",
    help="Number of samples N, all in one forward pass.",
)
@click.option(
    "--values",
    default="normal",
    show_default=True,
    metavar="KIND",
    help=(
        "Random input values: normal, uniform, or spikes:RATE, each drawn anew at every timestep."
    ),
)
@options.seed("Seed of the model's initial weights and of the input.")
@click.option("--ann", is_flag=True, help="Count every operation as a MAC, as in an ANN.")
@click.option(
    "--neuron",
    "neurons",
    multiple=True,
    metavar="MODULE:CLASS",
    help="Another class of spiking neurons to recognise; may be repeated.",
)
@options.strict
@options.out("Folder for the result and its report.  [default: print only]")
def profile_command(target: str, out: Path | None, **given: Any) -> None:
    """Count the operations of your own PyTorch model.

    FACTORY names a module, or a function that returns one when called without arguments. MODULE
    is imported from the current folder or from the installed packages.
    """
    from snnbench.run import single

    folder = None if out is None else output.writable(out)
    result = single.profile_target(target, **given)
    output.report(result if folder is None else output.save(result, folder), folder)
