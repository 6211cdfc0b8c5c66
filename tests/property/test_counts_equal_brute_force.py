"""Counts of random networks equal loops over every synapse: the proof of "exact"."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from support import reference
from support.drawn_nets import Case, cases, synapses_with_input
from support.toynets import LIF, FunctionalConv, Residual, Stepwise, ZeroPadded, exact_weights
from torch import Tensor, nn
from torch.nn.modules import pooling

import snnbench
from snnbench.results.counts import DENSE, LayerRecord, OpCount, Profile, op_count

# torch's advice on the speed of padding="same" with even kernels
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")

Frames = list[list[Tensor]]
"""Per model call, per timestep: one tensor [N, ...]."""

POOLS = (pooling._AvgPoolNd, pooling._AdaptiveAvgPoolNd, pooling._MaxPoolNd)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass
class Expected:
    """Sums over the frames one layer saw."""

    dense: int = 0
    in_image: int = 0
    outputs: int = 0
    per_timestep: list[int] = field(default_factory=list)
    per_sample: list[int] = field(default_factory=list)


def _units(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Layers whose rows the test predicts; a padded convolution is one unit with its padding."""
    whole = tuple(n for n, m in model.named_modules() if isinstance(m, ZeroPadded))
    for name, module in model.named_modules():
        inside = any(name.startswith(f"{outer}.") for outer in whole)
        if not inside and name and not isinstance(module, (nn.ModuleList, nn.Sequential)):
            yield name, module


def _record(model: nn.Module, case: Case) -> dict[str, tuple[Frames, Frames]]:
    """Inputs and outputs of every unit, from a run without the profiler."""
    seen: dict[str, tuple[list[Tensor], list[Tensor]]] = {}
    frames: dict[str, tuple[Frames, Frames]] = {name: ([], []) for name, _ in _units(model)}

    def keep(name: str) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
        def hook(module: nn.Module, args: tuple[Tensor], output: Tensor) -> None:
            seen[name][0].append(_cropped(module, args[0]).clone())
            seen[name][1].append(output.clone())

        return hook

    handles = [module.register_forward_hook(keep(name)) for name, module in _units(model)]
    for x in case.inputs:
        seen.update({name: ([], []) for name in frames})
        model(case.arrange(x))
        for name, module in _units(model):
            for stored, tensors in zip(frames[name], seen[name], strict=True):
                stored.append(case.frames(module, tensors, x))
    for handle in handles:
        handle.remove()
    return frames


def _cropped(module: nn.Module, x: Tensor) -> Tensor:
    """The input without what negative padding removes before the convolution can see it."""
    if not isinstance(module, ZeroPadded):
        return x
    return nn.functional.pad(x, [min(amount, 0) for amount in module.amounts])


def _synapse_count(module: nn.Module, x: Tensor) -> reference.Count:
    if isinstance(module, FunctionalConv):
        axes = module.kernel.ndim - 2
        return reference.convolution(
            reference.values(x),
            tuple(module.kernel.shape),
            stride=(1,) * axes,
            padding=[(0, 0)] * axes,
            dilation=(1,) * axes,
            groups=1,
        )
    if isinstance(module, ZeroPadded):
        conv = module.conv
        assert isinstance(conv, nn.modules.conv._ConvNd)
        before, after = (max(amount, 0) for amount in module.amounts[:2])
        return reference.convolution(
            reference.values(x),
            tuple(conv.weight.shape),
            stride=conv.stride,
            padding=[(before + int(p), after + int(p)) for p in conv.padding],
            dilation=conv.dilation,
            groups=conv.groups,
        )
    return reference.of_synapse(module, x)


def _sum(module: nn.Module, frames: Frames) -> Expected:
    total = Expected(per_timestep=[0] * len(frames[0]))
    for call in frames:
        per_sample = [0] * len(call[0])
        for t, x in enumerate(call):
            count = _synapse_count(module, x)
            total.dense += count.dense
            total.in_image += count.in_image
            total.outputs += count.outputs
            total.per_timestep[t] += sum(count.effective)
            per_sample = [a + b for a, b in zip(per_sample, count.effective, strict=True)]
        total.per_sample += per_sample
    return total


def _check_synapse(row: LayerRecord, module: nn.Module, frames: Frames, dense: bool) -> None:
    expected = _sum(module, frames)
    alphabet = DENSE if dense else reference.alphabet(x for call in frames for x in call)
    spikes = alphabet.is_spikes
    assert row.input_alphabet == alphabet
    assert row.dense == op_count(expected.dense, spikes=spikes)
    assert row.in_image == op_count(expected.in_image, spikes=spikes)
    assert row.effective == op_count(sum(expected.per_timestep), spikes=spikes)
    assert row.effective_per_timestep == tuple(expected.per_timestep)
    assert row.effective_per_sample == tuple(expected.per_sample)
    inner = module.conv if isinstance(module, ZeroPadded) else module
    has_bias = getattr(inner, "bias", None) is not None
    assert row.side.bias_adds == (expected.outputs if has_bias else 0)


