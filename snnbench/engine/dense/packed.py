"""Dense inference at its best on a CPU: the baseline that an event-driven engine has to beat.

oneDNN reorders the weights of a convolution on every call; here it does so once. Activations stay
channels last, ReLU and residual addition run inside the convolution before them, a LIF is one pass
over memory, and layers whose input is the same at every timestep run once.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections import Counter, OrderedDict
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn

from snnbench.engine.dense.lif import FusedLIF
from snnbench.engine.neurons import known_spec
from snnbench.nn.blocks import PerTimestep, SpikingBlock

_FEWEST_ROWS = 2
_FEWEST_WEIGHTS = 2**16
"""A linear layer with fewer weights is faster in PyTorch, measured on a Zen 5 CPU."""


@torch.inference_mode()
def prepack(model: nn.Module, example: Tensor | None = None) -> nn.Module:
    """Prepare a network for dense inference at its fastest.

    Where oneDNN or a kernel is missing the layer stays as it is; ``unpackable`` says why. Sums are
    rounded in another order, so outputs agree to rounding, and a potential at the threshold may
    flip a spike.

    Args:
        model: A network without batch norms to fold (``fold_batch_norm``), without hooks; left as
            it is. Weights share its memory until they are laid out.
        example: Input; weights are laid out for its shape now, for another, and without an
            example, at the first call.

    Returns:
        A network to call as before, for inference only. It may be pickled; weights are then laid
        out again at the first call.
    """
    weights = {id(p): nn.Parameter(p.detach(), requires_grad=False) for p in model.parameters()}
    copied = copy.deepcopy(model, weights).eval()
    places = Counter(module for _, module in copied.named_modules(remove_duplicate=False))
    shared = {module for module, count in places.items() if count > 1}
    packed = _convert(copied, shared, {})
    if example is not None:
        packed(example)
    return packed


def unpackable(layer: nn.Module) -> str | None:
    """Say why a convolution or linear layer runs as plain PyTorch; ``None`` if it need not."""
    if type(layer) not in (nn.Conv2d, nn.Linear):
        return f"{type(layer).__name__} has no prepacked kernel"
    weight = layer.get_parameter("weight")
    linear = isinstance(layer, nn.Linear)
    padding_mode, padding = getattr(layer, "padding_mode", "zeros"), getattr(layer, "padding", 0)
    limits = (
        (weight.device.type != "cpu", f"oneDNN runs on a CPU, the weights are on {weight.device}"),
        (weight.dtype != torch.float32, f"packed kernels are float32, weights {weight.dtype}"),
        (not _has_kernels(), "this PyTorch has no oneDNN"),
        (padding_mode != "zeros", f"oneDNN pads with zeros, not {padding_mode}"),
        (isinstance(padding, str), f"padding is {padding!r}, oneDNN wants numbers"),
        (linear and weight.numel() < _FEWEST_WEIGHTS, f"faster unpacked: {weight.numel()} weights"),
    )
    return next((reason for applies, reason in limits if applies), None)


def _has_kernels() -> bool:
    names = "_reorder_convolution_weight", "_convolution_pointwise", "_linear_pointwise"
    return torch.backends.mkldnn.is_available() and all(
        hasattr(torch.ops.mkldnn, name) for name in names
    )


class _Packed(nn.Module, ABC):
    """A layer whose weights are laid out for one shape of input, and kept in that layout alone."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.bias: Tensor | None = cast("nn.Linear | nn.Conv2d", layer).bias
        # weights with the shape they are laid out for, in one tuple that threads replace at once
        self._weights: tuple[torch.Size | None, Tensor] = None, layer.get_parameter("weight").data

    def _weights_for(self, shape: torch.Size) -> Tensor:
        weights = self._weights
        if weights[0] != shape:
            weights = self._weights = shape, self._reorder(_plain(weights[1]), shape)
        return weights[1]

    @abstractmethod
    def _reorder(self, weight: Tensor, shape: torch.Size) -> Tensor:
        """Lay out weights as oneDNN wants them for inputs of this shape."""

    def __getstate__(self) -> dict[str, Any]:
        # oneDNN's layouts cannot be pickled
        return self.__dict__ | {"_weights": (None, _plain(self._weights[1]))}


def _plain(weight: Tensor) -> Tensor:
    return weight.to_dense() if weight.is_mkldnn else weight


