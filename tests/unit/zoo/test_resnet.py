import math
import re

import msgspec
import pytest
import torch
from support.engine_nets import lively, margin, quarters
from torch import nn

from snnbench.core.errors import StructureError, UsageError
from snnbench.nn.neuron import LIF
from snnbench.nn.norm import ThresholdDependentBatchNorm2d, calibrate_batch_norm
from snnbench.zoo import registry

NAMES = [
    "resnet17",
    "resnet17-nmnist",
    "resnet19",
    "resnet34",
    "resnet34-large",
    "resnet50",
    "plain20",
]


def dense_macs(net: nn.Module, x: torch.Tensor) -> dict[str, int]:
    """Dense MACs of every convolution and linear layer, read off the shapes that pass."""
    macs: dict[str, int] = {}

    def count(name: str):
        def hook(module, args, output):
            macs[name] = output.numel() * math.prod(module.weight.shape[1:])

        return hook

    handles = [
        module.register_forward_hook(count(name))
        for name, module in net.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    net(x)
    for handle in handles:
        handle.remove()
    return macs


def on_meta(name: str, *, timesteps: int = 1):
    benchmark = registry.get(name)
    with torch.device("meta"):
        net = benchmark.build(timesteps=timesteps).eval()
        x = torch.empty(1, *benchmark.card.input.shape)
    return benchmark.card, net, x


def small(name: str = "resnet19", **options):
    torch.manual_seed(0)
    return registry.get(name).build(**{"width": 0.0625, "timesteps": 2} | options).eval()


@pytest.mark.parametrize("name", NAMES)
def test_network_has_the_closed_form_numbers_of_its_card(name: str):
    card, net, x = on_meta(name)
    assert sum(p.numel() for p in net.parameters()) == card.expected.parameters
    assert sum(isinstance(m, LIF) for m in net.modules()) == card.expected.spiking_layers
    assert sum(dense_macs(net, x).values()) == card.expected.twin_dense_macs


@pytest.mark.parametrize(
    ("name", "encoding", "head"),
    [
        ("resnet19", 3_538_944, [2_097_152, 2_560]),
        ("resnet34-large", 236_027_904, [1_024_000]),
    ],
)
def test_multiplications_the_paper_counts(name: str, encoding: int, head: list[int]):
    _, net, x = on_meta(name)
    macs = dense_macs(net, x)
    assert [macs[layer] for layer in net.encoding_and_head] == [encoding, *head]


@pytest.mark.parametrize(
    ("name", "without_shortcuts"), [("resnet19", 2_270_562_816), ("resnet34-large", 14_340_923_392)]
)
def test_twin_macs_without_shortcut_convolutions(name: str, without_shortcuts: int):
    _, net, x = on_meta(name)
    macs = {k: v for k, v in dense_macs(net, x).items() if "shortcut" not in k}
    assert sum(macs.values()) == without_shortcuts


def test_dense_operations_grow_with_timesteps_as_the_encoding_runs_at_each():
    _, one, x = on_meta("resnet19")
    _, six, _ = on_meta("resnet19", timesteps=6)
    assert {k: 6 * v for k, v in dense_macs(one, x).items()} == dense_macs(six, x)


@pytest.mark.parametrize(("name", "before_head"), [("resnet19", 17), ("resnet34-large", 33)])
def test_figure_6_counts_spiking_layers_before_the_head(name: str, before_head: int):
    _, net, _ = on_meta(name)
    lifs = [k for k, m in net.named_modules() if isinstance(m, LIF) and not k.startswith("head")]
    assert len(lifs) == before_head


def test_blocks_downsample_where_table_4_says():
    _, net, _ = on_meta("resnet19")
    strides = {
        name: net.get_submodule(f"{name}.0.synapses.0.conv").stride[0]
        for name in ("block1", "block2", "block3")
    }
    assert strides == {"block1": 1, "block2": 2, "block3": 2}


@pytest.mark.parametrize("name", NAMES)
def test_every_network_runs_and_learns(name: str):
    net = small(name)
    C, H, _ = net.input_shape
    size = min(H, 34)  # the ImageNet networks pool globally and take any size
    logits = net(torch.randn(2, C, size, size))
    assert logits.shape == (2, registry.get(name).card.classes)
    logits.square().mean().backward()
    assert [n for n, p in net.named_parameters() if p.grad is None] == []


def test_a_static_image_is_the_same_frame_at_every_timestep():
    net, x = lively(small(timesteps=3)), quarters(2, 3, 32, 32)
    assert margin(net, x) > 2e-4
    assert torch.equal(net(x), net(x.repeat(3, 1, 1, 1, 1)))
    assert net(x).std() > 0


def test_logits_are_the_mean_of_the_decoding_layer_over_time():
    net, x = small("resnet17"), (torch.rand(2, 3, 2, 32, 32) < 0.2).float()
    calibrate_batch_norm(net, x)
    seen: list[torch.Tensor] = []
    net.head.classifier.register_forward_hook(lambda m, args, output: seen.append(output))
    y = net(x)
    assert seen[0].shape == (2, 3, 11)
    torch.testing.assert_close(y, (seen[0][0] + seen[0][1]) / 2)


def test_inference_leaves_the_network_as_it_was():
    net = small()
    state = {name: value.clone() for name, value in net.state_dict().items()}
    with torch.no_grad():
        net(torch.randn(2, 3, 32, 32))
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())


