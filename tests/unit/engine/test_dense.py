import io

import pytest
import torch
from support.engine_nets import lively, margin, quarters
from support.neurons import Adaptive, AtThreshold, Louder, Named, SoftReset
from torch import Tensor, nn

from snnbench.engine.dense.lif import FusedLIF, lif_spikes
from snnbench.engine.dense.packed import PackedConv2d, PackedLinear, prepack, unpackable
from snnbench.nn.blocks import PerTimestep, SpikingBlock
from snnbench.nn.fold import fold_batch_norm
from snnbench.nn.functional import lif_sequence
from snnbench.nn.neuron import LIF
from snnbench.nn.neuron_spec import NeuronSpec
from snnbench.nn.norm import calibrate_batch_norm
from snnbench.nn.twin import ann_twin
from snnbench.zoo import registry


def folded(name: str = "resnet19", *, twin: bool = False, shortcut: str = "paper") -> nn.Module:
    torch.manual_seed(0)
    network = registry.get(name).build(width=0.125, timesteps=3, shortcut=shortcut).eval()
    if twin:
        network = ann_twin(network)
        calibrate_batch_norm(network, images(4))
    else:
        lively(network)
    return fold_batch_norm(network).model


def images(samples: int = 2) -> Tensor:
    return quarters(samples, 3, 32, 32)


def spikes_of(network: nn.Module, x: Tensor) -> list[Tensor]:
    kept: list[Tensor] = []
    for module in network.modules():
        if isinstance(module, LIF | FusedLIF):
            module.register_forward_hook(lambda _m, _i, output: kept.append(output))
    network(x)
    return kept


@pytest.mark.parametrize("shortcut", ["paper", "identity"])
@pytest.mark.parametrize("name", ["resnet19", "resnet50", "plain20"])
@torch.inference_mode()
def test_prepacked_networks_put_out_the_same(name: str, shortcut: str):
    x = images() if name != "resnet50" else quarters(1, 3, 64, 64)
    for twin in (False, True):
        network = folded("resnet19" if name == "resnet50" else name, twin=twin, shortcut=shortcut)
        if name == "resnet50":
            network = nn.Sequential(lively(SpikingBlock("bottleneck", 3, 8, shortcut=shortcut)))
            network = fold_batch_norm(ann_twin(network) if twin else network.eval()).model
            x = x.expand(3, *x.shape) if x.ndim == 4 else x
        expected = network(x)
        packed = prepack(network, x)
        torch.testing.assert_close(packed(x), expected, rtol=1e-4, atol=1e-5)
        assert any(isinstance(m, PackedConv2d) for m in packed.modules())
        assert not any(isinstance(m, LIF) for m in packed.modules())


@torch.inference_mode()
def test_dynamics_decide_which_neurons_are_fused():
    network = nn.Sequential(Named(decay=0.5), Adaptive(), SoftReset(3), AtThreshold(), Louder())
    packed = prepack(network)
    assert [type(m) for m in packed] == [FusedLIF, Adaptive, SoftReset, FusedLIF, Louder]
    assert packed[0].spec == NeuronSpec(decay=0.5, threshold=1.0, surrogate_width=1.0)
    x = images().expand(4, 2, 3, 32, 32)
    assert torch.equal(packed(x), network(x))


@torch.inference_mode()
def test_prepacked_network_fires_the_same_spikes():
    network, x = folded(), images()
    assert margin(network, x) > 2e-4
    packed = prepack(network, x)
    ours, theirs = spikes_of(packed, x), spikes_of(network, x)
    assert len(ours) == len(theirs) > 10
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert all(0 < float(a.mean()) < 1 for a in theirs)


@torch.inference_mode()
def test_another_batch_size_and_another_order_of_calls():
    network = folded()
    packed = prepack(network, images(2))
    for samples in (3, 1, 2, 3):
        x = images(samples)
        torch.testing.assert_close(packed(x), network(x), rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_a_prepacked_network_is_saved_and_runs_again():
    network, x = folded(), images()
    packed = prepack(network, x)
    buffer = io.BytesIO()
    torch.save(packed, buffer)
    buffer.seek(0)
    again = torch.load(buffer, weights_only=False)
    assert torch.equal(again(x), packed(x))


@torch.inference_mode()
def test_the_network_stays_as_it_is():
    network, x = folded(), images()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    types = [type(module) for module in network.modules()]
    prepack(network, x)
    assert [type(module) for module in network.modules()] == types
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


@torch.inference_mode()
def test_relus_of_the_twin_run_inside_the_convolutions():
    packed = prepack(folded(twin=True), images())
    block = packed.get_submodule("block1.0")
    assert all(isinstance(neuron, nn.Identity) for neuron in block.neurons)
    assert [synapse[-1].relu for synapse in block.synapses] == [True, True]


@torch.inference_mode()
def test_static_input_is_convolved_once():
    network = prepack(folded(), images(2))
    batches = []
    network.get_submodule("stem.conv").register_forward_hook(
        lambda _m, args, _o: batches.append(len(args[0]))
    )
    network(images(2))
    network(images(2).expand(3, 2, 3, 32, 32).clone())
    assert batches == [2, 6]


@torch.inference_mode()
def test_a_shared_convolution_keeps_its_relu_apart():
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 4, 3, padding=1)
    network = nn.Sequential(nn.Sequential(conv, nn.ReLU()), conv)
    x = torch.randn(1, 4, 8, 8)
    torch.testing.assert_close(prepack(network, x)(x), network(x))
    assert (network(x) < 0).any()  # a fused ReLU would show