class PackedConv2d(_Packed):
    """A convolution with weights reordered once, and what follows it fused.

    Attributes:
        relu: Whether a ReLU follows, after the residual addition.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__(conv)
        self.relu = False
        geometry = conv.padding, conv.stride, conv.dilation
        self._options = *(list(sizes) for sizes in geometry), conv.groups

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """Convolve and add, [B, C, H, W] -> [B, C', H', W'], channels last in memory."""
        x = x.contiguous(memory_format=torch.channels_last)
        weight = self._weights_for(x.shape)
        shared = weight, self.bias, *self._options
        convolve = torch.ops.mkldnn._convolution_pointwise
        y: Tensor
        if residual is None:
            y = convolve.default(x, *shared, "relu" if self.relu else "none", [], "")
            return y
        residual = residual.contiguous(memory_format=torch.channels_last)
        relu = "relu" if self.relu else None
        y = convolve.binary(x, residual, *shared, "add", None, relu, [], None)
        return y

    def _reorder(self, weight: Tensor, shape: torch.Size) -> Tensor:
        reorder = torch.ops.mkldnn._reorder_convolution_weight
        reordered: Tensor = reorder(weight, *self._options, list(shape))
        return reordered


class PackedLinear(_Packed):
    """A linear layer with weights reordered once; PyTorch computes a single row of input."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__(layer)
        self.weight = layer.get_parameter("weight")

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., F] to [..., F']."""
        rows = x.reshape(-1, x.shape[-1])
        if len(rows) < _FEWEST_ROWS:
            return nn.functional.linear(x, self.weight, self.bias)
        weight = self._weights_for(rows.shape)
        y: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, self.bias, "none", [], "")
        return y.reshape(*x.shape[:-1], y.shape[-1])

    def _reorder(self, weight: Tensor, shape: torch.Size) -> Tensor:
        reordered: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, shape[0])
        return reordered


class StaticPerTimestep(PerTimestep):
    """Layers that do not mix timesteps, run once if all timesteps have the same input."""

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """Run the children; a residual, [T, N, ...], goes to the last, which must take it."""
        if residual is None and len(x) > 1 and x.stride(0) == 0:
            once = super().forward(x[:1])
            return once.expand(len(x), *once.shape[1:])
        if residual is None:
            return super().forward(x)
        y = x.flatten(0, 1)
        *inner, last = self
        for layer in inner:
            y = layer(y)
        summed: Tensor = last(y, residual.flatten(0, 1))
        return summed.reshape(*x.shape[:2], *summed.shape[1:])


class _FusedBlock(nn.Module):
    """A spiking block, or its ReLU twin, that adds its shortcut inside the last convolution."""

    def __init__(self, block: SpikingBlock) -> None:
        super().__init__()
        self.synapses, self.neurons, self.shortcut = block.synapses, block.neurons, block.shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = x
        *inner, last = zip(self.synapses, self.neurons, strict=True)
        for synapse, neuron in inner:
            y = neuron(synapse(y))
        synapse, neuron = last
        spikes: Tensor = neuron(synapse(y, self.shortcut(x)))  # type: ignore[misc]
        return spikes


def _convert(
    module: nn.Module, shared: set[nn.Module], done: dict[nn.Module, nn.Module]
) -> nn.Module:
    """Convert a module for inference, its children first."""
    if module not in done:
        for name, child in list(module._modules.items()):
            if child is not None:
                setattr(module, name, _convert(child, shared, done))
        done[module] = _converted(module, shared)
        if module in shared:
            shared.add(done[module])
    return done[module]


def _converted(module: nn.Module, shared: set[nn.Module]) -> nn.Module:
    kind, spec = type(module), known_spec(module)
    if spec is not None:
        return FusedLIF(spec)
    if kind in _PACKED:
        return module if unpackable(module) else _PACKED[kind](module)
    if kind is PerTimestep:
        module = StaticPerTimestep(OrderedDict(module.named_children()))
    if kind in (nn.Sequential, PerTimestep):
        _fuse_relus(list(module.named_children()), module, shared)
    return _fused_block(module, shared) if isinstance(module, SpikingBlock) else module


def _fused_block(block: SpikingBlock, shared: set[nn.Module]) -> nn.Module:
    if type(block).forward is not SpikingBlock.forward:
        return block
    joins = block.shortcut is not None
    fuses = not joins or _last_convolution(block.synapses[-1], shared) is not None
    for index, (synapse, neuron) in enumerate(zip(block.synapses, block.neurons, strict=True)):
        if fuses or index + 1 < len(block.synapses):
            _fuse_relus([("", synapse), (str(index), neuron)], block.neurons, shared)
    return _FusedBlock(block) if joins and fuses else block


def _fuse_relus(
    chain: list[tuple[str, nn.Module]], owner: nn.Module, shared: set[nn.Module]
) -> None:
    """Move each ReLU of a chain of the owner's children into the convolution before it."""
    for (_, before), (name, module) in pairwise(chain):
        convolution = _last_convolution(before, shared)
        if type(module) is nn.ReLU and convolution is not None:
            convolution.relu = True
            setattr(owner, name, nn.Identity())


def _last_convolution(module: nn.Module, shared: set[nn.Module]) -> PackedConv2d | None:
    """Find the packed convolution at the end of a chain of layers, if it is used only there."""
    if module in shared:
        return None
    if isinstance(module, PackedConv2d):
        return module
    if type(module) in (StaticPerTimestep, nn.Sequential) and len(module):  # type: ignore[arg-type]
        return _last_convolution(module[-1], shared)  # type: ignore[index]
    return None


_PACKED: dict[type[nn.Module], type[_Packed]] = {nn.Conv2d: PackedConv2d, nn.Linear: PackedLinear}
