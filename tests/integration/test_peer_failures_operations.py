"""Operations that other counters miss: attention, recurrence, functional calls, later calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from support.counting import count, rows_of
from support.toynets import LIF, Multistep
from torch import Tensor, nn
from torch.nn import functional

import snnbench
from snnbench.results.counts import OpCount


class Attention(nn.Module):
    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return functional.scaled_dot_product_attention(q, k, v)


@pytest.mark.parametrize("context", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_sdpa_is_counted(context: Callable[[], Any]) -> None:
    q, k, v = torch.randn(3, 2, 4, 8, 16)
    model = Attention()
    with context(), snnbench.profile(model, strict=True) as p:
        model(q, k, v)
    # q k^T: 2 * 4 heads * 8 * 8 * 16; times v: the same
    assert p.result.dense == OpCount(macs=2 * (2 * 4 * 8 * 8 * 16))
    assert p.result.effective == p.result.dense
    # the same names whichever kernel torch picks, so that two results can be compared
    assert list(rows_of(p.result)) == ["(model)::matmul", "(model)::matmul#2"]


def test_sdpa_on_spikes_counts_pairs_of_spikes() -> None:
    q, k = torch.zeros(1, 1, 2, 3), torch.zeros(1, 1, 2, 3)
    q[0, 0, 0, 0] = q[0, 0, 1, 0] = q[0, 0, 1, 2] = k[0, 0, 1, 0] = k[0, 0, 0, 1] = 1
    v = torch.eye(2)[None, None]
    profile = count(Attention(), q, k, v)
    scores, weighted = profile.layers
    # column 0: two queries and one key spike there, column 1: none and one, column 2: one and none
    assert scores.effective == OpCount(acs=2)
    assert scores.dense == OpCount(acs=2 * 2 * 3)
    # softmax is never 0: each of 2 rows x 2 keys meets one spike in v: accumulates, v being spikes
    assert weighted.effective == OpCount(acs=4)
    assert weighted.dense == OpCount(acs=2 * 2 * 2)


def test_multihead_attention_is_counted() -> None:
    """An input of ones makes every element count; a counter that misses it sees 0."""
    model = nn.MultiheadAttention(8, 2, bias=False, batch_first=True)
    x = torch.rand(1, 5, 8) + 0.5
    profile = count(model, x, x, x)
    # in-projection 5*8*24, scores 2 heads * 5*5*4, weighted values the same, out-projection 5*8*8
    assert profile.dense.synops == 960 + 200 + 200 + 320


@pytest.mark.parametrize("context", [torch.enable_grad, torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize(
    ("layer", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)], ids=["LSTM", "GRU", "RNN"]
)
def test_recurrent_layers_are_counted(
    layer: Callable[[int, int], nn.Module], gates: int, context: Callable[[], Any]
) -> None:
    torch.manual_seed(0)
    model = layer(6, 5)
    x = torch.bernoulli(torch.full((4, 3, 6), 0.5))
    with context(), snnbench.profile(model, strict=True) as p:
        hidden, _ = model(x)
    before = torch.cat([torch.zeros(1, 3, 5), hidden.detach()[:-1]])
    rows = rows_of(p.result)
    feed, recur = rows["(model)::weight_ih_l0"], rows["(model)::weight_hh_l0"]
    assert feed.dense == OpCount(acs=4 * 3 * 6 * gates * 5)
    assert feed.effective == OpCount(acs=int(x.count_nonzero()) * gates * 5)
    assert recur.dense == OpCount(macs=4 * 3 * 5 * gates * 5)
    assert recur.effective == OpCount(macs=int(before.count_nonzero()) * gates * 5)


def test_stacked_bidirectional_lstm_has_a_row_per_weight() -> None:
    """2 layers x 2 directions; layer 1 reads both directions of layer 0."""
    model = nn.LSTM(6, 5, num_layers=2, bidirectional=True)
    profile = count(model, torch.rand(4, 3, 6) + 0.5)
    dense = {layer.name.split("::")[1]: layer.dense.synops for layer in profile.layers}
    steps = 4 * 3 * 4 * 5  # L * N * gates * H
    expected = {}
    for layer, width in ((0, 6), (1, 10)):
        for direction in ("", "_reverse"):
            expected[f"weight_ih_l{layer}{direction}"] = steps * width
            expected[f"weight_hh_l{layer}{direction}"] = steps * 5
    assert dense == expected


def test_recurrent_cells_are_counted() -> None:
    model = nn.LSTMCell(6, 5)
    profile = count(model, torch.ones(3, 6), (torch.ones(3, 5), torch.zeros(3, 5)))
    assert profile.effective == OpCount(acs=3 * (6 + 5) * 4 * 5)


def test_transposed_convolution_is_counted() -> None:
    model = nn.ConvTranspose2d(2, 3, 2, stride=2, bias=False)
    # stride = kernel: every input reaches 2*2 outputs of each of 3 channels
    profile = count(model, torch.ones(1, 2, 4, 4))
    assert profile.effective == OpCount(acs=2 * 16 * 4 * 3)


class Functional(nn.Module):
    """The same arithmetic as conv - linear, without the modules."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.ones(4, 2, 3, 3))
        self.head = nn.Parameter(torch.ones(5, 4))

    def forward(self, x: Tensor) -> Tensor:
        y = functional.conv2d(x, self.kernel, padding=1).mean((2, 3))
        return functional.linear(torch.einsum("nc,oc->no", y, self.head), self.head.t())


