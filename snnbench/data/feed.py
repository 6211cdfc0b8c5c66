"""Batches of a data set: which samples each process gets, and fetching ahead in threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from time import perf_counter
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from snnbench.core.errors import UsageError
from snnbench.data.dataset import DataSet
from snnbench.data.folders import generator

Request = tuple[Sequence[int], Tensor | None]
"""Indices and views of one batch, as ``DataSet.batch`` takes them."""

_FRACTIONS = 2**24
"""Multiples of its inverse are exact in float32, so none rounds up to 1."""


def batches(
    samples: int,
    batch_size: int,
    *,
    seed: int = 0,
    epoch: int = 0,
    rank: int = 0,
    world: int = 1,
    shuffle: bool = True,
    drop_last: bool = True,
) -> list[Request]:
    """List one process's batches of an epoch, the same on every machine.

    The samples are cut into batches of ``world * batch_size``, of which each rank takes its
    contiguous part: together, in order of rank, step k of all ranks is batch k of one process.
    To go on in the middle of an epoch, skip the first batches.

    Args:
        samples: Number of samples in the set.
        batch_size: Samples in a batch of one process.
        seed: Decides order and views, in 0..2**32 - 1.
        epoch: Number of the epoch; each has an order and views of its own.
        rank: This process's number, from 0.
        world: Number of processes.
        shuffle: For training: random order, and views that depend on seed, epoch and position
            alone. Otherwise the set's own order and plain views.
        drop_last: Whether to leave out samples that do not fill a last batch. If not, the ranks'
            last batches may differ in size, and some may have none.

    Returns:
        Indices and views of each batch.

    Raises:
        UsageError: A size, rank or seed out of range, or not one whole batch with ``drop_last``.
    """
    if min(samples, batch_size, world) < 1 or epoch < 0 or not 0 <= rank < world:
        msg = (
            f"samples, batch size and processes must be at least 1, the epoch at least 0 and the "
            f"rank one of the processes, not {samples}, {batch_size}, {world}, {epoch} and {rank}"
        )
        raise UsageError(msg)
    together = batch_size * world
    if drop_last and samples < together:
        msg = (
            f"a batch of {together:,} samples ({batch_size:,} in each of {world:,} processes) is "
            f"more than the set's {samples:,}; choose a smaller batch size"
        )
        raise UsageError(msg)
    order, views = _drawn(samples, seed, epoch) if shuffle else (np.arange(samples), None)
    requests: list[Request] = []
    for start in range(0, samples - together + 1 if drop_last else samples, together):
        share = -(-min(together, samples - start) // world)
        first = start + rank * share
        here = slice(first, min(first + share, samples))
        if here.start < here.stop:
            requests.append((order[here].tolist(), None if views is None else views[here]))
    return requests


def _drawn(samples: int, seed: int, epoch: int) -> tuple[npt.NDArray[np.int64], Tensor]:
    """Draw order [samples] and views [samples, 3] of an epoch from two streams of numbers."""
    if not 0 <= seed < 2**32:
        msg = f"the seed must be within 0 and 2**32 - 1, not {seed}"
        raise UsageError(msg)
    order = generator(seed, stream=2 * epoch).permutation(samples)
    fractions = generator(seed, stream=2 * epoch + 1).randint(_FRACTIONS, size=(samples, 3))
    return order, torch.from_numpy(fractions).to(torch.float32) / _FRACTIONS


@dataclass(slots=True, kw_only=True)
class _Times:
    wait_s: float = 0.0
    busy_s: float = 0.0
    samples: int = 0


class Feed:
    """Batches in order, fetched ahead by threads: values and labels, to be iterated over once.

    The first batch asked for starts the threads; leaving the loop or the ``with`` block, in
    whatever way, stops them: batches being fetched are finished and dropped, the others are never
    begun. An error in fetching is raised when its batch's turn comes, so that earlier batches are
    not lost.

    Args:
        data: Labelled data set.
        requests: Batches to fetch, e.g. from ``batches``; read in the consumer's thread, as needed.
        threads: Number of batches fetched at the same time.
        ahead: Number of further batches kept ready.

    Raises:
        UsageError: Fewer than one thread or a negative ``ahead``.
    """

    def __init__(
        self, data: DataSet, requests: Iterable[Request], *, threads: int = 1, ahead: int = 2
    ) -> None:
        if threads < 1 or ahead < 0:
            msg = f"a feed needs at least 1 thread and 0 batches ahead, not {threads} and {ahead}"
            raise UsageError(msg)
        self._threads = threads
        self._times = _Times()
        # the generator holds no reference to this feed, so dropping the feed closes it at once
        self._stream = _stream(data, requests, threads, ahead, self._times)

    @property
    def wait_s(self) -> float:
        """Time that the consumer has waited for batches, the first included."""
        return self._times.wait_s

    @property
    def samples_per_s(self) -> float | None:
        """Rate at which the threads fetch; ``None`` before the first batch."""
        times = self._times
        return self._threads * times.samples / times.busy_s if times.busy_s else None

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self._stream

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()


def _stream(
    data: DataSet, requests: Iterable[Request], threads: int, ahead: int, times: _Times
) -> Generator[tuple[Tensor, Tensor]]:
    def fetch(request: Request) -> tuple[Tensor, Tensor, float]:
        start = perf_counter()
        values, labels = data.batch(*request)
        return values, labels, perf_counter() - start

    remaining = iter(requests)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="snnbench-feed")
    try:
        waiting = deque(
            pool.submit(fetch, request) for request in islice(remaining, threads + ahead)
        )
        while waiting:
            start = perf_counter()
            values, labels, busy_s = waiting.popleft().result()
            times.wait_s += perf_counter() - start
            times.busy_s += busy_s
            times.samples += len(labels)
            waiting.extend(pool.submit(fetch, request) for request in islice(remaining, 1))
            yield values, labels
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
