from __future__ import annotations

import copy

import pytest
import torch
from support.neurons import Adaptive, AtThreshold, Louder, Named, SoftReset
from torch import Tensor, nn

from snnbench.nn.blocks import PerTimestep, Shortcut, SpikingBlock, conv_norm
from snnbench.nn.functional import lif_sequence
from snnbench.nn.neuron import LIF, Neuron
from snnbench.nn.neuron_spec import NeuronSpec
from snnbench.nn.norm import ChannelAffine, ThresholdDependentBatchNorm2d
from snnbench.train.fast.fused import spikes_of
from snnbench.train.fast.optimise import FusedLIF, optimise
from snnbench.zoo import registry

T, N = 3, 2


def events(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(1)) < 0.4).to(dtype)


def small(**options: object) -> nn.Sequential:
    torch.manual_seed(0)
    block = SpikingBlock("basic", 5, 5, **options)
    network = nn.Sequential(conv_norm(3, 5, 3), LIF(), nn.Sequential(block))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.fill_(0.05)  # so that neurons fire in evaluation mode
    return network


def state_after(network: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Spikes, gradients and buffers of one training step from a copy."""
    y = network(x)
    generator = torch.Generator().manual_seed(2)
    (y * torch.randn(y.shape, generator=generator, dtype=y.dtype)).sum().backward()
    found = {f"grad {name}": p.grad for name, p in network.named_parameters()}
    return {"spikes": y.detach(), **found, **dict(network.named_buffers())}


def check_equal(network: nn.Module, x: Tensor, rtol: float = 1e-9) -> None:
    plain = copy.deepcopy(network)
    want, got = state_after(plain, x), state_after(optimise(network), x)
    assert 0 < want["spikes"].mean() < 1
    assert list(got) == list(want)
    for name, value in want.items():
        torch.testing.assert_close(got[name], value, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("mode", [True, False])
@pytest.mark.parametrize("shortcut", ["paper", "identity"])
def test_a_block_equals_the_plain_one(shortcut: Shortcut, mode: bool):
    network = small(shortcut=shortcut).double().train(mode)
    check_equal(network, torch.randn(T, N, 3, 6, 7, dtype=torch.float64))


@pytest.mark.parametrize("kind", ["basic", "bottleneck", "plain"])
def test_blocks_of_every_kind_with_a_stride(kind: str):
    torch.manual_seed(0)
    check_equal(SpikingBlock(kind, 3, 8, stride=2).double(), events(T, N, 3, 8, 8))


def test_a_block_with_another_forward_computes_it():
    class Doubled(SpikingBlock):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(2 * x)

    torch.manual_seed(0)
    check_equal(Doubled("basic", 3, 4).double(), torch.randn(T, N, 3, 6, 6, dtype=torch.float64))


class Skipping(nn.Sequential):
    """Reads the first layer's currents twice."""

    def forward(self, x: Tensor) -> Tensor:
        synapses, neurons = self
        y = synapses(x)
        spikes: Tensor = neurons(y + neurons(y))
        return spikes


def test_layers_whose_order_is_not_known_are_left_alone():
    torch.manual_seed(0)
    network = Skipping(conv_norm(3, 4, 3), LIF()).double()
    check_equal(network, torch.randn(T, N, 3, 6, 6, dtype=torch.float64))
    ordered = registry.get("resnet19").build(timesteps=2, width=0.0625)
    assert isinstance(optimise(ordered).stem_lif, FusedLIF)


def test_an_image_that_stays_is_computed_once():
    network = small().double()
    x = torch.randn(N, 3, 6, 6, dtype=torch.float64)
    check_equal(network, x.expand(T, *x.shape))
    seen = []
    view = optimise(network)
    view[0].conv.register_forward_hook(lambda _m, args, _y: seen.append(len(args[0])))
    view(x.expand(T, *x.shape))
    view(torch.randn(T, N, 3, 6, 6, dtype=torch.float64))
    assert seen == [N, T * N]


def test_a_whole_network_in_float32():
    torch.manual_seed(0)
    network = registry.get("resnet19").build(timesteps=2, width=0.0625)
    plain = copy.deepcopy(network)
    x = torch.randn(2, 3, 32, 32)
    want, got = state_after(plain, x), state_after(optimise(network), x)
    for name in ("spikes", "grad stem.conv.weight", "block3.0.synapses.0.norm.running_var"):
        torch.testing.assert_close(got[name], want[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("momentum", [0.3, None])
def test_running_statistics_follow_the_same_average(momentum: float | None):
    network = nn.Sequential(conv_norm(3, 4, 3), LIF()).double()
    network[0].norm.momentum = momentum
    plain, view = copy.deepcopy(network), optimise(network)
    for _ in range(3):
        x = torch.randn(T, N, 3, 5, 5, dtype=torch.float64) + 1
        plain(x), view(x)
    for want, got in zip(plain.buffers(), network.buffers(), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)


def test_the_network_is_left_alone():
    network = small()
    names, modules = list(network.state_dict()), list(network.modules())
    fired = []
    network[2].register_forward_hook(lambda *_: fired.append(1))
    view = optimise(network)
    assert list(network.modules()) == modules
    assert list(view.state_dict()) == names
    assert all(a is b for a, b in zip(view.parameters(), network.parameters(), strict=True))
    view(torch.randn(T, N, 3, 6, 6))
    assert not fired
    network(torch.randn(T, N, 3, 6, 6))
    assert fired


def test_neurons_of_the_view_can_be_watched():
    view = optimise(small())
    rates = []
    neurons = [module for module in view.modules() if isinstance(module, Neuron)]
    for neuron in neurons:
        neuron.register_forward_hook(lambda _m, _args, spikes: rates.append(spikes.mean().item()))
    y = view(torch.randn(T, N, 3, 6, 6))
    assert len(rates) == len(neurons) == 3
    assert rates[-1] == y.mean()


class Detached(LIF):
    @property
    def spec(self) -> NeuronSpec:
        return NeuronSpec(decay=self.decay, surrogate_width=1.0, detach_reset=True)


class OtherSurrogate(LIF):
    @property
    def spec(self) -> NeuronSpec:
        return NeuronSpec(decay=self.decay)


def with_buffer() -> LIF:
    lif = LIF()
    lif.register_buffer("seen", torch.zeros(1))
    return lif


def hooked() -> LIF:
    lif = LIF()
    lif.register_forward_hook(lambda _module, _args, spikes: 1 - spikes)
    return lif


def patched() -> LIF:
    lif = LIF()
    lif.forward = torch.ones_like
    return lif


UNKNOWN = (
    *(hooked(), patched()),
    *(Adaptive(), SoftReset(4), AtThreshold(), Louder()),
    *(Detached(), OtherSurrogate(), with_buffer()),
)


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()),
        *(nn.Sequential(conv_norm(3, 4, 3), neuron) for neuron in UNKNOWN),
        nn.Sequential(PerTimestep(nn.Conv2d(3, 4, 3)), LIF()),
        nn.Sequential(conv_norm(3, 4, 3), nn.Identity(), LIF()),
        *(SpikingBlock("basic", 3, 3, neuron=lambda n=n: n) for n in UNKNOWN),
    ],
)
def test_what_is_not_recognised_is_shared(network: nn.Module):
    assert optimise(network) is network


