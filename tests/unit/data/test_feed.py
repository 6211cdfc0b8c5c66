"""Batches over ranks and epochs, and the threads that fetch them."""

import signal
import threading
import time
from concurrent.futures import Future

import pytest
import torch
from hypothesis import given, strategies as st

from snnbench.core.errors import DataError, UsageError
from snnbench.data.feed import Feed, batches
from snnbench.results.run import DataInfo


class Numbers:
    """Sample i is the number i; ``fetch`` is called with each batch's indices first."""

    info = DataInfo(name="n", description="n", sha256="0", samples=1000, labelled=True)
    classes = 1000
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    peak = 1.0

    def __init__(self, fetch=lambda indices: None):
        self.fetch = fetch

    def __len__(self):
        return 1000

    def batch(self, indices, views):
        self.fetch(indices)
        return torch.tensor(indices), torch.tensor(indices)


def requests(count, size=2):
    return [([size * k + i for i in range(size)], None) for k in range(count)]


def feeding_threads():
    return [t for t in threading.enumerate() if t.name.startswith("snnbench-feed")]


def wait_until(condition):
    limit = time.monotonic() + 120  # of a busy machine; a wrong program uses it up
    while not condition() and time.monotonic() < limit:
        time.sleep(0.005)
    return condition()


sizes = st.tuples(st.integers(1, 60), st.integers(1, 7), st.integers(1, 5))


@given(sizes, st.integers(0, 2**32 - 1), st.integers(0, 50), st.booleans(), st.booleans())
def test_ranks_together_take_the_batches_of_one_process(numbers, seed, epoch, shuffle, drop_last):
    samples, size, world = numbers
    common = {"seed": seed, "epoch": epoch, "shuffle": shuffle, "drop_last": drop_last}
    if drop_last and samples < size * world:
        with pytest.raises(UsageError, match="is more than the set's"):
            batches(samples, size, world=world, **common)
        return
    single = batches(samples, size * world, **common)
    by_rank = [batches(samples, size, rank=rank, world=world, **common) for rank in range(world)]
    for step, (indices, views) in enumerate(single):
        parts = [own[step] for own in by_rank if step < len(own)]
        assert [i for part, _ in parts for i in part] == indices
        if shuffle:
            assert torch.equal(torch.cat([seen for _, seen in parts]), views)
        else:
            assert views is None
            assert all(seen is None for _, seen in parts)
    assert all(len(part) == size for own in by_rank for part, _ in own[: samples // (size * world)])
    seen = sorted(i for indices, _ in single for i in indices)
    kept = samples // (size * world) * size * world if drop_last else samples
    assert len(set(seen)) == len(seen) == kept
    assert set(seen) <= set(range(samples))


def test_views_are_fractions_and_epochs_and_seeds_differ():
    ((order, views),) = batches(5000, 5000, seed=3, epoch=1)
    assert views.dtype == torch.float32
    assert 0 <= views.min() < 0.01
    assert 0.99 < views.max() < 1
    assert abs(views.mean(0) - 0.5).max() < 0.02
    for seed, epoch in ((3, 2), (4, 1)):
        ((other, others),) = batches(5000, 5000, seed=seed, epoch=epoch)
        assert other != order
        assert not torch.equal(others, views)


def test_order_and_views_of_a_seed_are_fixed():
    """A checkpoint is continued by other versions and machines: these never change."""
    ((order, views),) = batches(6, 6, seed=1, epoch=2)
    assert order == [0, 4, 2, 1, 3, 5]
    assert (views[0] * 2**24).int().tolist() == [11398874, 12180578, 13110416]


def test_without_shuffling_the_sets_own_order():
    assert [part for part, _ in batches(5, 2, shuffle=False, drop_last=False)] == [
        [0, 1],
        [2, 3],
        [4],
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 0},
        {"samples": 0},
        {"world": 0},
        {"rank": 1},
        {"rank": -1},
        {"epoch": -1},
        {"seed": -1},
        {"seed": 2**32},
    ],
)
def test_batches_out_of_range(wrong):
    numbers = {"samples": 4, "batch_size": 2, **wrong}
    with pytest.raises(UsageError, match="must be"):
        batches(numbers.pop("samples"), numbers.pop("batch_size"), **numbers)


@pytest.mark.parametrize("threads", [1, 4])
def test_order_is_kept_whoever_is_faster(threads):
    slow_first = Numbers(lambda indices: time.sleep(0.02 if indices[0] % 8 == 0 else 0))
    found = [labels.tolist() for _, labels in Feed(slow_first, requests(20), threads=threads)]
    assert found == [indices for indices, _ in requests(20)]


def test_threads_fetch_at_the_same_time():
    together = threading.Barrier(3, timeout=120)
    met = Numbers(lambda indices: together.wait())
    assert len(list(Feed(met, requests(6), threads=3))) == 6


def test_no_more_is_fetched_than_asked_for_ahead():
    begun = []
    with Feed(Numbers(begun.append), requests(50), threads=2, ahead=3) as stream:
        next(iter(stream))
        # 2 + 3 at first, and one for the one delivered
        assert wait_until(lambda: len(begun) == 6)
        time.sleep(0.05)
        assert len(begun) == 6
    assert wait_until(lambda: not feeding_threads())


def test_an_error_comes_when_its_turn_comes_and_ends_the_threads():
    def fail(indices):
        if indices == [6, 7]:
            raise DataError("image x.png cannot be decoded")

    delivered = []
    with pytest.raises(DataError, match=r"x\.png"):  # noqa: PT012
        for _, labels in Feed(Numbers(fail), requests(30), threads=3):
            delivered.append(labels.tolist())
    assert delivered == [[0, 1], [2, 3], [4, 5]]
    assert wait_until(lambda: not feeding_threads())


def test_threads_end_with_the_loop():
    begun = []
    for _ in Feed(Numbers(begun.append), requests(500), threads=2):
        break
    assert wait_until(lambda: not feeding_threads())
    assert len(begun) <= 5


def test_an_interrupt_does_not_wait_for_a_slow_batch():
    hold, finished = threading.Event(), []
    main = threading.main_thread().ident

    def fetch(indices):
        if indices == [0, 1]:
            signal.pthread_kill(main, signal.SIGINT)
        hold.wait(120)
        finished.append(indices)

    try:
        with pytest.raises(KeyboardInterrupt):
            list(Feed(Numbers(fetch), requests(50), threads=2))
        assert not finished
    finally:
        hold.set()
    assert wait_until(lambda: not feeding_threads())


def test_waiting_is_measured(monkeypatch):
    clock = threading.local()  # of each thread, so that only what is said here takes time
    monkeypatch.setattr("snnbench.data.feed.perf_counter", lambda: vars(clock).get("now", 0.0))

    def seconds(duration):
        clock.now = vars(clock).get("now", 0.0) + duration

    stream = Feed(Numbers(lambda indices: seconds(0.5)), requests(4), threads=2)
    assert stream.samples_per_s is None
    results = Future.result

    def result(future, timeout=None):
        seconds(0.125)
        return results(future, timeout)

    monkeypatch.setattr(Future, "result", result)
    for _ in stream:
        seconds(10)  # the consumer's own work is no waiting
    assert stream.wait_s == 4 * 0.125
    assert stream.samples_per_s == 2 * 2 / 0.5


@pytest.mark.parametrize("wrong", [{"threads": 0}, {"ahead": -1}])
def test_feed_out_of_range(wrong):
    with pytest.raises(UsageError, match="at least 1 thread"):
        Feed(Numbers(), requests(1), **wrong)
