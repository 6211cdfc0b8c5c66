"""tdBN over several processes: the statistics of the global batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed as dist, nn
from torch.autograd.function import once_differentiable

from snnbench.nn.norm import ThresholdDependentBatchNorm2d


@dataclass(frozen=True, slots=True)
class Moments:
    """Statistics per channel of a batch, or of what processes have of it.

    Attributes:
        count: Elements per channel.
        mean: float64, [C].
        var: Biased, float64, [C].
    """

    count: float
    mean: Tensor
    var: Tensor


def moments_of(x: Tensor) -> Moments:
    """Moments over all dimensions of [B, C, H, W] but the second."""
    wide = x if x.dtype is torch.float64 else x.float()
    var, mean = torch.var_mean(wide, dim=(0, 2, 3), correction=0)
    return Moments(x.numel() / max(x.shape[1], 1), mean.double(), var.double())


def joined(own: Moments, group: dist.ProcessGroup | None) -> Moments:
    """Moments of the batches of all processes, in one collective call.

    Args:
        own: Statistics of this process; the numbers of elements may differ.
        group: ``None`` for the default group.
    """
    C = len(own.mean)
    packed = torch.cat((own.mean.new_tensor([own.count]), own.mean, own.var))
    parts = [torch.empty_like(packed) for _ in range(dist.get_world_size(group))]
    dist.all_gather(parts, packed, group=group)
    counts, means, variances = torch.stack(parts).split((1, C, C), dim=1)
    count = counts.sum()
    share = counts / count
    mean = (share * means).sum(0)
    var = (share * (variances + (means - mean) ** 2)).sum(0)
    return Moments(float(count), mean, var)


class SynchronisedBatchNorm2d(ThresholdDependentBatchNorm2d):
    """tdBN whose statistics, in training mode, are those of the batches of all processes.

    Evaluation mode is that of plain tdBN. Gradients of ``weight`` and ``bias`` are those of this
    process's batch, as other parameters' are; DistributedDataParallel averages them.

    Attributes:
        group: Processes that share the statistics, ``None`` for the default group.
    """

    group: dist.ProcessGroup | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Normalise, [T*N, C, H, W] -> [T*N, C, H, W]."""
        if not (self.training and dist.is_initialized()):
            return super().forward(x)
        self._check_input_dim(x)
        moments = joined(moments_of(x), self.group)
        self.track(moments.mean, moments.var, moments.count)
        y: Tensor = _Normalise.apply(  # type: ignore[no-untyped-call]
            x, self, moments, self.weight * self.scale, self.bias
        )
        return y


def synchronise(network: nn.Module, group: dist.ProcessGroup | None = None) -> nn.Module:
    """Let every tdBN take its statistics over processes; parameters and buffers stay the objects.

    Call it on every process, before ``snnbench.train.fast.optimise.optimise`` and before
    DistributedDataParallel. Without an initialised process group, training stays as it was.

    Args:
        network: Changed in place.
        group: Processes that share the statistics, ``None`` for the default group.

    Returns:
        The network; another module only if the network is a tdBN itself.
    """
    if isinstance(network, ThresholdDependentBatchNorm2d):
        norm = SynchronisedBatchNorm2d.__new__(SynchronisedBatchNorm2d)
        norm.__dict__.update(vars(network))
        norm.group = group
        return norm
    for name, child in network.named_children():
        setattr(network, name, synchronise(child, group))
    return network


class _Normalise(torch.autograd.Function):
    """``weight * (x - mean) / sqrt(var + eps) + bias`` with the moments of all processes."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, norm: SynchronisedBatchNorm2d, moments: Moments, *parameters: Tensor
    ) -> Tensor:
        weight, bias = parameters
        inverse = (moments.var + norm.eps).rsqrt()
        ctx.save_for_backward(x, weight, moments.mean, inverse)
        ctx.count, ctx.group = moments.count, norm.group
        scale = weight * inverse
        return _affine(x, scale, bias - moments.mean * scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse = ctx.saved_tensors
        wide = grad if grad.dtype is torch.float64 else grad.float()
        own = torch.stack(
            (
                wide.sum((0, 2, 3), dtype=torch.float64),
                (wide * (x - _per_channel(mean, wide))).sum((0, 2, 3), dtype=torch.float64),
            )
        )
        total = own.clone()
        dist.all_reduce(total, group=ctx.group)
        p, q, r = input_gradient(total / ctx.count, weight.double(), mean, inverse)
        x_grad = _affine(grad, p, r) + _affine(x, q, torch.zeros_like(q))
        weight_grad = (own[1] * inverse).to(weight.dtype)
        return x_grad, None, None, weight_grad, own[0].to(weight.dtype)


def input_gradient(
    means: Tensor, weight: Tensor, mean: Tensor, inverse: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Batch norm's input gradient as ``p * grad + q * x + r``, p, q, r per channel.

    Args:
        means: Means of grad and of ``grad * (x - mean)`` over the batch, [2, C].
        weight: [C].
        mean: Mean of x, [C].
        inverse: ``1 / sqrt(var + eps)``, [C].
    """
    p = weight * inverse
    q = -p * inverse**2 * means[1]
    return p, q, -p * means[0] - q * mean


def _per_channel(vector: Tensor, like: Tensor) -> Tensor:
    return vector.to(like.dtype).view(-1, 1, 1)


def _affine(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    wide = x if x.dtype is torch.float64 else x.float()
    y = torch.addcmul(_per_channel(shift, wide), wide, _per_channel(scale, wide))
    return y.to(x.dtype)
