"""Profiles made in several processes merge to that of one."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import torch

import snnbench
from snnbench.results.counts import Profile
from snnbench.zoo.registry import get

RANKS = 2


def counted(rank: int, ranks: int) -> Profile:
    """A rank's share of the samples, as a data-parallel evaluation would count them."""
    torch.manual_seed(0)
    # float64: in float32 a convolution of another batch rounds differently, and spikes may flip
    network = get("resnet19").build(timesteps=2, width=0.0625).double().eval()
    samples = torch.randn(4, 3, 32, 32, dtype=torch.float64)
    with snnbench.profile(network, timesteps=2) as p, torch.no_grad():
        network(samples[rank::ranks])
    return p.result


def test_counts_of_two_processes_are_those_of_one(tmp_path: Path) -> None:
    files = [tmp_path / str(rank) for rank in range(RANKS)]
    for rank, file in enumerate(files):
        subprocess.run([sys.executable, __file__, str(rank), str(file)], check=True)
    first, second = (pickle.loads(file.read_bytes()) for file in files)
    merged, alone = first.merge(second), counted(0, 1)
    assert merged.samples == alone.samples == 4
    for ours, theirs in zip(merged.layers, alone.layers, strict=True):
        assert ours.calls == RANKS * theirs.calls
        assert (ours.spikes_per_sample is None) == (theirs.spikes_per_sample is None)
        # rank by rank, so in another order
        assert sorted(ours.spikes_per_sample or ()) == sorted(theirs.spikes_per_sample or ())
        same = {"calls": 0, "spikes_per_sample": None, "effective_per_sample": None}
        assert replace(ours, **same) == replace(theirs, **same)
    assert sum(layer.output_spikes or 0 for layer in alone.layers) > 0


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(pickle.dumps(counted(int(sys.argv[1]), RANKS)))