def test_fresh_weights_follow_the_seed():
    first, again = small().state_dict(), small().state_dict()
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    torch.manual_seed(1)
    other = registry.get("resnet19").build(width=0.0625)
    assert not torch.equal(other.state_dict()["stem.conv.weight"], first["stem.conv.weight"])


def test_untrained_calibrated_network_spikes_in_every_layer():
    net, x = small(width=0.25), torch.randn(4, 3, 32, 32)
    calibrate_batch_norm(net, x)
    rates = {}
    for name, module in net.named_modules():
        if isinstance(module, LIF):
            module.register_forward_hook(
                lambda m, args, output, name=name: rates.update({name: output.mean().item()})
            )
    net(x)
    assert len(rates) == 18
    assert [name for name, rate in rates.items() if not 0.05 < rate < 0.5] == []


def test_width_scales_channels_to_multiples_of_eight_and_keeps_classes():
    net = small(width=0.3)
    assert net.stem.conv.out_channels == 40  # 38.4
    assert net.head.hidden.out_features == 80  # 76.8
    assert net.head.classifier.out_features == 10
    assert small(width=0.001).stem.conv.out_channels == 8


def test_identity_policy_leaves_out_the_norm_of_kept_shapes_only():
    def tdbns(policy: str) -> int:
        net = small(shortcut=policy)
        return sum(isinstance(m, ThresholdDependentBatchNorm2d) for m in net.modules())

    assert (tdbns("paper"), tdbns("identity")) == (25, 19)  # block1 x3, block2 x2, block3 x1


@pytest.mark.parametrize(
    ("x", "got"),
    [
        (torch.zeros(1, 3, 16, 16), "got torch.float32 [1, 3, 16, 16]"),
        (torch.zeros(1, 1, 32, 32), "got torch.float32 [1, 1, 32, 32]"),
        (torch.zeros(3, 1, 3, 32, 32), "got torch.float32 [3, 1, 3, 32, 32]"),
        (torch.zeros(3, 32, 32), "got torch.float32 [3, 32, 32]"),
        (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), "got torch.uint8 [1, 3, 32, 32]"),
    ],
)
def test_an_input_of_another_shape_is_refused(x: torch.Tensor, got: str):
    expected = f"resnet19 takes floats of shape [N, 3, 32, 32] or [2, N, 3, 32, 32], {got}"
    with pytest.raises(UsageError, match=re.escape(expected)):
        small()(x)


def test_an_input_too_small_for_the_pool_is_refused_when_built():
    card = registry.get("resnet17").card
    spec = msgspec.structs.replace(card.input, shape=(2, 4, 4))
    tiny = msgspec.structs.replace(card, input=spec)
    from snnbench.models.resnet import build

    with pytest.raises(StructureError, match="resnet17: a 1x1 feature map is left before the 2x2"):
        build(tiny, timesteps=1, width=0.1, shortcut="paper")


def test_odd_sizes_reach_the_head_with_the_right_number_of_features():
    # DVS-CIFAR10's 42x42: 42 -> 42 -> 21 -> 11 -> pooled 5
    card = registry.get("resnet19").card
    spec = msgspec.structs.replace(card.input, shape=(2, 42, 42))
    from snnbench.models.resnet import build

    net = build(
        msgspec.structs.replace(card, input=spec), timesteps=1, width=0.0625, shortcut="paper"
    ).eval()
    assert net.head.hidden.in_features == 32 * 5 * 5
    assert net(torch.zeros(1, 2, 42, 42)).shape == (1, 10)
