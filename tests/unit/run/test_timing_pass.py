import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numba
import numpy as np
import pytest
import torch
from torch import nn

from snnbench.engine.kernels import ceiling
from snnbench.engine.kernels.ceiling import measure_adds_per_s
from snnbench.nn.layout import IMAGES
from snnbench.results.run import Timing
from snnbench.run import timing_pass
from snnbench.run.config import configure
from snnbench.run.timing_pass import time_networks
from snnbench.zoo import registry


class Notes:
    def __init__(self) -> None:
        self.notes: list[str] = []

    @contextmanager
    def stage(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        yield lambda done: None

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """(batch, runs) of each measurement; a call takes 100 ms a sample."""
    calls: list[tuple[int, int]] = []

    def measure(networks, inputs, *, runs, batch_size, threads, device, note, **_):
        calls.append((batch_size, runs))
        if device != "cpu":
            note(f"on {device}")
        assert {len(x) for x in inputs.values()} == {batch_size}
        return tuple(
            Timing(
                name=name,
                device=device,
                batch_size=batch_size,
                number_per_run=1,
                raw_seconds=(0.1 * batch_size,) * runs,
                warmup_seconds=(),
                threads=threads,
            )
            for name in networks
        )

    monkeypatch.setattr(timing_pass, "measure", measure)
    return calls


def timed(networks: int, batches: tuple[int, ...] | None) -> tuple[list[str], tuple[Timing, ...]]:
    config = configure(registry.get("resnet19"), latency_batches=batches)
    notes = Notes()
    made = {name: nn.Identity() for name in ("snn-event", "ann-twin", "other")[:networks]}
    timings = time_networks(made, torch.zeros(2, 3, 8, 8), IMAGES, config, notes, round_s=1.0)
    return notes.notes, timings


def test_a_large_batch_is_timed_where_it_is_affordable(asked: list[tuple[int, int]]):
    notes, timings = timed(1, None)
    assert [batch for batch, _ in asked] == [1, 32]
    assert asked[1][1] == 5
    assert notes == []
    assert [timing.batch_size for timing in timings] == [1, 32]


def test_a_large_batch_that_takes_long_is_left_out_and_said_so(asked: list[tuple[int, int]]):
    notes, _ = timed(3, None)
    assert [batch for batch, _ in asked] == [1]
    (note,) = notes
    assert "batches of 32 left out: it would take about 1.0 minutes" in note
    assert "--latency-batches 1,32" in note


def test_a_batch_that_was_asked_for_is_timed_whatever_it_takes(asked: list[tuple[int, int]]):
    notes, _ = timed(3, (4, 1, 32, 32))
    assert [batch for batch, _ in asked] == [1, 4, 32]
    assert notes == []


def test_the_ceiling_is_that_of_vector_additions():
    assert measure_adds_per_s() > 0
    numbers = np.ones(6144 + 9 * 16, np.float32)
    assert ceiling._sums(numbers, 3) == 3 * 6144  # none left out by the compiler
    anew = numba.njit(fastmath=ceiling._sums.targetoptions["fastmath"])(ceiling._sums.py_func)
    anew(numbers, 3)  # the code of a build that was kept on disk cannot be read
    (code,) = anew.inspect_asm().values()
    assert re.search(r"\bv?addps\b|\bfadd\s+v", code)
