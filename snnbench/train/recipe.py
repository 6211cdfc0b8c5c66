"""Recipes: everything that decides the outcome of a training, as one flat TOML table.

What the paper prints comes from the card (ZH21 supplement C, table 5). It prints neither a number
of epochs nor a weight decay: 100 epochs and no decay are defaults of our own, and so is the whole
short recipe for embedded data, which ends within minutes on two cores.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from snnbench.core.errors import UsageError, suggestion
from snnbench.core.files import read_toml
from snnbench.zoo.card import Card
from snnbench.zoo.choice import WIDTH

Schedule = Literal["step", "cosine"]
Loss = Literal["cross-entropy", "mse"]
Optimizer = Literal["SGD", "Adam"]
Precision = Literal["32-true", "64-true", "bf16-mixed", "16-mixed"]

# beyond these a value is a typing error
_Count = Annotated[int, msgspec.Meta(ge=1, le=10**9)]
_Rate = Annotated[float, msgspec.Meta(gt=0, le=1000)]

FILE = "recipe.toml"
"""Name of a recipe in the folder of a training."""

_EPOCHS = 100
_EMBEDDED: dict[str, Any] = {
    "epochs": 8,
    "batch_size": 16,
    "lr": 0.05,
    "schedule": "cosine",
    "lr_step_epochs": 3,
}
_PATH = re.compile(r" - at `\$\.?(.*)`$")


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about a training except the machine it runs on.

    Attributes:
        benchmark: Name of the benchmark.
        data: ``KIND=PATH``; ``None`` is the card's embedded data.
        timesteps: T. The ANN twin has T = 1, and sees the mean of the T frames of events.
        width: Factor on all channel numbers.
        options: Options of the card, by name; in files they stand beside the other fields.
        twin: Train the ANN twin instead of the spiking network.
        epochs: Passes over the training part.
        batch_size: Samples per process and step.
        loss: ``cross-entropy`` of the outputs, or their ``mse`` (mean squared error).
        optimizer: ``SGD`` or ``Adam``.
        lr: Initial learning rate.
        momentum: Momentum of SGD, or beta_1 of Adam.
        weight_decay: Decay of weights; tdBN and biases are spared.
        schedule: ``step`` multiplies the learning rate by ``lr_factor`` every ``lr_step_epochs``;
            ``cosine`` lets it fall to zero, step by step, along half a cosine.
        lr_step_epochs: Epochs between two steps of the ``step`` schedule.
        lr_factor: Factor on the learning rate at each of these steps.
        precision: Number format of training steps, as Lightning Fabric names it; tests are in the
            type of the weights.
        seed: Seed of the initial weights, the order of samples and the augmentation.
        limit_train: Number of training samples, spread evenly; ``None`` takes all.
        test: Measure the accuracy on the test part after every epoch.
    """

    benchmark: str
    data: str | None = None
    timesteps: _Count
    width: _Rate = WIDTH
    options: dict[str, str] = {}
    twin: bool = False
    epochs: _Count = _EPOCHS
    batch_size: _Count
    loss: Loss = "cross-entropy"
    optimizer: Optimizer = "SGD"
    lr: _Rate = 0.1
    momentum: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    schedule: Schedule = "step"
    lr_step_epochs: _Count = _EPOCHS
    lr_factor: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.1
    precision: Precision = "32-true"
    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**32)] = 0
    limit_train: _Count | None = None
    test: bool = True


def resolve(card: Card, path: Path | None = None, **options: Any) -> Recipe:
    """Make a recipe of a card, a file and options, each of which overrides the one before.

    Args:
        card: Gives T, loss and optimiser, and the paper's recipe where data is given.
        path: A TOML file with any fields of ``Recipe``.
        **options: Fields of ``Recipe``, and options of the card; ``None`` leaves one out.

    Raises:
        UsageError: The file cannot be read, is for another benchmark, or a value is out of range.
    """
    stored = {} if path is None else read_toml(path, "recipe", dict[str, Any])
    given = {name: value for name, value in options.items() if value is not None}
    values = {"benchmark": card.name, **stored, **given}
    if values["benchmark"] != card.name:
        msg = f"recipe {path} is for {values['benchmark']}, not {card.name}; train that one"
        raise UsageError(msg)
    embedded = values.get("data") is None
    values = _defaults(card, embedded=embedded) | values
    return _checked(card, values, "recipe" if path is None else f"recipe {path}")


