"""Batchnorm-scale-fusion (ZH21 eq. 9-10): inference without normalisation layers."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from snnbench.nn.blocks import PerTimestep
from snnbench.nn.meters import record_spikes
from snnbench.nn.norm import ChannelAffine, ThresholdDependentBatchNorm2d
from snnbench.results.run import Folding

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, ThresholdDependentBatchNorm2d)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldedNetwork:
    """A copy of a network for inference, with the numbers of its former batch norms.

    Attributes:
        model: The copy, in evaluation mode.
        folded: Batch norms that went into the convolution before them.
        affine: Batch norms without such a convolution (identity shortcuts), now ``ChannelAffine``.
        remaining: Batch norms left as they were.
    """

    model: nn.Module
    folded: int
    affine: int
    remaining: int


def fold_batch_norm(model: nn.Module) -> FoldedNetwork:
    """Fold tdBN and batch norms into the convolutions before them (ZH21 eq. 9-10).

    Only where the order of execution is certain, between neighbours of an ``nn.Sequential`` (or a
    ``PerTimestep``). A batch norm there that follows no convolution, or one whose weight a hook
    makes anew at every call (pruning, weight norm), becomes a ``ChannelAffine``.
    Elsewhere, and where a module or weight is shared, it remains. Folding works for a spiking
    network and its twin alike, and is computed in double precision.

    Args:
        model: Any network; left as it is.
    """
    copied = copy.deepcopy(model).eval()
    shared = _shared(copied)
    norms, affines = _count(copied, _BatchNorm), _count(copied, ChannelAffine)
    for chain in [m for m in copied.modules() if _runs_in_order(m)]:
        _fold_chain(chain, shared)
    affine, remaining = _count(copied, ChannelAffine) - affines, _count(copied, _BatchNorm)
    folded = norms - affine - remaining
    return FoldedNetwork(model=copied, folded=folded, affine=affine, remaining=remaining)


def _count(model: nn.Module, kind: type[nn.Module]) -> int:
    return sum(isinstance(module, kind) for module in model.modules())


def _fold_chain(chain: nn.Module, shared: set[nn.Module]) -> None:
    """Fold every batch norm in a chain of layers that is not shared."""
    previous: nn.Module | None = None
    for name, module in list(chain.named_children()):
        if _is_foldable(module) and module not in shared:
            scale, shift = _scale_and_shift(module)
            if isinstance(previous, _ConvNd) and previous not in shared:
                _fold(previous, scale, shift)
                delattr(chain, name)
            else:
                dtype = module.get_buffer("running_mean").dtype
                setattr(chain, name, ChannelAffine(scale.to(dtype), shift.to(dtype)))
            previous = None
        else:
            previous = module if _owns_weights(module) else None


def _is_foldable(module: nn.Module) -> TypeGuard[_BatchNorm]:
    return type(module) in _NORMS and module.running_mean is not None


def _owns_weights(module: nn.Module) -> TypeGuard[_ConvNd]:
    """Return whether this is a convolution whose weights no hook recomputes, as pruning does."""
    if type(module) not in _CONVOLUTIONS:
        return False
    return all(isinstance(t, nn.Parameter | None) for t in (module.weight, module.bias))


def _runs_in_order(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential) and type(module).forward in (
        nn.Sequential.forward,
        PerTimestep.forward,
    )


def _shared(model: nn.Module) -> set[nn.Module]:
    """Modules that are used at more than one place, or whose weight is."""
    modules = Counter(module for _, module in model.named_modules(remove_duplicate=False))
    owners = Counter(id(p) for m in modules for p in m.parameters(recurse=False))
    return {
        module
        for module, places in modules.items()
        if places > 1 or any(owners[id(p)] > 1 for p in module.parameters(recurse=False))
    }


def _scale_and_shift(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """Eq. 9-10 as ``y = scale * x + shift`` per channel, [C] each, float64."""
    mean, var = norm.get_buffer("running_mean").double(), norm.get_buffer("running_var").double()
    scale = (var + norm.eps).rsqrt()
    if isinstance(norm, ThresholdDependentBatchNorm2d):
        scale = scale * norm.scale
    if norm.weight is not None:
        scale = scale * norm.weight.detach().double()
    shift = -mean * scale
    if norm.bias is not None:
        shift = shift + norm.bias.detach().double()
    return scale, shift


def _fold(conv: _ConvNd, scale: Tensor, shift: Tensor) -> None:
    weight = conv.weight
    if conv.bias is not None:
        shift = shift + conv.bias.detach().double() * scale
    for row, factor in zip(weight.detach(), scale, strict=True):  # in double, but never all of it
        row.copy_(row.double() * factor)
    conv.bias = nn.Parameter(shift.to(weight.dtype), requires_grad=weight.requires_grad)


@torch.no_grad()
def measure_folding(model: nn.Module, folded: FoldedNetwork, inputs: Tensor) -> Folding:
    """Run a network and its folded copy on one batch and compare outputs and spikes.

    Args:
        model: The network as it was, in evaluation mode.
        folded: What ``fold_batch_norm`` made of it.
        inputs: One batch.

    Returns:
        Differences over the batch; an ANN has no spikes to compare.
    """
    before_output, before = _output_and_spikes(model, inputs)
    after_output, after = _output_and_spikes(folded.model, inputs)
    flipped = sum(int(torch.count_nonzero(a != b)) for a, b in zip(before, after, strict=True))
    return Folding(
        folded=folded.folded + folded.affine,
        remaining=folded.remaining,
        output_max_abs_difference=float((before_output - after_output).abs().max()),
        output_max_abs=float(before_output.abs().max()),
        flipped_spikes=flipped,
        spike_sites=sum(a.numel() for a in before),
    )


def _output_and_spikes(model: nn.Module, inputs: Tensor) -> tuple[Tensor, list[Tensor]]:
    with record_spikes(model) as spikes:
        output: Tensor = model(inputs)
    return output, list(spikes.values())
