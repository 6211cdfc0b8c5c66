"""The GPU's LIF without a GPU: its kernel in Triton's interpreter, its network with a stand-in."""

from __future__ import annotations

import pytest
import torch
from support.neurons import Adaptive, Named, SoftReset
from torch import Tensor, nn

from snnbench.engine.dense import triton_lif
from snnbench.engine.dense.packed import prepack
from snnbench.engine.dense.triton_lif import TritonLIF, fuse_lif_for_cuda, lif_sequence_triton
from snnbench.nn.blocks import PerTimestep, SpikingBlock
from snnbench.nn.fold import fold_batch_norm
from snnbench.nn.neuron import IF, LIF
from snnbench.nn.neuron_spec import NeuronSpec


def eighths(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(-8, 9, shape, generator=torch.Generator().manual_seed(seed)) / 8


def with_bias(x: Tensor, bias: Tensor | None, spec: NeuronSpec) -> Tensor:
    """What the kernel must compute, [T, N, C, ...]."""
    shift = 0 if bias is None else bias.reshape(-1, *[1] * (x.ndim - 3))
    return LIF(decay=spec.decay, threshold=spec.threshold)(x + shift)


@pytest.fixture
def network() -> nn.Module:
    """Both kinds of neighbours of a neuron, with weights whose sums are exact."""
    block = SpikingBlock("basic", 8, 8, neuron=lambda: LIF(decay=0.5, threshold=0.5))
    stem = PerTimestep(nn.Conv2d(2, 8, 3))
    model = nn.Sequential(stem, IF(threshold=0.5), fold_batch_norm(block).model)
    with torch.no_grad():
        for seed, parameter in enumerate(model.parameters()):
            parameter.copy_(eighths(*parameter.shape, seed=seed))
    return model


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Replaces the kernel; whether each call had a bias."""
    calls: list[bool] = []

    def run(x: Tensor, bias: Tensor | None, spec: NeuronSpec) -> Tensor:
        calls.append(bias is not None)
        return with_bias(x, bias, spec)

    monkeypatch.setattr(triton_lif, "lif_sequence_triton", run)
    return calls


@pytest.mark.parametrize("packed", [False, True])
def test_biases_of_convolutions_move_into_the_neurons(
    network: nn.Module, stand_in: list[bool], packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = eighths(3, 2, 2, 7, 7)
    expected = network(x)
    assert 0 < expected.mean() < 1
    if packed:  # as a run prepares a network for a GPU, whose convolutions cannot be packed
        monkeypatch.setattr("snnbench.engine.dense.packed.unpackable", lambda _: "on a GPU")
        network = prepack(network, x)
    fused = fuse_lif_for_cuda(network)
    assert torch.equal(fused(x), expected)
    assert stand_in == [True, True, True]
    assert all(m.bias is None for m in fused[:2].modules() if isinstance(m, nn.Conv2d))
    assert not any(isinstance(module, TritonLIF) for module in network.modules())
    assert torch.equal(network(x), expected)


def test_neurons_of_other_dynamics_stay_as_they_are(stand_in: list[bool]) -> None:
    model = nn.Sequential(PerTimestep(nn.Conv2d(2, 4, 1)), SoftReset(4), Adaptive(), Named())
    fused = fuse_lif_for_cuda(model)
    assert [type(module) for module in fused] == [PerTimestep, SoftReset, Adaptive, TritonLIF]
    assert fused[0][0].bias is not None


def test_a_shared_convolution_keeps_its_bias(stand_in: list[bool]) -> None:
    layer, neuron = PerTimestep(nn.Conv2d(2, 2, 1)), LIF()
    model = nn.Sequential(layer, neuron, layer)
    x = eighths(3, 2, 2, 4, 4)
    fused = fuse_lif_for_cuda(model)
    assert torch.equal(fused(x), model(x))
    assert stand_in == [False]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(4, 2, 3, 5, 7), (1, 1, 1, 1, 1), (3, 2, 600)])
def test_the_kernel_in_the_interpreter(
    shape: tuple[int, ...], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("triton", reason="comes with CUDA builds of PyTorch")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    triton_lif._kernel.cache_clear()
    x, bias = eighths(*shape).to(dtype), eighths(shape[2], seed=1).to(dtype)
    last = x.flatten(0, 1)
    if x.ndim == 5:
        last = last.contiguous(memory_format=torch.channels_last)
    spec = NeuronSpec(decay=0.25, threshold=0.5)
    layouts = x, last.reshape(shape), x[:1].expand(shape), torch.cat([x, x], 2)[:, :, : shape[2]]
    try:
        for layout in layouts:
            for shift in (None, bias):
                spikes = lif_sequence_triton(layout, shift, spec)
                expected = with_bias(layout, shift, spec)
                assert torch.equal(spikes, expected)
                assert spikes.dtype == dtype
    finally:
        triton_lif._kernel.cache_clear()
