"""Trained weights, and the record of their training: data, recipe, accuracy and machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import torch

from snnbench.core.files import write_atomically
from snnbench.core.statistics import wilson
from snnbench.results.environment import capture
from snnbench.train.checkpoint import State
from snnbench.train.loop import Job
from snnbench.train.recipe import as_dict
from snnbench.zoo import weight_files
from snnbench.zoo.card import Card

WEIGHTS = "weights.safetensors"
REPORT = "training.json"


def write(folder: Path, job: Job, state: State, card: Card, command: Sequence[str]) -> None:
    """Write the weights after the last epoch with their record, and a report of every epoch.

    Choosing the epoch that did best on the test data would be selection on the test data, and its
    accuracy no honest estimate any more.

    Args:
        folder: Folder of the training.
        job: The finished training.
        state: State of the training after its last step.
        card: Card of the benchmark.
        command: Command line to record.

    Raises:
        OutputError: A file cannot be written.
    """
    facts = _facts(job, state, card, command)
    texts = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in facts.items()
        if value is not None
    }
    weight_files.save_state(job.network, folder / WEIGHTS, texts)
    report = {**facts, "log": [msgspec.to_builtins(record) for record in state.history]}
    text = json.dumps(report, indent=2, ensure_ascii=False)
    # a file name may not be Unicode; what replaces its bytes is JSON's own escape
    write_atomically(folder / REPORT, text.encode(errors="backslashreplace"))


def _facts(job: Job, state: State, card: Card, command: Sequence[str]) -> dict[str, Any]:
    """Facts of a finished training, as JSON values; what is not known is ``None``."""
    recipe, last, train, test = state.recipe, state.history[-1], job.train, job.test
    interval = None
    if last.test_correct is not None and last.test_samples is not None:
        interval = wilson(last.test_correct, last.test_samples)
    return {
        "status": "trained",
        "benchmark": recipe.benchmark,
        "benchmark_version": state.benchmark_version,
        "width": recipe.width,
        **recipe.options,
        "timesteps": recipe.timesteps,
        "twin": recipe.twin,
        "neuron": card.neuron,
        "weights_sha256": weight_files.state_sha256(job.network.state_dict()),
        "data": train.info.name,
        "data_description": train.info.description,
        "data_sha256": state.train_sha256,
        "data_samples": train.info.samples,
        "samples": len(job.indices),
        "test_data_description": test and test.info.description,
        "test_data_sha256": state.test_sha256,
        "test_samples": last.test_samples,
        "test_correct": last.test_correct,
        "test_accuracy": last.test_accuracy,
        "test_accuracy_interval_95": interval,
        "test_firing_rate": last.test_firing_rate,
        "train_accuracy": last.train_accuracy,
        "loss": last.loss,
        "epochs": len(state.history),
        "seed": recipe.seed,
        "processes": state.processes,
        "training_seconds": sum(record.seconds for record in state.history),
        "recipe": as_dict(recipe) | {"data": recipe.data and without_folders(recipe.data)},
        "command": [without_folders(word) for word in command],
        "environment": asdict(capture(torch.get_num_threads(), str(job.fabric.device))),
        "created_utc": datetime.now(tz=UTC).isoformat(timespec="seconds"),
    }


def without_folders(word: str) -> str:
    """Leave the folders of an absolute path out of a word of a command.

    Weights are passed on, and their users need not see how a machine is organised.

    >>> [without_folders(word) for word in ("cifar10=/home/a=b/cifar10", "/a=b/c", "results/own")]
    ['cifar10=cifar10', 'c', 'results/own']
    """
    option, separator, path = word.partition("=")
    if not separator or Path(word).is_absolute():
        option, path = "", word
    absolute = Path(path).is_absolute() or path.startswith("~")
    return f"{option}{separator if option else ''}{Path(path).name}" if absolute else word
