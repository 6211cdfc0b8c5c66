import pytest
import torch
from support.engine_nets import lively, margin, quarters
from torch import nn
from torch.nn.utils import prune

from snnbench.nn.blocks import SpikingBlock, conv_norm
from snnbench.nn.fold import fold_batch_norm, measure_folding
from snnbench.nn.norm import (
    ChannelAffine,
    ThresholdDependentBatchNorm2d,
    calibrate_batch_norm,
)
from snnbench.nn.twin import ann_twin
from snnbench.zoo import registry


def randomise(model: nn.Module) -> nn.Module:
    """Statistics, scales and shifts far from those of a fresh batch norm."""
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            with torch.no_grad():
                module.running_mean.normal_(0, 1, generator=generator)
                module.running_var.uniform_(0.1, 2, generator=generator)
                for p in module.parameters():
                    p.uniform_(-1.5, 1.5, generator=generator)
    return model.eval()


def network(name: str = "resnet19", *, shortcut: str = "paper") -> nn.Module:
    torch.manual_seed(0)
    return registry.get(name).build(width=0.125, timesteps=2, shortcut=shortcut).eval()


def test_folded_layer_is_equation_9_and_10():
    torch.manual_seed(0)
    layer = randomise(conv_norm(3, 4, 3, alpha=0.5, threshold=2.0).double())
    folded = fold_batch_norm(layer).model
    norm, conv = layer.norm, layer.conv
    scale = norm.weight * 0.5 * 2.0 / torch.sqrt(norm.running_var + norm.eps)
    torch.testing.assert_close(folded.conv.weight, scale.reshape(-1, 1, 1, 1) * conv.weight)
    torch.testing.assert_close(folded.conv.bias, -scale * norm.running_mean + norm.bias)
    assert list(dict(folded.named_children())) == ["conv"]


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("stride", [1, 2])
def test_folded_currents_are_equal(dtype: torch.dtype, limit: float, stride: int):
    torch.manual_seed(0)
    block = randomise(SpikingBlock("basic", 8, 8, stride=stride).to(dtype))
    folded = fold_batch_norm(block).model
    x = (torch.rand(3, 2, 8, 9, 9) < 0.3).to(dtype)
    for part in ("synapses.0", "shortcut"):
        before, after = block.get_submodule(part)(x), folded.get_submodule(part)(x)
        assert (before - after).abs().max() <= limit * before.abs().max()
        assert before.std() > 0.1


