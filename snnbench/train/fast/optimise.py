"""Faster views of networks, for training on a CPU."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from snnbench.nn.blocks import PerTimestep, SpikingBlock
from snnbench.nn.neuron import Neuron
from snnbench.nn.norm import ThresholdDependentBatchNorm2d
from snnbench.train.fast.fused import Norm, is_supported, known_spec, spikes_of


def optimise(network: nn.Module) -> nn.Module:
    """A view of a network that trains faster and in less memory on a CPU.

    Neurons with the dynamics of an ``LIF`` take over the tdBN before them
    (``snnbench.train.fast.fused``): those of every ``SpikingBlock``, and those in a ``Sequential``
    that directly follow a ``PerTimestep`` with a tdBN at its end. A ``Sequential`` with a
    ``forward`` of its own must say by ``in_order = True`` that nothing else reads what one layer
    hands to the next. Convolutions before such neurons run with the channel fastest in memory, and
    once for all timesteps if their input is the same at all of them. Outputs and gradients equal
    those of the network up to rounding. Inputs that are not float32, float64 or bfloat16 on a CPU,
    and calls without gradients, are computed as in the network.

    The network itself is not changed. The view has its parameters and buffers, under the same
    names. Hooks on convolutions run in both; the view has neurons and containers of its own, which
    can have their own hooks; a tdBN that a neuron has taken over is not called.

    Args:
        network: Any network; modules that are not recognised are shared with the view.
    """
    if isinstance(network, SpikingBlock) and type(network).forward is SpikingBlock.forward:
        return _block(network)
    # not named_children(), which leaves out a layer's second appearance
    children = {name: child for name, child in network._modules.items() if child is not None}
    if isinstance(network, nn.Sequential) and (
        type(network).forward is nn.Sequential.forward or getattr(network, "in_order", False)
    ):
        children |= _fused_pairs(children)
    views = {name: optimise(child) for name, child in children.items()}
    if all(view is network._modules[name] for name, view in views.items()):
        return network
    return _view(network, views)


class FusedLIF(Neuron):
    """Neurons that normalise their own currents.

    Args:
        neuron: Layer of neurons, which computes what kernels do not support. Like the norms, it
            stays a child of the network, and does not become one of this module.
        norms: Batch norms of the currents, in order.
    """

    def __init__(self, neuron: Neuron, *norms: Norm) -> None:
        super().__init__()
        self._fire = neuron.forward
        self._spec = known_spec(neuron)
        self._norms = norms

    def forward(self, *currents: Tensor) -> Tensor:
        """Spikes of one or two currents before their norms, all [T, N, C, H, W]."""
        if self._spec is not None and is_supported(currents):
            return spikes_of(currents, self._norms, self._spec)
        total, *others = (
            x if norm is None else norm(x.flatten(0, 1)).view_as(x)
            for x, norm in zip(currents, self._norms, strict=True)
        )
        for other in others:
            total = total + other
        spikes: Tensor = self._fire(total)
        return spikes


class _Synapse(PerTimestep):
    """A ``PerTimestep`` without its last layer, which the neuron that follows computes."""

    def forward(self, x: Tensor) -> Tensor:
        *layers, _norm = self
        if not layers:
            return x
        once = x.stride(0) == 0 and all(isinstance(layer, nn.Conv2d) for layer in layers)
        y = (x[:1] if once else x).flatten(0, 1)
        if y.device.type == "cpu":
            y = y.contiguous(memory_format=torch.channels_last)
        for layer in layers:
            y = layer(y)
        y = y.reshape(-1, x.shape[1], *y.shape[1:])
        return y.expand(len(x), *y.shape[1:])


_Fused = tuple[FusedLIF, list[nn.Module]]
"""Neurons with the norms of their currents, and the branches before them without these norms."""


class _Block(nn.Module):
    """A ``SpikingBlock`` whose neurons are ``FusedLIF``, under the same names."""

    def __init__(self, layers: Sequence[_Fused]) -> None:
        super().__init__()
        self.synapses = nn.ModuleList(branches[0] for _, branches in layers)
        self.neurons = nn.ModuleList(neurons for neurons, _ in layers)
        _, last_branches = layers[-1]
        self.shortcut = last_branches[1] if len(last_branches) > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        *inner, last = zip(self.synapses, self.neurons, strict=True)
        y = x
        for synapse, neuron in inner:
            y = neuron(synapse(y))
        synapse, neuron = last
        currents = [synapse(y)]
        if self.shortcut is not None:
            currents.append(self.shortcut(x))
        spikes: Tensor = neuron(*currents)
        return spikes


def _block(block: SpikingBlock) -> nn.Module:
    branches = [[synapse] for synapse in block.synapses]
    if block.shortcut is not None:
        branches[-1].append(block.shortcut)
    layers: list[_Fused] = []
    for neuron, before in zip(block.neurons, branches, strict=True):
        fused = _fused(neuron, before)
        if fused is None:
            return block
        layers.append(fused)
    return _Block(layers)


def _fused_pairs(layers: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """Replacements, by name, for synapses and the neurons that directly follow them."""
    pairs: dict[str, nn.Module] = {}
    for (name, layer), (neuron_name, neuron) in pairwise(layers.items()):
        fused = _fused(neuron, [layer])
        if fused is not None:
            pairs[neuron_name], (pairs[name],) = fused
    return pairs


def _fused(neuron: nn.Module, branches: Sequence[nn.Module]) -> _Fused | None:
    """Move the norms at the ends of a neuron's branches into the neuron, if it has kernels."""
    if not isinstance(neuron, Neuron) or known_spec(neuron) is None:
        return None
    norms: list[Norm] = []
    views: list[nn.Module] = []
    for branch in branches:
        norm = branch[-1] if type(branch) is PerTimestep and len(branch) else None
        if isinstance(norm, ThresholdDependentBatchNorm2d):
            norms.append(norm)
            views.append(_Synapse(OrderedDict(branch.named_children())))
        elif type(branch) is nn.Identity and norms:
            norms.append(None)
            views.append(branch)
        else:
            return None
    return FusedLIF(neuron, *norms), views


def _view(network: nn.Module, children: Mapping[str, nn.Module]) -> nn.Module:
    """A module with other children; its own parameters, buffers and constants are shared."""
    view = copy.copy(network)
    view.__dict__ |= {
        name: type(value)() for name, value in vars(network).items() if name.endswith("_hooks")
    }
    view._modules = {**network._modules, **children}
    return view
