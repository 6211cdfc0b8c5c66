"""The ANN twin of a spiking network: the same graph with other neurons, run once (T = 1)."""

from __future__ import annotations

import copy

from torch import nn

from snnbench.core.errors import StructureError
from snnbench.nn.neuron import Neuron, neurons_in, parts_of
from snnbench.nn.norm import ThresholdDependentBatchNorm2d
from snnbench.results.run import Check


def ann_twin(snn: nn.Module) -> nn.Module:
    """Structural copy of a spiking network as an ordinary ANN.

    Convolutions and linear layers keep their weights; every ``Neuron`` becomes its ``twin()``, a
    ``ReLU`` unless it says otherwise; every tdBN becomes a ``BatchNorm2d`` with the same scale and
    shift but fresh running statistics, since those of spikes say nothing about activations (see
    ``calibrate_batch_norm``); every ``timesteps`` attribute becomes 1. The forward code is the
    spiking network's own, so the twin's dense MACs are those of one timestep.

    Args:
        snn: Network built of ``snnbench.nn`` and stateless PyTorch modules; left as it is.

    Raises:
        StructureError: There is no neuron to replace.
    """
    twin = copy.deepcopy(snn)
    if not any(isinstance(module, Neuron) for module in twin.modules()):
        msg = (
            f"{type(snn).__name__} has no neurons of snnbench.nn, so it has no ANN twin; "
            "pass a twin of your own"
        )
        raise StructureError(msg)
    twin = _replace(twin, {})
    run_one_timestep(twin)
    return twin


def run_one_timestep(network: nn.Module) -> None:
    """Set every ``timesteps`` attribute in a network to 1."""
    for module in network.modules():
        if isinstance(getattr(module, "timesteps", None), int):
            module.timesteps = 1  # type: ignore[assignment]


def _replace(module: nn.Module, done: dict[nn.Module, nn.Module]) -> nn.Module:
    """Make a module and all in it layers of an ANN; a module used twice is made once."""
    if module not in done:
        done[module] = _to_ann(module)
        for name, child in list(module._modules.items()):
            if child is not None:
                setattr(module, name, _replace(child, done))
    return done[module]


def _to_ann(module: nn.Module) -> nn.Module:
    if isinstance(module, Neuron):
        return module.twin().train(module.training)
    if isinstance(module, ThresholdDependentBatchNorm2d):
        norm = nn.BatchNorm2d(
            module.num_features,
            eps=module.eps,
            momentum=module.momentum,
            device=module.weight.device,
            dtype=module.weight.dtype,
        )
        norm.weight, norm.bias = module.weight, module.bias
        return norm.train(module.training)
    return module


def check_twin(snn: nn.Module, twin: nn.Module) -> tuple[Check, ...]:
    """Compare the structure of a spiking network and its twin.

    Args:
        snn: The spiking network.
        twin: Its ANN twin.

    Returns:
        Three checks: parameters outside neurons have equal names and shapes, there are as many
        activations as neurons, and no neuron and no tdBN is left.
    """
    neurons = neurons_in(snn)
    inside = parts_of(neurons)
    ours, theirs = (
        {n: tuple(p.shape) for n, p in model.named_parameters() if not n.startswith(inside)}
        for model in (snn, twin)
    )
    unequal = sorted(n for n in ours.keys() | theirs.keys() if ours.get(n) != theirs.get(n))
    kinds = tuple({type(neuron.twin()) for neuron in neurons.values()})
    ours_at, theirs_at = (
        {n for n, m in model.named_modules() if isinstance(m, kinds) and not n.startswith(inside)}
        for model in (snn, twin)
    )
    activations = len(theirs_at) - len(ours_at)
    spiking = Neuron, ThresholdDependentBatchNorm2d
    left = sum(isinstance(module, spiking) for module in twin.modules())
    return (
        Check(
            name="twin parameter shapes",
            expected=len(ours),
            measured=len(ours.keys() | theirs.keys()) - len(unequal),
            ok=not unequal,
            note=f"first difference at {unequal[0]}" if unequal else "",
        ),
        Check(
            name="twin activations for neurons",
            expected=len(neurons),
            measured=activations,
            ok=len(neurons) == activations,
        ),
        Check(name="twin spiking layers left", expected=0, measured=left, ok=left == 0),
    )
