"""What goes with trained weights: where they come from and what they are worth."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from torch import nn

from snnbench import weights
from snnbench.card import NeuronSpec
from snnbench.data.labelled import LabelledSet
from snnbench.files import write_atomically
from snnbench.interval import wilson
from snnbench.run_records import Environment
from snnbench.train.checkpoint import State
from snnbench.train.recipe import as_dict

WEIGHTS = "weights.safetensors"
REPORT = "training.json"


def evidence(
    state: State,
    network: nn.Module,
    *,
    neuron: NeuronSpec,
    train: LabelledSet,
    test: LabelledSet | None,
    command: Sequence[str],
    environment: Environment,
) -> dict[str, Any]:
    """The facts of a finished training, as JSON values; what is not known is ``None``."""
    recipe, last = state.recipe, state.history[-1]
    interval = None
    if last.test_correct is not None and last.test_samples is not None:
        interval = wilson(last.test_correct, last.test_samples)
    return {
        "status": "trained",
        "benchmark": recipe.benchmark,
        "benchmark_version": state.benchmark_version,
        "width": recipe.width,
        "shortcut": recipe.shortcut,
        "timesteps": recipe.timesteps,
        "twin": recipe.twin,
        "neuron": msgspec.to_builtins(neuron),
        "weights_sha256": weights.state_sha256(network.state_dict()),
        "data": train.info.name,
        "data_description": train.info.description,
        "data_sha256": state.train_sha256,
        "data_samples": train.info.samples,
        "samples": recipe.limit_train or train.info.samples,
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
        "recipe": as_dict(recipe),
        "command": list(command),
        "environment": asdict(environment),
        "created_utc": datetime.now(tz=UTC).isoformat(timespec="seconds"),
    }


def write(folder: Path, network: nn.Module, facts: Mapping[str, Any], state: State) -> None:
    """Write the weights with their evidence, and the evidence with every epoch's record.

    The weights are those after the last epoch. Choosing the epoch that did best on the test data
    would be selection on the test data, and its accuracy no honest estimate any more.

    Raises:
        OutputError: A file cannot be written.
    """
    texts = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in facts.items()
        if value is not None
    }
    weights.save_state(network, folder / WEIGHTS, texts)
    report = {**facts, "log": [msgspec.to_builtins(record) for record in state.history]}
    write_atomically(folder / REPORT, json.dumps(report, indent=2, ensure_ascii=False).encode())
