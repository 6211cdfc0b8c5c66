"""Accuracy of a file of trained weights on a test part, for each T."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from snnbench.core.errors import UsageError
from snnbench.core.process import memory_shortage_explained
from snnbench.data.dataset import DataSet
from snnbench.results.environment import capture
from snnbench.train.batches import check_outputs, open_labelled
from snnbench.train.evaluation import Scores, evaluate
from snnbench.train.machine import Machine, launch, lost_processes_explained
from snnbench.zoo import networks, shipped, weight_files
from snnbench.zoo.choice import Choice, check_range, choose
from snnbench.zoo.registry import Benchmark
from snnbench.zoo.shipped import Facts

_FETCHING_THREADS = 2


@memory_shortage_explained("--batch-size, --timesteps or --width")
@lost_processes_explained()
def evaluate_weights(
    benchmark: Benchmark,
    source: str,
    *,
    machine: Machine,
    data: str | None = None,
    timesteps: Sequence[int] | None = None,
    width: float | None = None,
    options: Mapping[str, str] | None = None,
    batch_size: int = 32,
    samples: int | None = None,
    cache: Path | None = None,
) -> dict[str, Any] | None:
    """Test weights on the whole test part, or on ``samples`` of it, for each T.

    Args:
        benchmark: Benchmark whose network is tested.
        source: File of weights, or ``shipped:NAME``; its metadata give the defaults of
            ``timesteps``, ``width`` and ``options``.
        machine: Hardware to run on.
        data: ``KIND=PATH``; embedded data by default, for weights that were trained on it.
        timesteps: One test for each T; that of the weights by default, else the card's.
        width: Factor on all channel numbers.
        options: Options of the card.
        batch_size: Samples per forward pass in each process.
        samples: How many samples to test, evenly spread; all by default.
        cache: Folder in which framed events are kept.

    Returns:
        Accuracy for each T, and facts about weights, data and machine, as JSON values. ``None`` in
        processes that write nothing, which are all but the first.

    Raises:
        UsageError: A value is out of range, or contradicts the metadata of the weights.
    """
    choice = choose(benchmark, source, width=width, options=options)
    state = weight_files.load_state(shipped.locate(benchmark, source))
    twin = bool(choice.stated.twin)
    steps = tuple(timesteps or (choice.timesteps,))
    counts = {"timesteps": min(steps), "batch-size": batch_size, "samples": samples}
    for option, value in counts.items():
        check_range(option, 1 if value is None else value)
    sets = {T: _test_set(benchmark, data, T, cache, choice.stated) for T in steps}
    fabric = launch(machine)
    results = []
    for T, test in sets.items():
        model = networks.build(
            benchmark,
            timesteps=T,
            width=choice.width,
            options=choice.options,
            twin=twin,
            channels_last=True,
        )
        weight_files.apply_state(model, state, source=f"weights {source}")
        model.to(fabric.device).eval()
        check_outputs(model, benchmark, test, twin=twin)
        scores = evaluate(
            model,
            test,
            fabric,
            batch_size=batch_size,
            threads=_FETCHING_THREADS,
            twin=twin,
            samples=samples,
        )
        results.append(_row(T, scores))
    facts = _facts(benchmark, choice, source, sets[steps[0]], fabric)
    facts |= {"weights_sha256": weight_files.state_sha256(state), "results": results}
    return facts if fabric.is_global_zero else None


def _test_set(
    benchmark: Benchmark, data: str | None, T: int, cache: Path | None, stated: Facts
) -> DataSet:
    test = open_labelled(benchmark, data, "test", T, cache)
    if data is None and stated.data not in (None, test.info.name):
        msg = (
            f"the weights were trained on {stated.data}, not on the embedded {test.info.name}; "
            "name a labelled data set with --data"
        )
        raise UsageError(msg)
    return test


def _row(T: int, scores: Scores) -> dict[str, Any]:
    return {
        "timesteps": T,
        "samples": scores.samples,
        "correct": scores.correct,
        "top1": scores.accuracy,
        "interval_95": scores.interval,
        "top5": None if scores.correct_top5 is None else scores.correct_top5 / scores.samples,
        "firing_rate": scores.firing_rate,
    }


def _facts(
    benchmark: Benchmark, choice: Choice, source: str, test: DataSet, fabric: Fabric
) -> dict[str, Any]:
    environment = capture(torch.get_num_threads(), str(fabric.device))
    return {
        "benchmark": benchmark.card.name,
        "benchmark_version": benchmark.version,
        "weights": source,
        "width": choice.width,
        **choice.options,
        "twin": bool(choice.stated.twin),
        "data": test.info.name,
        "data_description": test.info.description,
        "data_sha256": test.info.sha256,
        "processes": fabric.world_size,
        "environment": asdict(environment),
    }
