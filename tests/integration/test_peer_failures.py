"""What other counters get wrong, each as a test with its arithmetic.

Every failure was observed on a released counter for spiking or conventional networks; the network
``Tiny`` is the smallest that shows most of them (padding, stride, groups, a residual block, an
average pool, layers of equal name, T = 4).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from support import reference
from support.counting import count, rows_of
from support.toynets import LIF, Tiny, fire
from torch import Tensor, nn

import snnbench
from snnbench.core.errors import UncountedOperationError
from snnbench.results.counts import OpCount, Profile, Role

T, N = 4, 3
SYNAPSES = ("conv1", "block.conv1", "block.conv2", "block.shortcut", "fc")


def frames(kind: str) -> Tensor:
    """Input of ``Tiny``, [T, N, 2, 9, 9], exact in float32."""
    generator = torch.Generator().manual_seed(11)
    shape = (T, N, 2, 9, 9)
    if kind == "float":
        return torch.randint(-64, 65, shape, generator=generator) / 64
    low, high = {"event": (0, 2), "ternary": (-1, 2), "count": (0, 4)}[kind]
    return torch.randint(low, high, shape, generator=generator).float()


def brute_force(model: nn.Module, x: Tensor) -> dict[str, tuple[OpCount, OpCount, OpCount]]:
    """(dense, in image, effective) of every synapse of ``Tiny``, from a plain run."""
    inputs: dict[str, list[Tensor]] = {name: [] for name in SYNAPSES}
    handles = [
        model.get_submodule(name).register_forward_pre_hook(
            lambda _, args, name=name: inputs[name].append(args[0].clone())
        )
        for name in SYNAPSES
    ]
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    expected = {}
    for name, tensors in inputs.items():
        counts = [reference.of_synapse(model.get_submodule(name), t) for t in tensors]
        kind = "acs" if reference.alphabet(tensors).is_spikes else "macs"
        dense = sum(c.dense for c in counts)
        in_image = sum(c.in_image for c in counts)
        effective = sum(sum(c.effective) for c in counts)
        expected[name] = (
            OpCount(**{kind: dense}),
            OpCount(**{kind: in_image}),
            OpCount(**{kind: effective}),
        )
    return expected


def counted(profile: Profile) -> dict[str, tuple[OpCount, OpCount, OpCount]]:
    rows = [layer for layer in profile.layers if layer.name in SYNAPSES]
    return {layer.name: (layer.dense, layer.in_image, layer.effective) for layer in rows}


# -- one network, every coding of its input --


@pytest.mark.parametrize("time_first", [False, True])
@pytest.mark.parametrize("kind", ["float", "event", "ternary", "count"])
def test_tiny_equals_brute_force_row_by_row(kind: str, time_first: bool) -> None:
    """Others are off by 16 % to 158 % here: padding, biases, pools or norms in the total."""
    x = frames(kind)
    profile = count(Tiny(time_first=time_first), x, timesteps=T)
    assert counted(profile) == brute_force(Tiny(), x)
    # per sample and timestep, padding included: conv1 4*81*2*9, block.conv1 8*25*4*9,
    # block.conv2 8*25*4*9, shortcut 8*25*4, fc 5*32 = 5832 + 7200 + 7200 + 800 + 160 = 21192
    assert profile.dense.synops == 21192 * T * N
    assert (profile.samples, profile.timesteps) == (N, T)


def test_padding_is_not_counted_as_work() -> None:
    """rate x dense overcounts padded layers (+20 to +28 % on this net)."""
    profile = count(Tiny(), torch.ones(T, N, 2, 9, 9), timesteps=T)
    # conv1 on ones: a 3x3 window with padding 1 covers 9*3 - 2 = 25 (tap, position) pairs an axis:
    # 25*25 of 27*27 = 729 taps, times 2 inputs and 4 outputs
    conv = rows_of(profile)["conv1"]
    assert conv.effective == OpCount(acs=25 * 25 * 2 * 4 * T * N)
    assert conv.dense == OpCount(acs=27 * 27 * 2 * 4 * T * N)


# -- silence --


@pytest.mark.parametrize("inside", [False, True])
def test_inference_mode_counts_are_not_silently_zero(inside: bool) -> None:
    """Composite operations arrive undecomposed in inference mode, where a table can miss them."""
    x = frames("event")
    model = Tiny()
    if inside:
        with snnbench.profile(model, timesteps=T, neurons=(LIF,)) as p, torch.inference_mode():
            model(x)
    else:
        with torch.inference_mode(), snnbench.profile(model, timesteps=T, neurons=(LIF,)) as p:
            model(x)
    assert counted(p.result) == brute_force(Tiny(), x)


@pytest.mark.parametrize("context", [torch.enable_grad, torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("train", [False, True])
def test_grad_and_train_modes_do_not_change_counts(context: Callable[[], Any], train: bool) -> None:
    x = frames("event")
    model = Tiny().train(train)
    with context(), snnbench.profile(model, timesteps=T, neurons=(LIF,)) as p:
        model(x)
    assert counted(p.result) == brute_force(Tiny(), x)


def test_autocast_does_not_change_counts_of_spikes() -> None:
    """bfloat16 holds 0 and 1 exactly, but a sum of 300 ones in bfloat16 is 256."""
    model = nn.Linear(300, 2, bias=False)
    x = torch.ones(1, 300)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), snnbench.profile(model) as p:
        model(x)
    (fc,) = p.result.layers
    assert fc.name == "(model)"
    assert fc.effective == OpCount(acs=300 * 2)


class Distances(nn.Module):
    """An operation without a rule."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cdist(x, x)