@pytest.mark.parametrize("name", ["resnet17", "resnet19", "resnet50", "plain20"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_no_spike_flips_and_the_output_stays(name: str, dtype: torch.dtype):
    net = network(name).to(dtype)
    if dtype == torch.float32:  # in which numbers drawn at random could flip a spike
        x = quarters(2, net.input_shape[0], 32, 32)
        assert margin(lively(net), x) > 2e-4
    else:
        x = torch.randn(2, net.input_shape[0], 32, 32, dtype=dtype)
        calibrate_batch_norm(net, x)
    record = measure_folding(net, fold_batch_norm(net), x)
    limit = 1e-10 if dtype == torch.float64 else 1e-5
    assert record.flipped_spikes == 0
    assert record.spike_sites > 10_000
    assert record.output_max_abs > 0
    assert record.output_max_abs_difference <= limit * record.output_max_abs
    assert record.remaining == 0


@pytest.mark.parametrize(("shortcut", "affine"), [("paper", 6), ("identity", 0)])
def test_what_became_of_every_norm(shortcut: str, affine: int):
    folded = fold_batch_norm(network(shortcut=shortcut))
    assert (folded.folded, folded.affine, folded.remaining) == (19, affine, 0)
    assert sum(isinstance(m, ChannelAffine) for m in folded.model.modules()) == affine
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.model.modules())


def test_the_original_is_left_as_it_is():
    net = network().train()
    before = repr(net), {name: value.clone() for name, value in net.state_dict().items()}
    folded = fold_batch_norm(net).model
    with torch.no_grad():
        for p in folded.parameters():
            p.fill_(9.0)
    assert repr(net) == before[0]
    assert all(torch.equal(value, before[1][name]) for name, value in net.state_dict().items())
    assert net.training
    assert not folded.training


def test_the_twin_folds_too():
    twin = ann_twin(network()).double()
    x = torch.randn(2, 3, 32, 32).double()
    calibrate_batch_norm(twin, x)
    folded = fold_batch_norm(twin)
    assert (folded.folded, folded.affine, folded.remaining) == (19, 6, 0)
    record = measure_folding(twin, folded, x)
    assert record.output_max_abs_difference <= 1e-10 * record.output_max_abs
    assert (record.flipped_spikes, record.spike_sites) == (0, 0)


def test_flipped_spikes_are_noticed():
    net = network()
    x = torch.randn(2, 3, 32, 32)
    calibrate_batch_norm(net, x)
    folded = fold_batch_norm(net)
    with torch.no_grad():
        folded.model.stem.conv.bias.add_(0.5)
    record = measure_folding(net, folded, x)
    assert record.flipped_spikes > 0
    assert record.output_max_abs_difference > 0


@pytest.mark.parametrize("var", [0.0, 1e-30])
def test_a_channel_without_variance_stays_finite(var: float):
    layer = conv_norm(2, 3, 1).eval()
    layer.norm.running_var.fill_(var)
    folded = fold_batch_norm(layer).model
    assert folded.conv.weight.isfinite().all()
    torch.testing.assert_close(folded(torch.ones(1, 1, 2, 2, 2)), layer(torch.ones(1, 1, 2, 2, 2)))


def plain_chains() -> dict[str, tuple[nn.Module, tuple[int, int, int]]]:
    conv, norm = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
    return {
        "bias": (nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)), (1, 0, 0)),
        "groups": (nn.Sequential(nn.Conv2d(4, 8, 3, groups=2), nn.BatchNorm2d(8)), (1, 0, 0)),
        "not affine": (
            nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4, affine=False)),
            (1, 0, 0),
        ),
        "after relu": (nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.BatchNorm2d(4)), (0, 1, 0)),
        "two norms": (nn.Sequential(nn.Conv2d(4, 4, 1), norm, nn.BatchNorm2d(4)), (1, 1, 0)),
        "no statistics": (
            nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4, track_running_stats=False)),
            (0, 0, 1),
        ),
        "shared convolution": (nn.Sequential(conv, nn.BatchNorm2d(4), conv), (0, 1, 0)),
        "shared norm": (nn.Sequential(conv, norm, nn.Conv2d(4, 4, 1), norm), (0, 0, 1)),
    }


@pytest.mark.parametrize("case", plain_chains())
def test_generic_chains_keep_their_function(case: str):
    torch.manual_seed(0)
    model, counts = plain_chains()[case]
    randomise(model) if case != "no statistics" else model.eval()
    folded = fold_batch_norm(model)
    assert (folded.folded, folded.affine, folded.remaining) == counts
    x = torch.randn(2, 4, 5, 5)
    torch.testing.assert_close(folded.model(x), model(x), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_weights_that_a_hook_makes_anew_are_left_alone():
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(4)
    norm.running_var.fill_(0.1)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), norm).eval()
    prune.l1_unstructured(model[0], "weight", 0.5)
    x = torch.randn(2, 3, 6, 6)
    folded = fold_batch_norm(model)
    assert (folded.folded, folded.affine, folded.remaining) == (0, 1, 0)
    torch.testing.assert_close(folded.model(x), model(x))


def test_outside_a_chain_norms_remain():
    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(2, 2, 1), ThresholdDependentBatchNorm2d(2)

        def forward(self, x):
            return self.norm(x) + self.conv(x)

    class Reversed(nn.Sequential):
        def forward(self, x):
            return self[0](self[1](x))

    for model in (Branches(), Reversed(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2))):
        folded = fold_batch_norm(randomise(model))
        assert (folded.folded, folded.affine, folded.remaining) == (0, 0, 1)
