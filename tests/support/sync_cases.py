"""What test_sync_norm.py runs, in a module that new processes can import."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import torch
from torch import Tensor, distributed as dist, nn

from snnbench.nn.blocks import SpikingBlock, conv_norm
from snnbench.nn.neuron import LIF
from snnbench.train.fast.optimise import optimise
from snnbench.train.fast.sync import synchronise

T, STEPS = 3, 2
SHARES = (5, 3)
"""Samples of each process."""


def network(dtype: torch.dtype) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(conv_norm(2, 6, 3), LIF(), SpikingBlock("basic", 6, 6)).to(dtype)


def batch(step: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(step)
    x = torch.randn(T, sum(SHARES), 2, 6, 6, generator=generator) * 3 + 1
    weights = torch.randn(T, sum(SHARES), 6, 6, 6, generator=generator)
    return x.to(dtype), weights.to(dtype)


def trained(model: nn.Module, part: slice, dtype: torch.dtype) -> dict[str, Tensor]:
    """Spikes, gradients summed over steps, and buffers, from a part of each batch."""
    outputs = []
    for step in range(STEPS):
        x, weights = batch(step, dtype)
        y = model(x[:, part])
        (y * weights[:, part]).sum().backward()
        outputs.append(y.detach())
    grads = {f"grad {name}": p.grad for name, p in model.named_parameters()}
    return {"spikes": torch.stack(outputs), **grads, **dict(model.named_buffers())}


def process(rank: int, folder: str, dtype: torch.dtype, *, fused: bool) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=2,
        timeout=timedelta(seconds=600),
    )
    model = synchronise(network(dtype))
    if fused:
        model = optimise(model)
    start = sum(SHARES[:rank])
    found = trained(model, slice(start, start + SHARES[rank]), dtype)
    for name, value in found.items():
        if name.startswith("grad"):
            dist.all_reduce(value)
    torch.save(found, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


def started(rank: int, folder: str, dtype: torch.dtype, fused: bool) -> None:
    process(rank, folder, dtype, fused=fused)