def test_dynamics_decide_and_not_the_class():
    network = nn.Sequential(conv_norm(3, 4, 3), Named(decay=0.5)).double()
    assert isinstance(optimise(network)[1], FusedLIF)
    check_equal(network, torch.randn(T, N, 3, 6, 6, dtype=torch.float64))


def test_neurons_without_kernels_train_through_their_own_forward():
    torch.manual_seed(0)
    network = nn.Sequential(conv_norm(3, 4, 3), LIF(), conv_norm(4, 4, 3), SoftReset(4)).double()
    assert isinstance(optimise(network)[1], FusedLIF)
    check_equal(network, torch.randn(T, N, 3, 6, 6, dtype=torch.float64))
    assert network[3].decay.grad.count_nonzero() == 4


def test_a_folded_block_is_shared():
    block = SpikingBlock("basic", 3, 3)
    block.shortcut = PerTimestep(ChannelAffine(torch.ones(3), torch.zeros(3)))
    assert optimise(block) is block


def test_a_layer_between_two_appearances_of_another_is_not_skipped():
    pool, synapse = PerTimestep(nn.AvgPool2d(2)), conv_norm(3, 3, 3)
    check_equal(
        nn.Sequential(pool, synapse, pool, LIF(threshold=0.1)).double(), events(T, N, 3, 8, 8)
    )


def test_without_gradients_or_in_other_types_the_plain_way_is_taken():
    network = small()
    view = optimise(network)
    x = torch.randn(T, N, 3, 6, 6)
    with torch.no_grad():
        torch.testing.assert_close(view.eval()(x), network.eval()(x))
    half, plain = optimise(copy.deepcopy(network).half()), copy.deepcopy(network).half()
    assert torch.equal(half.train()(x.half()), plain.train()(x.half()))


def test_a_single_value_per_channel_is_refused_as_by_batch_norm():
    view = optimise(nn.Sequential(conv_norm(3, 4, 1), LIF()))
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        view(torch.randn(1, 1, 3, 1, 1))


def test_bfloat16_elements_are_computed_in_float32():
    torch.manual_seed(0)
    x = torch.randn(T, N, 7, 5, 5).bfloat16().requires_grad_()
    wide = x.detach().float().requires_grad_()
    norm = ThresholdDependentBatchNorm2d(7)
    other = copy.deepcopy(norm)
    y = spikes_of([x], [norm], LIF().spec)
    want = lif_sequence(other(wide.flatten(0, 1)).view_as(wide))
    g = torch.randn(y.shape).bfloat16()
    y.backward(g)
    want.backward(g.float())
    assert y.dtype is torch.bfloat16
    assert torch.equal(y.float(), want)
    assert norm.weight.grad is not None
    torch.testing.assert_close(norm.weight.grad, other.weight.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(x.grad.float(), wide.grad, rtol=2**-6, atol=2**-6)


def test_mixed_precision_runs_and_learns():
    network = small()
    view = optimise(network)
    with torch.autocast("cpu", torch.bfloat16):
        y = view(torch.randn(T, N, 3, 6, 6))
    assert y.dtype is torch.bfloat16
    y.sum().backward()
    assert network[0].conv.weight.grad.dtype is torch.float32
    assert network[0].conv.weight.grad.abs().sum() > 0


def test_nan_and_infinity_pass_as_in_the_plain_network():
    network = nn.Sequential(conv_norm(1, 1, 1), LIF()).eval()
    x = torch.zeros(3, 1, 1, 2, 2)
    x[0, 0, 0, 0, 0], x[0, 0, 0, 1, 1] = float("nan"), float("inf")
    view, want = optimise(network)(x), network(x)
    assert torch.equal(view, want)


def test_results_do_not_depend_on_the_number_of_threads():
    before = torch.get_num_threads()
    network = small().double()
    x = torch.randn(4, 8, 3, 24, 24, dtype=torch.float64)
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(state_after(optimise(copy.deepcopy(network)), x))
    finally:
        torch.set_num_threads(before)
    for name, value in found[0].items():
        for other in found[1:]:
            torch.testing.assert_close(other[name], value, rtol=1e-9, atol=1e-9)
