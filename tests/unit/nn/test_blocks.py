import math

import pytest
import torch
from torch import nn

from snnbench.core.errors import StructureError, UsageError
from snnbench.nn.blocks import PerTimestep, SpikingBlock, conv_norm
from snnbench.nn.neuron import LIF
from snnbench.nn.norm import ThresholdDependentBatchNorm2d, calibrate_batch_norm

HALF = 1 / math.sqrt(2)


def spikes(*shape: int) -> torch.Tensor:
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(0)) < 0.3).float()


def norms(block: nn.Module) -> dict[str, float]:
    return {
        name: module.alpha
        for name, module in block.named_modules()
        if isinstance(module, ThresholdDependentBatchNorm2d)
    }


def test_per_timestep_equals_a_loop_over_time():
    torch.manual_seed(0)
    layers = PerTimestep(nn.Conv2d(2, 3, 3), nn.AvgPool2d(2), nn.Flatten())
    x = spikes(4, 5, 2, 8, 8)
    expected = torch.stack([nn.Sequential(*layers)(frame) for frame in x])
    torch.testing.assert_close(layers(x), expected)
    assert layers(x).shape == (4, 5, 27)


def test_per_timestep_refuses_neurons():
    with pytest.raises(StructureError, match="put its neurons behind it"):
        PerTimestep(nn.Conv2d(2, 3, 3), nn.Sequential(LIF()))


def test_tdbn_sees_time_and_batch_together():
    torch.manual_seed(0)
    layer = conv_norm(2, 4, 3)
    y = layer(torch.randn(5, 3, 2, 8, 8))
    torch.testing.assert_close(y.mean(dim=(0, 1, 3, 4)), torch.zeros(4), rtol=0, atol=1e-5)
    assert layer.conv.bias is None


@pytest.mark.parametrize(
    ("kind", "stride", "policy", "alphas"),
    [
        ("basic", 1, "paper", [1, HALF, HALF]),
        ("basic", 1, "identity", [1, HALF]),
        ("basic", 2, "paper", [1, HALF, HALF]),
        ("basic", 2, "identity", [1, HALF, HALF]),
        ("bottleneck", 2, "paper", [1, 1, HALF, HALF]),
        ("plain", 2, "paper", [1, 1]),
    ],
)
def test_alpha_of_every_branch(kind, stride, policy, alphas):
    block = SpikingBlock(kind, 8, 8, stride=stride, shortcut=policy)
    assert list(norms(block).values()) == alphas


def test_shortcut_is_a_strided_1x1_convolution_only_where_the_shape_changes():
    kept = SpikingBlock("basic", 8, 8)
    strided = SpikingBlock("basic", 8, 8, stride=2)
    wider = SpikingBlock("basic", 8, 16, shortcut="identity")
    convolutions = [
        [m for m in block.shortcut.modules() if isinstance(m, nn.Conv2d)]
        for block in (kept, strided, wider)
    ]
    assert convolutions[0] == []
    assert (convolutions[1][0].kernel_size, convolutions[1][0].stride) == ((1, 1), (2, 2))
    assert (convolutions[2][0].kernel_size, convolutions[2][0].stride) == ((1, 1), (1, 1))


@pytest.mark.parametrize("kind", ["basic", "bottleneck", "plain"])
@pytest.mark.parametrize("policy", ["paper", "identity"])
@pytest.mark.parametrize("stride", [1, 2])
def test_block_puts_out_spikes_of_the_right_shape(kind, policy, stride):
    torch.manual_seed(0)
    block = SpikingBlock(kind, 8, 8, stride=stride, shortcut=policy)
    x = spikes(3, 2, 8, 9, 9)
    kept = x.clone()
    calibrate_batch_norm(block, x)
    y = block.eval()(x)
    size = 9 if stride == 1 else 5
    assert y.shape == (3, 2, 32 if kind == "bottleneck" else 8, size, size)
    assert set(y.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(x, kept)


def test_the_addition_joins_currents_before_the_last_lif():
    torch.manual_seed(0)
    block = SpikingBlock("basic", 4, 4).double()
    x = spikes(3, 2, 4, 6, 6).double()
    calibrate_batch_norm(block, x)
    block.eval()
    current = block.synapses[1](LIF()(block.synapses[0](x))) + block.shortcut(x)
    assert torch.equal(block(x), LIF()(current))


def test_every_parameter_gets_a_gradient():
    torch.manual_seed(0)
    block = SpikingBlock("bottleneck", 8, 8, stride=2)
    block(spikes(3, 2, 8, 8, 8)).sum().backward()
    without = [name for name, p in block.named_parameters() if p.grad is None]
    assert without == []
    assert block.synapses[0].conv.weight.grad.abs().max() > 0


def test_constants_of_the_neuron_reach_the_norms():
    block = SpikingBlock("basic", 4, 4, neuron=lambda: LIF(threshold=2.0, decay=0.5))
    assert {m.threshold for m in block.modules() if hasattr(m, "threshold")} == {2.0}


def test_unknown_shortcut_is_refused():
    with pytest.raises(UsageError, match="shortcut must be paper or identity, got 'none'"):
        SpikingBlock("basic", 4, 4, shortcut="none")
