"""From a data set to batches: who gets which samples, and fetching them ahead in threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from time import perf_counter
from types import TracebackType
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
    """One process's batches of an epoch, the same on every machine.

    The samples are cut into batches of ``world * batch_size``, of which each rank takes its
    contiguous part: together, in order of rank, step k of all ranks is batch k of one process.
    To go on in the middle of an epoch, skip the first batches.

    Args:
        samples: Samples of the set.
        batch_size: Samples in a batch of one process.
        seed: Decides order and views, in 0..2**32 - 1.
        epoch: Each has an order and views of its own.
        rank: This process's number, from 0.
        world: Processes.
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
    found: list[Request] = []
    for start in range(0, samples - together + 1 if drop_last else samples, together):
        share = -(-min(together, samples - start) // world)
        first = start + rank * share
        here = slice(first, min(first + share, samples))
        if here.start < here.stop:
            found.append((order[here].tolist(), None if views is None else views[here]))
    return found


def _drawn(samples: int, seed: int, epoch: int) -> tuple[npt.NDArray[np.int64], Tensor]:
    """Order [samples] and views [samples, 3] of an epoch; two streams of random numbers."""
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
    """Batches in order, fetched ahead by threads; ``feed`` makes it.

    The first batch asked for starts the threads; leaving the loop or the ``with`` block, in
    whatever way, stops them: what is being fetched is finished and thrown away, what waits is never
    begun. An error in fetching is raised when its batch's turn comes, so what came before it is not
    lost. It can be gone through once.
    """

    def __init__(
        self, data: DataSet, requests: Iterable[Request], *, threads: int, ahead: int
    ) -> None:
        self._threads = threads
        self._times = _Times()
        # the generator knows no Feed: who drops the one at once closes the other
        self._stream = _stream(data, requests, threads, ahead, self._times)

    @property
    def wait_s(self) -> float:
        """How long the consumer has waited for batches, the first included."""
        return self._times.wait_s

    @property
    def samples_per_s(self) -> float | None:
        """What the threads deliver while they are fetching; ``None`` before the first batch."""
        times = self._times
        return self._threads * times.samples / times.busy_s if times.busy_s else None

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self._stream

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
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


def feed(data: DataSet, requests: Iterable[Request], *, threads: int = 1, ahead: int = 2) -> Feed:
    """Fetch batches ahead of who consumes them.

    Args:
        data: The set.
        requests: What to fetch, e.g. of ``batches``; read by the consumer's thread, as needed.
        threads: How many batches are fetched at the same time.
        ahead: How many more are kept ready.

    Returns:
        An iterable over values and labels of each batch that knows how long it was waited for.

    Raises:
        UsageError: Fewer than one thread or a negative ``ahead``.
    """
    if threads < 1 or ahead < 0:
        msg = f"a feed needs at least 1 thread and 0 batches ahead, not {threads} and {ahead}"
        raise UsageError(msg)
    return Feed(data, requests, threads=threads, ahead=ahead)
