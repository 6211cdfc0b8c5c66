"""The GPU path on a GPU: same spikes, graphs that replay, times on the GPU's clock."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from snnbench.engine.dense.triton_lif import fuse_lif_for_cuda, lif_sequence_triton
from snnbench.nn.blocks import PerTimestep, SpikingBlock
from snnbench.nn.fold import fold_batch_norm
from snnbench.nn.functional import lif_sequence
from snnbench.nn.neuron import LIF
from snnbench.nn.neuron_spec import NeuronSpec
from snnbench.run.timing import cuda
from snnbench.run.timing.interleaved import measure

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this PyTorch sees no CUDA GPU"),
]


def eighths(*shape: int, seed: int = 0) -> Tensor:
    """Numbers whose sums are exact, in TF32 as well."""
    return torch.randint(-8, 9, shape, generator=torch.Generator().manual_seed(seed)) / 8


@pytest.fixture
def network() -> nn.Module:
    block = SpikingBlock("basic", 8, 8, neuron=lambda: LIF(decay=0.5, threshold=0.5))
    stem = PerTimestep(nn.Conv2d(3, 8, 3))
    model = nn.Sequential(stem, LIF(threshold=0.5), fold_batch_norm(block).model)
    with torch.no_grad():
        for seed, parameter in enumerate(model.parameters()):
            parameter.copy_(eighths(*parameter.shape, seed=seed))
    return model.cuda().eval()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(4, 2, 16, 9, 7), (6, 3, 1000), (1, 1, 1, 1, 1)])
def test_no_spike_flips_in_the_triton_kernel(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    x, bias = eighths(*shape).to("cuda", dtype), eighths(shape[2], seed=1).to("cuda", dtype)
    shifted = x + bias.reshape(-1, *[1] * (x.ndim - 3))
    expected = lif_sequence(shifted, decay=0.25, threshold=0.5)
    spec = NeuronSpec(decay=0.25, threshold=0.5)
    assert torch.equal(lif_sequence_triton(x, bias, spec), expected)
    assert torch.equal(lif_sequence_triton(shifted, None, spec), expected)


@torch.inference_mode()
def test_graphs_replay_what_the_network_computes(network: nn.Module) -> None:
    first, second = (eighths(4, 2, 3, 16, 16, seed=seed).cuda() for seed in (7, 8))
    for candidate in (network, fuse_lif_for_cuda(network)):
        replay, how = cuda.capture(candidate, first)
        assert how == "CUDA graph"
        for x in (first, second):
            assert torch.equal(replay(x), network(x))


class Waits(nn.Module):
    """Reads a value on the host, which no graph can hold."""

    def forward(self, x: Tensor) -> Tensor:
        return x * x.sum().item()


@torch.inference_mode()
def test_what_cannot_be_captured_runs_eagerly() -> None:
    x = eighths(2, 2).cuda()
    call, how = cuda.capture(Waits(), x)
    assert how.startswith("eager (capture failed: ")
    assert torch.equal(call(x), Waits()(x))


def test_times_and_how_they_came_about(network: nn.Module) -> None:
    notes: list[str] = []
    timings = measure(
        {"snn": network.cpu(), "twin": nn.Conv2d(3, 8, 3)},
        {"snn": eighths(4, 1, 3, 16, 16), "twin": eighths(1, 3, 16, 16)},
        runs=3,
        warmup=1,
        threads=1,
        device="cuda",
        batch_size=1,
        min_run_seconds=0.01,
        note=notes.append,
    )
    assert [timing.device for timing in timings] == ["cuda", "cuda"]
    for timing in timings:
        assert len(timing.raw_seconds) == 3
        assert min(timing.raw_seconds) > 0
    assert [note.split(":")[0] for note in notes] == [
        "snn on cuda, batch of 1",
        "twin on cuda, batch of 1",
    ]