def test_functional_calls_are_counted_and_named_by_their_parameter() -> None:
    profile = count(Functional(), torch.ones(1, 2, 9, 9))
    rows = rows_of(profile)
    assert rows["(model)::kernel"].effective == OpCount(acs=25 * 25 * 2 * 4)
    # einsum and linear share the parameter: 4*5 there, 5*4 back
    assert rows["(model)::head"].effective == OpCount(macs=20 + 20)


def test_adaptive_pool_is_counted() -> None:
    # 9 -> 2: windows [0, 5) and [4, 9): 10 taps an axis, overlapping
    profile = count(nn.AdaptiveAvgPool2d(2), torch.ones(1, 3, 9, 9))
    assert profile.side.pool_ops == 3 * 10 * 10


class Inhibition(nn.Module):
    """A neuron that multiplies by fixed lateral weights, from its second step on."""

    lateral: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("lateral", torch.ones(4, 4))
        self.spikes: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        v = x if self.spikes is None else x - self.spikes @ self.lateral
        self.spikes = (v > 0.5).float()
        return self.spikes


class InhibitedLoop(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.neuron = Inhibition()

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.neuron(x) for _ in range(3)])


def test_a_neuron_that_multiplies_only_later_is_counted() -> None:
    """4 spikes at t = 0 reach 4 neurons each at t = 1; none fires there, so t = 2 costs nothing."""
    profile = count(InhibitedLoop(), torch.ones(1, 4), neurons=(Inhibition,))
    assert profile.dense.synops == 2 * 4 * 4
    assert profile.effective == OpCount(acs=16)


def test_masks_follow_a_tensor_changed_in_place() -> None:
    class Muted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lif = LIF()
            self.fc = nn.Linear(4, 3, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            spikes = self.lif(x)
            spikes[:, :2] = 0
            y: Tensor = self.fc(spikes)
            return y

    profile = count(Muted(), torch.ones(1, 4))
    assert rows_of(profile)["lif"].output_spikes == 4
    assert rows_of(profile)["fc"].effective == OpCount(acs=2 * 3)


def test_layers_that_share_a_weight_keep_their_rows() -> None:
    first, second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
    second.weight = first.weight
    nn.init.ones_(first.weight)
    profile = count(nn.Sequential(first, second), torch.ones(1, 4))
    assert {name: row.effective.synops for name, row in rows_of(profile).items()} == {
        "0": 16,
        "1": 16,
    }
    assert profile.uncalled == ()


def test_a_sum_of_single_elements_is_an_addition() -> None:
    class Add(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + x.relu()

    assert count(Add(), torch.ones(1, 1)).side.residual_adds == 1


@pytest.mark.parametrize("batch_first", [False, True])
def test_flattened_time_is_split_by_the_declared_layout(batch_first: bool) -> None:
    """[T*N, ...] and [N*T, ...]: T = 2, N = 3; sample n spikes n times at t = 0 only."""
    x = torch.zeros(2, 3, 4)
    for n in range(3):
        x[0, n, :n] = 1
    x = x.transpose(0, 1) if batch_first else x

    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lif = LIF()
            self.fc = nn.Linear(4, 5, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.fc(self.lif(x))
            return y

    layout = "NT" if batch_first else "TN"
    profile = count(Flat(), x.flatten(0, 1), timesteps=2, layout=layout)
    assert (profile.samples, profile.timesteps) == (3, 2)
    (neuron,) = profile.neurons
    assert neuron.spikes_per_timestep == (3, 0)
    assert neuron.spikes_per_sample == (0, 1, 2)
    assert rows_of(profile)["fc"].effective_per_sample == (0, 5, 10)


def test_a_linear_over_rows_does_not_vote_on_the_batch() -> None:
    """[T*N, R, K] with T = 4, N = 1, R = 2: the product sees 8 rows, the neuron one sample."""
    model = Multistep([nn.Linear(3, 1), LIF(time_axis=0)], lead=(4, 1))
    profile = count(model, torch.ones(4, 2, 3), timesteps=4, layout="TN")
    assert (profile.samples, profile.timesteps) == (1, 4)
    assert rows_of(profile)["layers.0"].effective_per_timestep == (6, 6, 6, 6)
