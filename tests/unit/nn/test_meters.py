import pytest
import torch
from torch import Tensor, nn

from snnbench.core.errors import StructureError
from snnbench.nn.meters import (
    Tally,
    evaluating,
    firing_rate,
    hooked,
    measure_firing,
    measure_inputs,
    record_spikes,
    tick,
    ticks,
)
from snnbench.nn.neuron import LIF, Neuron

X = torch.tensor([2.0, 0.0, 0.0, 2.0]).view(2, 1, 2)  # T = 2, N = 1


def hooks(network: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in network.modules())


def test_a_hook_sees_calls_by_name_and_goes_when_the_block_ends():
    network = nn.Sequential(nn.ReLU(), nn.Flatten())
    seen: list[str] = []
    with hooked(network.named_children(), lambda name, *_: seen.append(name)):
        network(X)
    network(X)
    assert seen == ["0", "1"]
    with pytest.raises(ZeroDivisionError), hooked(network.named_children(), lambda *_: 1 // 0):
        network(X)
    assert hooks(network) == 0


def test_hooks_go_if_not_all_of_them_could_be_added():
    network = nn.Sequential(nn.ReLU(), nn.ReLU())
    parts = [("0", network[0]), ("1", None)]
    with pytest.raises(AttributeError), hooked(parts, lambda *_: None):
        pass
    assert hooks(network) == 0


def test_every_module_gets_its_own_mode_back():
    network = nn.Sequential(nn.ReLU().eval(), nn.Sequential(nn.ReLU()))
    with evaluating(network):
        assert not any(module.training for module in network.modules())
    assert [module.training for module in network.modules()] == [True, False, True, True]


def test_a_tally_counts_what_is_not_zero():
    tally = Tally()
    assert (tally.nonzero, tally.total, tally.share) == (0, 0, None)
    tally.add(X)
    tally.add(torch.zeros(4))
    assert (tally.nonzero, tally.total, tally.share) == (2, 8, 0.25)


def test_the_firing_rate_is_spikes_per_neuron_and_timestep():
    network = nn.Sequential(LIF(), nn.Flatten(2), LIF())
    with measure_firing(network) as firing:
        network(X)
    assert (firing.nonzero, firing.total) == (2, 8)  # spikes of 1 do not cross the threshold of 1
    network(X)
    assert firing.total == 8
    assert firing_rate(network, X) == 0.25
    assert firing_rate(nn.Sequential(nn.ReLU()), X) is None
    assert network.training


def test_spikes_are_recorded_call_by_call_and_replaced_where_asked():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.neurons, self.last = LIF(), nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.neurons(3 * self.neurons(x)))

    network = Twice()
    with record_spikes(network) as fired:
        network(X)
    assert list(fired) == ["neurons", "neurons#2"]
    for mask in fired.values():
        assert mask.dtype == torch.bool
        assert torch.equal(mask, X > 0)
    with record_spikes(network, {"neurons": torch.ones_like(X)}) as fired:
        output = network(X)
    assert torch.equal(fired["neurons"], X > 0), "what the neurons themselves did"
    assert fired["neurons#2"].all()
    assert torch.equal(output, torch.ones_like(X))
    with record_spikes(network, {"neurons#2": torch.zeros_like(X)}):
        assert not network(X).any()


def test_neurons_that_return_more_than_spikes_are_refused():
    class Talkative(LIF):
        def forward(self, x: Tensor) -> tuple[Tensor, None]:
            return super().forward(x), None

    network = nn.Sequential(Talkative())
    for watched in (record_spikes, measure_firing):
        with pytest.raises(StructureError, match="'0' returns a tuple"), watched(network):
            network(X)


def test_neurons_of_neurons_fire_once():
    class Twofold(Neuron):
        def __init__(self) -> None:
            super().__init__()
            self.inner = LIF()

        def forward(self, x: Tensor) -> Tensor:
            spikes: Tensor = self.inner(x)
            return spikes

    network = nn.Sequential(Twofold())
    with record_spikes(network) as fired, measure_firing(network) as firing:
        network(X)
    assert list(fired) == ["0"]
    assert firing.total == X.numel()


def test_inputs_are_measured_over_all_calls():
    network = nn.Sequential(nn.Flatten(), nn.ReLU())
    with measure_inputs(network, ["1", "no such layer"]) as inputs:
        network(X)
        network(torch.zeros(2, 1, 2))
    assert (inputs["1"].share, inputs["no such layer"].share) == (0.25, None)


def test_every_layer_with_weights_ticks():
    one, other = nn.Sequential(nn.Linear(2, 2), nn.ReLU()), nn.Linear(2, 2)
    shown: list[int] = []
    with tick(shown.append, one, other):
        other(one(X))
    one(X)
    assert shown == [1, 2]
    assert ticks(one, other) == 2
