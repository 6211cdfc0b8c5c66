"""tdBN over two processes equals tdBN of one process on the joint batch."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from support.sync_cases import SHARES, batch, network, started, trained
from torch import multiprocessing

from snnbench.nn.norm import ThresholdDependentBatchNorm2d
from snnbench.train.fast.sync import SynchronisedBatchNorm2d, synchronise


@pytest.mark.parametrize("fused", [False, True], ids=["plain", "fused"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_two_processes_equal_one(tmp_path: Path, dtype: torch.dtype, tolerance: float, fused: bool):
    want = trained(network(dtype), slice(None), dtype)
    multiprocessing.spawn(started, (str(tmp_path), dtype, fused), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert 0 < want["spikes"].mean() < 1
    spikes = torch.cat((first.pop("spikes"), second.pop("spikes")), dim=2)
    assert torch.equal(spikes, want.pop("spikes"))
    for name, value in want.items():
        scale = float(value.abs().max())
        for found in (first, second):
            assert (found[name] - value).abs().max() <= tolerance * scale, name


def test_statistics_of_one_process_alone_differ():
    # what the comparison above would show if nothing were synchronised
    dtype = torch.float64
    want = trained(network(dtype), slice(None), dtype)["0.norm.running_mean"]
    alone = trained(network(dtype), slice(0, SHARES[0]), dtype)["0.norm.running_mean"]
    assert (alone - want).abs().max() > 1e-3


def test_synchronise_keeps_parameters_constants_and_evaluation():
    plain = network(torch.float32)
    before = copy.deepcopy(plain)
    parameters = list(plain.parameters())
    synchronised = synchronise(plain)
    assert synchronised is plain
    assert all(a is b for a, b in zip(plain.parameters(), parameters, strict=True))
    assert list(plain.state_dict()) == list(before.state_dict())
    norms = [m for m in plain.modules() if isinstance(m, ThresholdDependentBatchNorm2d)]
    assert len(norms) == 4
    assert all(isinstance(norm, SynchronisedBatchNorm2d) for norm in norms)
    assert [norm.scale for norm in norms] == [
        m.scale for m in before.modules() if isinstance(m, ThresholdDependentBatchNorm2d)
    ]
    x = batch(0, torch.float32)[0]
    assert torch.equal(plain.eval()(x), before.eval()(x))


def test_without_a_process_group_training_is_as_before():
    plain = network(torch.float32)
    x = batch(0, torch.float32)[0]
    assert torch.equal(synchronise(copy.deepcopy(plain))(x), plain(x))
