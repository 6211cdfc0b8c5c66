"""What other counters make of values: signs, heights, neurons' own arithmetic, side work."""

from __future__ import annotations

import torch
from support import reference
from support.counting import count, rows_of
from support.toynets import LIF
from torch import Tensor, nn

import snnbench
from snnbench.results.counts import DENSE, OpCount


def test_ternary_spikes_are_accumulates() -> None:
    """One -1 among 18 inputs of a linear layer: 5 accumulates; others say 90 MACs."""
    x = torch.zeros(1, 18)
    x[0, 3] = -1.0
    one = count(nn.Linear(18, 5), x)
    assert one.effective == OpCount(acs=5)
    x[0, 7] = 1.0
    both = count(nn.Linear(18, 5), x)
    assert both.effective == OpCount(acs=10)
    assert rows_of(both)["(model)"].input_alphabet == reference.alphabet([x])


def test_signed_values_do_not_cancel() -> None:
    """Two +1 and two -1 are four events; a signed sum says none."""
    x = torch.tensor([[1.0, -1.0, 1.0, -1.0, 0.0]])
    assert count(nn.Linear(5, 3), x).effective == OpCount(acs=4 * 3)
    image = torch.tensor([[0.5, -0.25, -2.0]])
    assert count(nn.Linear(3, 3), image).effective == OpCount(macs=9)


def test_graded_two_valued_input_counts_events_not_values() -> None:
    """Four spikes of height 0.25 into 5 outputs: 20 accumulates, not sum(x) * 5 = 5."""
    x = torch.tensor([[0.25, 0.0, 0.25, 0.25, 0.25]])
    assert count(nn.Linear(5, 5), x).effective == OpCount(acs=20)


def test_scaling_spikes_does_not_turn_accumulates_into_macs() -> None:
    spikes = torch.tensor([[1.0, 0.0, 1.0]])
    for height in (1.0, 0.5, -3.0):
        assert count(nn.Linear(3, 2), spikes * height).effective == OpCount(acs=4)


def test_count_valued_inputs_are_macs_on_their_events() -> None:
    """{0, 1, 2} needs a multiplier; the zeros are still skipped."""
    profile = count(nn.Linear(4, 5), torch.tensor([[0.0, 1.0, 2.0, 1.0]]))
    assert profile.effective == OpCount(macs=15)
    assert profile.dense == OpCount(macs=20)


def test_weights_of_one_do_not_make_a_real_input_an_accumulate() -> None:
    model = nn.Linear(18, 5, bias=False)
    nn.init.ones_(model.weight)
    assert count(model, torch.arange(1.0, 19.0)[None]).effective == OpCount(macs=90)


def test_one_dense_batch_makes_the_whole_row_macs() -> None:
    """The kind is decided by the run, not by the call: all-zero and binary frames come first."""
    model = nn.Linear(4, 5)
    with torch.no_grad(), snnbench.profile(model) as p:
        model(torch.zeros(1, 4))
        model(torch.tensor([[0.0, 1.0, 1.0, 0.0]]))
        model(torch.tensor([[0.0, 0.5, 1.0, 0.0]]))
    (fc,) = p.result.layers
    assert fc.effective == OpCount(macs=4 * 5)
    assert fc.input_alphabet == DENSE


class VerboseLIF(LIF):
    """The same neuron in more operations, so a count by operation would rise."""

    def step(self, x: Tensor) -> Tensor:
        v = x * 1.0 if self.v is None else (self.v - self.v * 0.5) + x + torch.zeros_like(x)
        fired = torch.heaviside(v - 0.5, torch.zeros(()))
        self.v = v - fired * v
        return fired


def test_counts_do_not_depend_on_how_a_neuron_is_written() -> None:
    def net(neuron: nn.Module) -> nn.Module:
        return nn.Sequential(nn.Linear(4, 4), neuron, nn.Linear(4, 2))

    models = []
    for neuron in (LIF(), VerboseLIF()):
        torch.manual_seed(3)
        models.append(net(neuron))
    plain, verbose = (count(model, torch.ones(2, 4)) for model in models)
    assert plain.effective == verbose.effective
    assert plain.side == verbose.side
    assert plain.side.membrane_updates == 2 * 4
    assert plain.side.elementwise_muls == 0


def test_bias_norm_and_pool_are_not_synaptic_operations() -> None:
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.AvgPool2d(3), nn.Flatten()
    ).eval()
    profile = count(model, torch.ones(1, 2, 9, 9))
    assert profile.effective == OpCount(acs=25 * 25 * 2 * 4)
    assert profile.side.bias_adds == profile.side.norm_ops == profile.side.pool_ops == 4 * 81


def test_a_bias_is_added_once_per_output_not_once_per_call() -> None:
    assert count(nn.Linear(4, 5), torch.ones(3, 7, 4)).side.bias_adds == 3 * 7 * 5


def test_a_declared_ann_is_counted_in_macs_whatever_its_input() -> None:
    """An input of ones is no spike train: the twin's kind is declared, never inferred."""
    profile = count(nn.Linear(4, 5), torch.ones(1, 4), dense=True)
    assert profile.declared_dense
    assert profile.effective == OpCount(macs=20)