@torch.inference_mode()
def test_relu_after_a_chain_of_per_timestep_layers_is_fused():
    torch.manual_seed(0)
    network = nn.Sequential(PerTimestep(nn.Conv2d(3, 4, 3)), nn.ReLU())
    x = torch.randn(2, 1, 3, 8, 8)
    packed = prepack(network, x)
    torch.testing.assert_close(packed(x), network(x))
    assert isinstance(packed[1], nn.Identity)


@pytest.mark.parametrize("rows", [1, 2, 7])
@torch.inference_mode()
def test_large_linear_layers_are_packed(rows: int):
    layer = nn.Linear(1024, 64)
    x = torch.randn(3, rows, 1024)[:, :rows] if rows > 1 else torch.randn(1, 1024)
    packed = prepack(layer, x)
    assert isinstance(packed, PackedLinear)
    torch.testing.assert_close(packed(x), layer(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (nn.Conv2d(3, 4, 3).double(), "float32"),
        (nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"), "circular"),
        (nn.Conv2d(3, 4, 3, padding="same"), "same"),
        (nn.Conv1d(3, 4, 3), "Conv1d has no prepacked kernel"),
        (nn.Linear(4, 4), "faster unpacked"),
        (nn.Conv2d(3, 4, 3, device="meta"), "meta"),
    ],
)
def test_what_cannot_be_packed_says_why(layer: nn.Module, reason: str):
    assert reason in str(unpackable(layer))
    assert unpackable(nn.Conv2d(3, 4, 3)) is None


def test_without_onednn_everything_stays(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("torch.backends.mkldnn.is_available", lambda: False)
    layer = nn.Conv2d(3, 4, 3)
    assert unpackable(layer) == "this PyTorch has no oneDNN"
    assert type(prepack(layer, torch.randn(1, 3, 8, 8))) is nn.Conv2d


@torch.inference_mode()
def test_a_float64_network_runs_unpacked_and_exact():
    network, x = folded().double(), images().double()
    packed = prepack(network, x)
    assert not any(isinstance(m, PackedConv2d) for m in packed.modules())
    torch.testing.assert_close(packed(x), network(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("decay", [0.0, 0.25, 0.3, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("layout", ["plain", "channels last", "expanded", "vector", "one step"])
def test_fused_lif_is_bit_equal(decay: float, dtype: torch.dtype, layout: str):
    torch.manual_seed(0)
    x = 2 * torch.randn(5, 2, 24, 9, 7, dtype=dtype)
    if layout == "channels last":
        x = x.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, (5, 2))
    elif layout == "expanded":
        x = x[0].expand(5, *x.shape[1:])
    elif layout == "vector":
        x = x[..., 0, 0].contiguous()
    elif layout == "one step":
        x = x[:1]
    expected = lif_sequence(x, decay=decay, threshold=0.7)
    spikes = lif_spikes(x, NeuronSpec(decay=decay, threshold=0.7))
    assert torch.equal(spikes, expected)
    assert 0 < float(expected.mean()) < 1


def test_fused_lif_treats_values_that_are_not_finite_alike():
    x = torch.tensor([[torch.nan, torch.inf, -torch.inf, 1.0, 2.0]] * 3)
    expected = lif_sequence(x, decay=0.5, threshold=1.0)
    assert torch.equal(lif_spikes(x, NeuronSpec(decay=0.5, threshold=1.0)), expected)


@pytest.mark.parametrize(
    "x",
    [
        torch.randn(3, 4, 5).transpose(1, 2),
        torch.randn(3, 4).half(),
        torch.randn(3, 0),
        torch.randn(3, 4, requires_grad=True),
    ],
)
def test_what_the_fused_lif_does_not_take_goes_the_ordinary_way(x: Tensor):
    expected = lif_sequence(x, decay=0.5, threshold=0.5)
    assert torch.equal(lif_spikes(x, NeuronSpec(decay=0.5, threshold=0.5)), expected)
