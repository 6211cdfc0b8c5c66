"""How calls and shapes become timesteps and samples."""

from __future__ import annotations

import numpy as np
import pytest

from snnbench.count.clock import CallAxes, LayerCalls, Layout, Mode, axes_of_call
from snnbench.count.masks import Counts


def neuron(calls: int, *shape: int) -> LayerCalls:
    return LayerCalls(calls, shape, is_neuron=True)


def synapse(calls: int, *shape: int) -> LayerCalls:
    return LayerCalls(calls, shape, is_neuron=False)


@pytest.mark.parametrize(
    ("layers", "shape", "timesteps", "layout", "expected"),
    [
        # one call of everything, [N, ...], T unknown or declared: one timestep
        ([synapse(1, 3), neuron(1, 3, 8)], (3, 8), None, "auto", (Mode.STEP, None, 3)),
        ([synapse(1, 3), neuron(1, 3, 8)], (3, 8), 4, "auto", (Mode.STEP, 4, 3)),
        # neurons called four times: a loop over T, even undeclared; the input is static or [T, N]
        ([synapse(4, 3), neuron(4, 3, 8)], (3, 8), None, "auto", (Mode.LOOP, 4, 3)),
        ([synapse(4, 3), neuron(4, 3, 8)], (4, 3, 8), None, "auto", (Mode.LOOP, 4, 3)),
        # one shared neuron among several makes no loop
        ([neuron(2, 3, 8), neuron(1, 3, 8)], (3, 8), None, "auto", (Mode.STEP, None, 3)),
        # all timesteps at once: [T, N, ...] and [T*N, ...]
        ([synapse(1, 12), neuron(1, 4, 3, 8)], (4, 3, 8), 4, "auto", (Mode.MULTI, 4, 3)),
        ([synapse(1, 12), neuron(1, 12, 8)], (4, 3, 8), 4, "auto", (Mode.MULTI, 4, 3)),
        ([neuron(1, 12, 8)], (12, 8), 4, "TN", (Mode.MULTI, 4, 3)),
        ([neuron(1, 4, 3, 8)], (4, 3, 8), None, "TN", (Mode.MULTI, 4, 3)),
        ([neuron(1, 3, 4, 8)], (3, 4, 8), None, "NT", (Mode.MULTI, 4, 3)),
        # no timesteps at all
        ([synapse(1, 0)], (0, 3, 8), None, "TN", (Mode.MULTI, 0, 3)),
        # declared step by step, T = 1, no tensor argument
        ([neuron(1, 4, 3, 8)], (4, 3, 8), 4, "step", (Mode.STEP, 4, 4)),
        ([neuron(1, 3, 8)], (3, 8), 1, "auto", (Mode.STEP, 1, 3)),
        ([neuron(1, 3, 8)], None, None, "auto", (Mode.STEP, None, None)),
        ([], (3, 8), None, "auto", (Mode.STEP, None, 3)),
    ],
)
def test_axes_of_call(
    layers: list[LayerCalls],
    shape: tuple[int, ...] | None,
    timesteps: int | None,
    layout: Layout,
    expected: tuple[Mode, int | None, int | None],
) -> None:
    axes = axes_of_call(layers, shape, timesteps, layout)
    assert (axes.mode, axes.timesteps, axes.samples) == expected
    assert not axes.ambiguous


def test_a_guess_with_equal_batch_and_timesteps_says_so() -> None:
    layers = [neuron(1, 4, 4, 8)]
    assert axes_of_call(layers, (4, 4, 8), 4, "auto").ambiguous
    assert not axes_of_call(layers, (4, 4, 8), 4, "TN").ambiguous


def test_a_declared_batch_size_wins() -> None:
    assert axes_of_call([neuron(1, 3, 8)], (6, 8), None, "auto", batch_size=3).samples == 3


def counts(*values: int) -> Counts:
    return np.array(values, dtype=np.int64)


class TestSplit:
    def test_multi_step_time_first_and_batch_first(self) -> None:
        vector = counts(1, 2, 3, 4, 5, 6)  # T = 2, N = 3
        first = CallAxes(mode=Mode.MULTI, timesteps=2, samples=3).split([vector])
        assert first is not None
        assert first.tolist() == [[1, 2, 3], [4, 5, 6]]
        last = CallAxes(mode=Mode.MULTI, timesteps=2, samples=3, batch_first=True).split([vector])
        assert last is not None
        assert last.tolist() == [[1, 3, 5], [2, 4, 6]]

    def test_several_rows_of_a_sample_are_added(self) -> None:
        """[N * R]: a linear layer over R rows of each of N samples."""
        axes = CallAxes(mode=Mode.STEP, timesteps=None, samples=2)
        matrix = axes.split([counts(1, 2, 3, 4)])
        assert matrix is not None
        assert matrix.tolist() == [[3, 7]]

    def test_a_loop_groups_the_calls_of_one_timestep(self) -> None:
        axes = CallAxes(mode=Mode.LOOP, timesteps=2, samples=1)
        matrix = axes.split([counts(1), counts(2), counts(3), counts(4)])  # twice a timestep
        assert matrix is not None
        assert matrix.tolist() == [[3], [7]]

    @pytest.mark.parametrize("samples", [None, 0, 3])
    def test_what_does_not_fit_is_unknown(self, samples: int | None) -> None:
        axes = CallAxes(mode=Mode.STEP, timesteps=None, samples=samples)
        assert axes.split([counts(1, 2)]) is None