def test_an_uncounted_operation_is_listed_and_fatal_when_strict() -> None:
    model = nn.Sequential(nn.Linear(3, 3), Distances())
    x = torch.ones(1, 4, 3)
    with torch.no_grad(), snnbench.profile(model) as p:
        model(x)
    assert [(item.module, item.calls) for item in p.result.uncounted] == [("1", 1)]
    assert p.result.coverage is None
    assert any("not counted" in warning for warning in p.result.warnings)
    with (
        torch.no_grad(),
        pytest.raises(UncountedOperationError, match=r"cdist.* in module 1 "),
        snnbench.profile(model, strict=True),
    ):
        model(x)


def test_an_error_in_the_model_is_raised_and_not_turned_into_zero() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        count(nn.Linear(3, 2), torch.ones(1, 4))


def test_a_layer_that_never_ran_is_named() -> None:
    class Partly(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used = nn.Linear(2, 2)
            self.unused = nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.used(x)
            return y

    assert count(Partly(), torch.ones(1, 2)).uncalled == ("unused",)


# -- names, time and samples --


def test_rows_with_equal_attribute_names_stay_apart() -> None:
    """``conv1`` and ``lif`` exist in the net and in its block; others merge them by local name."""
    names = [layer.name for layer in count(Tiny(), frames("event"), timesteps=T).layers]
    assert {"conv1", "block.conv1", "lif", "block.lif", "block.lif2"} <= set(names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("layout", ["auto", "TN"])
def test_time_first_input_is_not_divided_by_timesteps(layout: str) -> None:
    """A counter that takes the first dimension for the batch divides by T instead of N."""
    x = frames("event")
    profile = count(Tiny(time_first=True), x, timesteps=T, layout=layout)
    stepwise = count(Tiny(), x, timesteps=T)
    assert (profile.samples, profile.timesteps) == (N, T)
    for many, one in zip(profile.neurons, stepwise.neurons, strict=True):
        assert many.spikes_per_timestep == one.spikes_per_timestep
        assert many.spikes_per_sample == one.spikes_per_sample


def test_a_firing_rate_never_exceeds_one_spike_per_timestep() -> None:
    """Dividing by model calls instead of timesteps printed a rate of 400 %."""

    class Always(LIF):
        def step(self, x: Tensor) -> Tensor:
            return torch.ones_like(x)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lif = Always()

        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([self.lif(x) for _ in range(T)])

    profile = count(Net(), torch.zeros(N, 6))
    (neuron,) = profile.neurons
    assert (profile.timesteps, profile.samples) == (T, N)
    assert neuron.firing_rate == 1.0
    assert neuron.spikes_per_neuron(profile.timesteps) == T
    assert neuron.spikes_per_timestep == (N * 6,) * T


def test_all_samples_and_all_calls_are_counted_not_the_last_or_first() -> None:
    """Rates from ``output[0]`` or from the last forward only are wrong by construction."""
    x = frames("event")
    model = Tiny()
    with torch.no_grad(), snnbench.profile(model, timesteps=T, neurons=(LIF,)) as p:
        for sample in x.split(1, dim=1):
            model(sample)
    whole = count(Tiny(), x, timesteps=T)
    for mine, theirs in zip(p.result.layers, whole.layers, strict=True):
        assert mine.effective == theirs.effective
        assert mine.effective_per_sample == theirs.effective_per_sample
        assert mine.spikes_per_sample == theirs.spikes_per_sample
    assert p.result.samples == whole.samples == N


def test_merged_batches_equal_one_run() -> None:
    x = frames("float")
    parts = [count(Tiny(), sample, timesteps=T) for sample in x.split(1, dim=1)]
    merged = parts[0].merge(parts[1]).merge(parts[2])
    whole = count(Tiny(), x, timesteps=T)
    assert counted(merged) == counted(whole)
    assert merged.side == whole.side
    assert merged.samples == whole.samples


def test_linear_on_three_dimensions_multiplies_by_all_of_them() -> None:
    """[11, 3, 4] into 5 outputs: 11 * 3 rows of 4 * 5; multiplying by 11 alone gives 220."""
    x = torch.ones(11, 3, 4)
    assert count(nn.Linear(4, 5), x).dense == OpCount(acs=11 * 3 * 4 * 5)


def test_residual_block_is_entered_and_its_addition_reported() -> None:
    profile = count(Tiny(), frames("event"), timesteps=T)
    block = rows_of(profile)["block"]
    assert block.role is Role.ADD
    assert block.side.residual_adds == 8 * 25 * T * N
    assert profile.side.residual_adds == block.side.residual_adds


def test_the_model_is_left_as_it_was() -> None:
    model = Tiny()
    x = frames("event")
    with torch.no_grad():
        before = model(x)
    state, attributes = set(model.state_dict()), set(vars(model.conv1))
    count(model, x, timesteps=T)
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())
    assert (set(model.state_dict()), set(vars(model.conv1))) == (state, attributes)
    with torch.no_grad():
        assert torch.equal(model(x), before)


def test_multi_step_neuron_helper_keeps_the_order_of_time() -> None:
    """The oracle's own foundation: both forms of ``Tiny`` compute the same."""
    x = frames("float")
    with torch.no_grad():
        assert torch.equal(Tiny()(x), Tiny(time_first=True)(x))
    assert torch.equal(fire(nn.Identity(), x), x)