def _check_neuron(row: LayerRecord, outputs: Frames) -> None:
    nonzero = [[[int(s.count_nonzero()) for s in y] for y in call] for call in outputs]
    sites = sum(y.numel() for call in outputs for y in call)
    assert row.output_sites == row.side.membrane_updates == sites
    assert row.output_spikes == sum(sum(sum(y) for y in call) for call in nonzero)
    assert row.spikes_per_timestep == tuple(
        sum(sum(call[t]) for call in nonzero) for t in range(len(nonzero[0]))
    )
    assert row.spikes_per_sample == tuple(
        sum(spikes) for call in nonzero for spikes in zip(*call, strict=True)
    )
    assert row.output_alphabet == reference.alphabet(y for call in outputs for y in call)


def _row_name(name: str, module: nn.Module) -> str:
    if isinstance(module, FunctionalConv):
        return f"{name}::kernel"
    return f"{name}.conv" if isinstance(module, ZeroPadded) else name


def _check(model: nn.Module, case: Case, profile: Profile) -> None:
    rows = {row.name: row for row in profile.layers}
    modules = dict(_units(model))
    for name, (inputs, outputs) in _record(model, case).items():
        module = modules[name]
        elements = sum(y.numel() for call in outputs for y in call)
        if isinstance(module, nn.Identity):
            continue
        row = rows.pop(_row_name(name, module))
        if isinstance(module, LIF):
            _check_neuron(row, outputs)
        elif isinstance(module, Residual):
            assert row.side.residual_adds == elements
        elif isinstance(module, NORMS):
            assert row.side.norm_ops == elements
        elif isinstance(module, POOLS):
            pairs = [
                p for a, b in zip(inputs, outputs, strict=True) for p in zip(a, b, strict=True)
            ]
            assert row.side.pool_ops == sum(reference.of_pool(module, x, y) for x, y in pairs)
            assert row.dense == row.effective == OpCount()
        else:
            _check_synapse(row, module, inputs, case.dense)
    assert not rows, "rows for layers the network does not have"


MODES = {
    "grad": contextlib.nullcontext,
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
}


@settings(
    max_examples=300,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(cases())
def test_every_row_of_a_random_net_equals_brute_force(case: Case) -> None:
    model = case.model(case.inputs[0])
    for module in model.modules():
        module.training = case.train and not isinstance(module, NORMS)
    with (
        MODES[case.mode](),
        snnbench.profile(
            model,
            timesteps=case.inputs[0].shape[0],
            layout=case.layout,
            strict=True,
            dense=case.dense,
            neurons=(LIF,),
        ) as p,
    ):
        for x in case.inputs:
            model(case.arrange(x))
    assert p.result.samples == sum(x.shape[1] for x in case.inputs)
    assert p.result.timesteps == case.inputs[0].shape[0]
    assert p.result.uncounted == ()
    with torch.no_grad():
        _check(model, case, p.result)


def _ones_like_layer(layer: nn.Module) -> nn.Module:
    for parameter in layer.parameters():
        nn.init.ones_(parameter)
    if getattr(layer, "bias", None) is not None:
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer.double()


@settings(max_examples=60)
@given(synapses_with_input())
def test_the_reference_equals_a_layer_of_ones(drawn: tuple[nn.Module, Tensor]) -> None:
    """A layer of ones sums the inputs each output can see: on a mask, that counts the triples."""
    layer, x = drawn
    count = reference.of_synapse(layer, x)
    for name, parameter in layer.named_parameters():
        nn.init.constant_(parameter, 0.0 if name == "bias" else 1.0)
    layer.double()
    with torch.no_grad():
        mask = (x != 0).double()
        assert count.in_image == layer(torch.ones_like(mask)).sum().item()
        per_sample = layer(mask).flatten(1).sum(1)
    assert count.effective == tuple(int(s) for s in per_sample)


@pytest.mark.parametrize("kernel", [1, 2, 3])
def test_a_wrong_count_is_noticed(kernel: int) -> None:
    """The comparison can fail: another kernel gives another row."""
    right = Stepwise([nn.Conv1d(1, 1, kernel), LIF()])
    exact_weights(right, seed=1)
    x = torch.ones(2, 1, 1, 5)
    case = Case([], [x], "loop", "step", "grad", False, False)
    with snnbench.profile(right, timesteps=2, layout="step", neurons=(LIF,)) as p:
        right(x)
    with torch.no_grad():
        _check(right, case, p.result)
    wrong = Stepwise([nn.Conv1d(1, 1, kernel % 3 + 1), LIF()])
    exact_weights(wrong, seed=1)
    with torch.no_grad(), pytest.raises(AssertionError):
        _check(wrong, case, p.result)
