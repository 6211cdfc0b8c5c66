import pytest
import torch
from support.neurons import SoftReset
from torch import Tensor, nn

from snnbench.core.errors import StructureError
from snnbench.nn.blocks import PerTimestep, SpikingBlock
from snnbench.nn.neuron import IF, LIF, Neuron, neurons_in
from snnbench.nn.norm import ThresholdDependentBatchNorm2d
from snnbench.nn.twin import ann_twin, check_twin
from snnbench.zoo import registry


def small(name: str = "resnet19", **options) -> nn.Module:
    torch.manual_seed(0)
    return registry.get(name).build(**{"width": 0.0625, "timesteps": 2} | options).eval()


def test_twin_has_the_parameters_but_no_spiking_layer():
    snn = small()
    with torch.no_grad():
        snn.stem.norm.weight.fill_(0.5)
        snn.stem.norm.running_mean.fill_(7.0)
    twin = ann_twin(snn)
    theirs = dict(twin.named_parameters())
    assert all(torch.equal(p, theirs[name]) for name, p in snn.named_parameters())
    assert theirs.keys() == dict(snn.named_parameters()).keys()
    assert not any(isinstance(m, LIF | ThresholdDependentBatchNorm2d) for m in twin.modules())
    assert sum(isinstance(m, nn.ReLU) for m in twin.modules()) == 18
    assert type(twin.stem.norm) is nn.BatchNorm2d
    assert twin.stem.norm.running_mean.abs().max() == 0
    assert not any(m.training for m in twin.modules())


def test_the_spiking_network_is_left_as_it_is():
    snn = small()
    before = repr(snn), {name: value.clone() for name, value in snn.state_dict().items()}
    twin = ann_twin(snn)
    with torch.no_grad():
        for p in twin.parameters():
            p.fill_(9.0)
    assert repr(snn) == before[0]
    assert all(torch.equal(value, before[1][name]) for name, value in snn.state_dict().items())
    assert (snn.timesteps, twin.timesteps) == (2, 1)


def test_twin_of_a_block_computes_what_an_ordinary_resnet_does():
    torch.manual_seed(0)
    block = SpikingBlock("basic", 4, 8, stride=2)
    twin = ann_twin(block).eval()
    x = torch.randn(1, 3, 4, 8, 8)
    frame = x[0]
    hidden = torch.relu(nn.Sequential(*twin.synapses[0])(frame))
    y = nn.Sequential(*twin.synapses[1])(hidden) + nn.Sequential(*twin.shortcut)(frame)
    torch.testing.assert_close(twin(x)[0], torch.relu(y))


def test_twin_runs_once_per_image():
    twin = ann_twin(small())
    calls = []
    twin.stem.conv.register_forward_hook(lambda m, args, output: calls.append(output.shape[0]))
    assert twin(torch.randn(3, 3, 32, 32)).shape == (3, 10)
    assert calls == [3]


def test_generic_trees_shared_and_root_neurons():
    shared = IF()
    twin = ann_twin(nn.Sequential(nn.Linear(2, 2), shared, PerTimestep(nn.Linear(2, 2)), shared))
    assert isinstance(twin[1], nn.ReLU)
    assert twin[1] is twin[3]
    assert isinstance(ann_twin(LIF()), nn.ReLU)


def test_a_network_without_our_neurons_has_no_twin():
    with pytest.raises(StructureError, match=r"Sequential has no neurons of snnbench.nn"):
        ann_twin(nn.Sequential(nn.Linear(2, 2)))


class Clipped(SoftReset):
    def twin(self) -> nn.Module:
        return nn.Hardtanh(0, 1)


def test_neurons_say_what_their_twin_has_instead():
    snn = nn.Sequential(PerTimestep(nn.Conv2d(3, 4, 3)), Clipped(4), LIF())
    twin = ann_twin(snn)
    assert [type(module) for module in twin] == [PerTimestep, nn.Hardtanh, nn.ReLU]
    # the decay is the neurons' own: their twin needs none
    assert [check.ok for check in check_twin(snn, twin)] == [True] * 3
    shapes, activations, left = check_twin(snn, nn.Sequential(twin[0], snn[1], twin[2]))
    assert (shapes.ok, activations.measured, left.measured) == (True, 1, 1)


class Delayed(Neuron):
    """Consists of other neurons, and of a module like the twin's."""

    threshold = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Sequential(nn.ReLU(), LIF()), LIF()

    def forward(self, x: Tensor) -> Tensor:
        spikes: Tensor = self.last(2 * self.first(x))
        return spikes


def test_checks_take_neurons_as_a_whole():
    snn = nn.Sequential(Delayed(), nn.ReLU(), LIF())
    assert list(neurons_in(snn)) == ["0", "2"]
    assert list(neurons_in(snn[0])) == [""]
    checks = check_twin(snn, ann_twin(snn))
    assert [check.ok for check in checks] == [True] * 3
    assert checks[1].expected == 2


def test_checks_hold_for_a_twin():
    snn = small("resnet17")
    checks = check_twin(snn, ann_twin(snn))
    assert [check.ok for check in checks] == [True] * 3
    assert (checks[1].expected, checks[1].measured) == (16, 16)


def test_checks_notice_another_shape_and_what_was_not_replaced():
    snn, other = small(), ann_twin(small(width=0.125))
    shapes, activations, left = check_twin(snn, other)
    assert not shapes.ok
    assert shapes.measured < shapes.expected
    assert shapes.note.startswith("first difference at block1.0.")
    assert (activations.ok, left.ok) == (True, True)
    _, activations, left = check_twin(snn, snn)
    assert (activations.ok, left.ok, left.measured) == (False, False, 18 + 25)
