"""``snnbench profile``: the operations of a user's own model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from snnbench.cli import options, output
from snnbench.core.files import ensure_writable_folder


@click.command("profile")
@click.argument("target", metavar="MODULE:FACTORY")
@options.option(
    *("--input shape", "Shape of one sample at one timestep, such as 3x32x32."),
    required=True,
    metavar="CxHxW",
)
@options.timesteps(default=1)
@options.choice(
    "--layout",
    "How the model takes its input: called once per timestep with [N, ...] (step); called once "
    "with [N, ...], looping over time itself (loop); called once with [T, N, ...] (TN) or "
    "[N, T, ...] (NT).",
    *("step", "loop", "TN", "NT"),
    default="step",
)
@options.integer("--batch-size", "Number of samples N, which share a forward pass.", default=1)
@options.option(
    "--values",
    "Random input values: normal, uniform, or spikes:RATE, each drawn anew at every timestep.",
    default="normal",
    metavar="KIND",
)
@options.seed("Seed of the model's initial weights and of the input.")
@options.flag("--ann", "Count every operation as a MAC, as in an ANN.")
@options.repeated(
    "--neuron neurons",
    "Another class of spiking neurons to recognise; may be repeated.",
    metavar="MODULE:CLASS",
)
@options.strict
@options.out("Folder for the result and its report.", otherwise="none, print only")
def profile_command(target: str, out: Path | None, **given: Any) -> None:
    """Count the operations of your own PyTorch model.

    FACTORY names a module, or a function that returns one when called without arguments. MODULE
    is imported from the current folder or from the installed packages.
    """
    from snnbench.run import single

    folder = None if out is None else ensure_writable_folder(out)
    result = single.profile_target(target, **given)
    output.report(result if folder is None else output.save(result, folder), folder)
