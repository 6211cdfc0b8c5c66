"""Accuracy and firing rate of a network on a whole data set, in one process or several."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    """What a test found.

    Attributes:
        samples: Tested.
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
    tick: Callable[[int], None] = lambda _: None,
) -> Scores:
    """Test a network without augmentation, in the type of its weights.

    The processes share the batches between them, and their counts are added up exactly.

    Args:
        network: On the device of ``fabric``, not wrapped; left in the mode it is in.
        data: Labelled samples.
        fabric: Device and processes.
        batch_size: Samples at once in each process.
        threads: Threads that fetch.
        twin: Whether it is an ANN twin.
        samples: Test so many only, evenly spread.
        tick: Told the samples this process has done.

    Raises:
        DataError: A sample cannot be read.
    """
    dtype = next(network.parameters()).dtype
    sums = torch.zeros(5, dtype=torch.int64, device=fabric.device)
    indices = spread(len(data), samples)
    batches = list(_share(indices, batch_size, fabric.global_rank, fabric.world_size))
    with evaluating(network), measure_firing(network) as firing:
        for values, labels in Feed(data, [(batch, None) for batch in batches], threads=threads):
            inputs = network_input(values, data, fabric.device, twin=twin).to(dtype)
            sums[:3] += _count(network(inputs), labels.to(fabric.device))
            tick(len(labels))
    sums[3], sums[4] = firing.nonzero, firing.total
    tested, correct, top5, spikes, sites = _added(sums, fabric).tolist()
    return Scores(
        samples=tested,
        correct=correct,
        correct_top5=top5 if data.classes > _MANY_CLASSES else None,
        firing_rate=spikes / sites if sites else None,
    )


def _share(indices: list[int], batch_size: int, rank: int, world: int) -> Iterator[list[int]]:
    for first in range(rank * batch_size, len(indices), world * batch_size):
        yield indices[first : first + batch_size]


def _count(logits: Tensor, labels: Tensor) -> Tensor:
    best = logits.topk(min(_TOP, logits.shape[1])).indices == labels[:, None]
    # of equal outputs topk may put any first; argmax decides for the first, as everywhere
    first = (logits.argmax(1) == labels).sum()
    return torch.stack([torch.tensor(len(labels), device=labels.device), first, best.sum()])


def _added(sums: Tensor, fabric: Fabric) -> Tensor:
    if fabric.world_size == 1:
        return sums
    return cast("Tensor", fabric.all_reduce(sums, reduce_op="sum"))
