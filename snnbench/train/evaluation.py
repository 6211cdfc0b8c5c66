"""Accuracy and firing rate of a network on a whole data set, in one process or several."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from snnbench.core.statistics import wilson
from snnbench.data.dataset import DataSet
from snnbench.data.feed import Feed
from snnbench.nn.meters import evaluating, measure_firing
from snnbench.train.batches import network_input

_TOP = 5
_MANY_CLASSES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Result of testing a network.

    Attributes:
        samples: Number of samples tested.
        correct: Samples whose class has the largest output.
        correct_top5: Samples whose class is among the five largest; ``None`` up to ten classes.
        firing_rate: Spikes per neuron and timestep, of all neurons; ``None`` for an ANN.
    """

    samples: int
    correct: int
    correct_top5: int | None
    firing_rate: float | None

    @property
    def accuracy(self) -> float:
        """Share of correct answers."""
        return self.correct / self.samples

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of the accuracy (Wilson)."""
        return wilson(self.correct, self.samples)


def spread(samples: int, limit: int | None) -> list[int]:
    """Indices of ``limit`` samples (all by default), evenly spread, so that classes stay mixed."""
    if limit is None or limit >= samples:
        return list(range(samples))
    return [i * samples // limit for i in range(limit)]


@torch.inference_mode()
def evaluate(
    network: nn.Module,
    data: DataSet,
    fabric: Fabric,
    *,
    batch_size: int,
    threads: int,
    twin: bool = False,
    samples: int | None = None,
    show: Callable[[int, int], None] = lambda _done, _total: None,
) -> Scores:
    """Test a network without augmentation, in the type of its weights.

    The processes share the batches between them, and their counts are added up exactly.

    Args:
        network: On the device of ``fabric``, not wrapped; keeps its mode.
        data: Labelled samples.
        fabric: Device and processes.
        batch_size: Samples per forward pass in each process.
        threads: Threads that fetch samples.
        twin: Whether the network is an ANN twin.
        samples: How many samples to test, evenly spread; ``None`` tests all.
        show: Called after each batch with the number of samples done, and of all.

    Raises:
        DataError: A sample cannot be read.
    """
    dtype = next(network.parameters()).dtype
    sums = torch.zeros(5, dtype=torch.int64, device=fabric.device)
    indices, done = spread(len(data), samples), 0
    starts = range(fabric.global_rank * batch_size, len(indices), fabric.world_size * batch_size)
    batches = [indices[first : first + batch_size] for first in starts]
    with evaluating(network), measure_firing(network) as firing:
        for values, labels in Feed(data, [(batch, None) for batch in batches], threads=threads):
            inputs = network_input(values, data, fabric.device, twin=twin).to(dtype)
            sums[:3] += _count(network(inputs), labels.to(fabric.device))
            done += len(labels) * fabric.world_size  # as if the others were as far
            show(min(done, len(indices)), len(indices))
    sums[3], sums[4] = firing.nonzero, firing.total
    if fabric.world_size > 1:
        sums = cast("Tensor", fabric.all_reduce(sums, reduce_op="sum"))
    tested, correct, top5, spikes, sites = sums.tolist()
    return Scores(
        samples=tested,
        correct=correct,
        correct_top5=top5 if data.classes > _MANY_CLASSES else None,
        firing_rate=spikes / sites if sites else None,
    )


def _count(logits: Tensor, labels: Tensor) -> Tensor:
    best = logits.topk(min(_TOP, logits.shape[1])).indices == labels[:, None]
    # of equal outputs topk may put any first; argmax decides for the first, as everywhere
    first = (logits.argmax(1) == labels).sum()
    return torch.stack([torch.tensor(len(labels), device=labels.device), first, best.sum()])