def as_toml(recipe: Recipe) -> bytes:
    """A recipe as a flat TOML table; values that are ``None`` are left out."""
    values = {name: value for name, value in as_dict(recipe).items() if value is not None}
    # a JSON scalar is a TOML scalar, but for one character, and the table is flat
    lines = (f"{name} = {json.dumps(v, ensure_ascii=False)}\n" for name, v in values.items())
    return "".join(lines).replace("\x7f", "\\u007f").encode()


def as_dict(recipe: Recipe) -> dict[str, Any]:
    """A recipe as a flat table of fields and options, in order."""
    values: dict[str, Any] = {}
    for name in recipe.__struct_fields__:
        values |= recipe.options if name == "options" else {name: getattr(recipe, name)}
    return values


def from_dict(values: Mapping[str, Any]) -> Recipe:
    """A recipe from a flat table, in which other names than fields are options of the card.

    Raises:
        msgspec.ValidationError: A value is missing or out of range.
    """
    fields = {name: values[name] for name in Recipe.__struct_fields__ if name in values}
    options = {name: value for name, value in values.items() if name not in fields}
    return msgspec.convert(fields | {"options": options}, Recipe)


def differences(ours: Recipe, theirs: Recipe) -> list[str]:
    """Differing fields of two recipes in words, e.g. ``lr 0.1, not 0.2``."""
    mine, yours = as_dict(ours), as_dict(theirs)
    return [
        f"{name} {mine.get(name)}, not {yours.get(name)}"
        for name in mine | yours
        if mine.get(name) != yours.get(name)
    ]


def _defaults(card: Card, *, embedded: bool) -> dict[str, Any]:
    values: dict[str, Any] = {"timesteps": card.timesteps, **_EMBEDDED}
    paper = card.training
    if paper is None:
        return values
    if not embedded:
        values = {
            "timesteps": card.timesteps,
            "batch_size": paper.batch_size_per_gpu or _EMBEDDED["batch_size"],
            "lr": paper.lr,
            "momentum": paper.momentum,
            "lr_step_epochs": paper.lr_step_epochs or _EPOCHS,
            "lr_factor": paper.lr_factor,
        }
    return values | {"loss": paper.loss, "optimizer": paper.optimizer}


def _checked(card: Card, values: Mapping[str, Any], where: str) -> Recipe:
    fields = [name for name in Recipe.__struct_fields__ if name != "options"]
    for name in values.keys() - {*fields, *card.options}:
        msg = f"{where}: unknown field {name}: {suggestion(name, [*fields, *card.options])}"
        raise UsageError(msg)
    options = card.fill_options({name: values[name] for name in card.options if name in values})
    try:
        recipe = from_dict({**values, **options})
        as_toml(recipe)
    except UnicodeEncodeError:
        msg = f"{where}: data (--data): {values['data']!r} is not Unicode; rename the folder"
        raise UsageError(msg) from None
    except msgspec.ValidationError as error:
        text = str(error)
        match = _PATH.search(text)
        name = match[1] if match else ""
        problem = _PATH.sub("", text).replace("`", "")
        option = f"{name} (--{name.replace('_', '-')})"
        msg = f"{where}: {option}: {problem}, got {values.get(name)!r}"
        raise UsageError(msg) from None
    return recipe


def learning_rate(recipe: Recipe, epoch: int, step: int, steps: int) -> float:
    """Learning rate of one step, which depends on its place alone, so that it can be resumed.

    Args:
        recipe: Recipe with the schedule.
        epoch: Number of the epoch, from 0.
        step: Number of the step within the epoch, from 0.
        steps: Number of steps per epoch.
    """
    if recipe.schedule == "step":
        return recipe.lr * recipe.lr_factor ** (epoch // recipe.lr_step_epochs)
    done = (epoch + step / steps) / recipe.epochs
    return recipe.lr * (1 + math.cos(math.pi * done)) / 2
