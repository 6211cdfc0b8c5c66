"""Golden tables of a tiny residual SNN whose arithmetic is exact on every machine.

Weights and inputs are small multiples of powers of two, so no sum rounds and no platform flips a
spike. The files were read by hand once; the invariants are recomputed here on every run.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

import pytest
import torch
from pytest_regressions.file_regression import FileRegressionFixture
from torch import nn

import snnbench
from snnbench.nn.blocks import PerTimestep, SpikingBlock, conv_norm
from snnbench.nn.neuron import LIF
from snnbench.nn.twin import ann_twin
from snnbench.results.counts import Profile

T, N = 3, 2


@pytest.fixture(scope="module")
def network() -> nn.Module:
    net = nn.Sequential(
        OrderedDict(
            stem=conv_norm(2, 8, 3, threshold=1.0),
            stem_lif=LIF(),
            block=SpikingBlock("basic", 8, 16, stride=2, neuron=partial(LIF), shortcut="paper"),
            pool=PerTimestep(nn.AvgPool2d(2), nn.Flatten()),
            head=nn.Linear(64, 4),
        )
    ).eval()
    for index, (name, parameter) in enumerate(sorted(net.named_parameters())):
        if parameter.dim() > 1:
            pattern = torch.arange(parameter.numel()) * (7 + 2 * index) % 11 - 5
            parameter.data = (pattern / 8).reshape(parameter.shape)
        elif "norm" not in name:
            parameter.data.fill_(-0.5)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):  # variance + eps = 1: scaling is exact
            module.eps = 0.5
            module.get_buffer("running_var").fill_(0.5)
            module.weight.data.fill_(1.0 / getattr(module, "scale", 1.0))
    return net


@pytest.fixture(scope="module")
def spiking(network: nn.Module) -> Profile:
    x = (torch.arange(T * N * 2 * 8 * 8) * 5 % 9 % 2).float().reshape(T, N, 2, 8, 8)
    with torch.no_grad(), snnbench.profile(network, timesteps=T, layout="TN", strict=True) as p:
        network(x)
    return p.result


@pytest.fixture(scope="module")
def dense(network: nn.Module) -> Profile:
    x = (torch.arange(N * 2 * 8 * 8) % 7 / 8).reshape(1, N, 2, 8, 8)
    with (
        torch.no_grad(),
        snnbench.profile(
            twin := ann_twin(network), timesteps=1, layout="TN", strict=True, dense=True
        ) as p,
    ):
        twin(x)
    return p.result


@pytest.mark.parametrize("which", ["spiking", "dense"])
def test_layer_table(
    which: str, request: pytest.FixtureRequest, file_regression: FileRegressionFixture
) -> None:
    profile: Profile = request.getfixturevalue(which)
    file_regression.check(profile.table().to_csv(index=False), extension=".csv")


@pytest.mark.parametrize("which", ["spiking", "dense"])
def test_invariants(which: str, request: pytest.FixtureRequest) -> None:
    profile: Profile = request.getfixturevalue(which)
    assert profile.uncounted == ()
    assert profile.uncalled == ()
    assert profile.coverage == 1.0
    for layer in profile.layers:
        assert layer.effective.synops <= layer.in_image.synops <= layer.dense.synops
        for split in (layer.effective_per_timestep, layer.effective_per_sample):
            assert split is None or sum(split) == layer.effective.synops
        for split in (layer.spikes_per_timestep, layer.spikes_per_sample):
            assert split is None or sum(split) == layer.output_spikes
    assert profile.effective.synops == sum(row.effective.synops for row in profile.layers)
    # stem 3x3 on 8x8: 8 x 2 x 9 x 64; block: 16 x 8 x 9 x 16, 16 x 16 x 9 x 16, 1x1 16 x 8 x 16;
    # head 64 x 4: per image and timestep
    per_step = 9216 + 18432 + 36864 + 2048 + 256
    assert profile.dense.synops == per_step * N * (profile.timesteps or 0)


def test_every_layer_spikes(spiking: Profile) -> None:
    assert all(0 < (layer.firing_rate or 0) < 1 for layer in spiking.neurons)
