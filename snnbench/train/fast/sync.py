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
    """Statistics per channel of a batch, or of the part that a process has.

    Attributes:
        count: Elements per channel.
        mean: float64, [C].
        var: Biased, float64, [C].
    """

    count: float
    mean: Tensor
    var: Tensor


def moments_of(x: Tensor) -> Moments:
    """Moments of [B, C, H, W] per channel."""
    wide = x if x.dtype is torch.float64 else x.float()
    var, mean = torch.var_mean(wide, dim=(0, 2, 3), correction=0)
    return Moments(x.numel() / max(x.shape[1], 1), mean.double(), var.double())


def joined(own: Moments, group: dist.ProcessGroup | None) -> Moments:
    """Combine the moments of all processes, in one collective call.

    Args:
        own: Moments of this process's batch; batches may differ in size.
        group: Group of processes, ``None`` for the default one.
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
    """tdBN with the statistics of all processes' batches in training mode.

    In evaluation mode it is a plain tdBN. Gradients of ``weight`` and ``bias`` are those of this
    process's batch, as for other parameters; DistributedDataParallel averages them.

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
    """Make every tdBN take its statistics over processes; parameters and buffers are kept.

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


@dataclass(frozen=True, slots=True)
class Affine:
    """A batch norm as ``weight * (x - mean) * inverse + bias``, float64, [C] each.

    Attributes:
        weight: Scale, times tdBN's own factor.
        bias: Shift.
        mean: Mean of the input.
        inverse: ``1 / sqrt(var + eps)`` of the input.
        count: Elements per channel that mean and inverse depend on, 0 if they are constants.
        norm: The batch norm; ``None`` for the identity.
    """

    weight: Tensor
    bias: Tensor
    mean: Tensor
    inverse: Tensor
    count: float
    norm: ThresholdDependentBatchNorm2d | None

    @property
    def rows(self) -> tuple[Tensor, Tensor]:
        """Scale and shift of the same map as ``scale * x + shift``."""
        scale = self.weight * self.inverse
        return scale, self.bias - self.mean * scale

    def parameter_grads(self, sums: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Gradients of weight and bias, from ``sums`` as in ``input_rows``."""
        if self.norm is None:
            return None, None
        dtype = self.norm.weight.dtype
        return (sums[1] * self.inverse).to(dtype), sums[0].to(dtype)

    def input_rows(self, sums: Tensor, repeats: int) -> tuple[Tensor, Tensor, Tensor]:
        """Coefficients p, q, r of the input's gradient ``p * grad + q * x + r``, [C] each.

        Args:
            sums: Sums of grad and ``grad * (x - mean)``, [2, C].
            repeats: How often each element of x is in the batch.
        """
        if not self.count:
            p = self.weight * self.inverse
            return p, torch.zeros_like(p), torch.zeros_like(p)
        if isinstance(self.norm, SynchronisedBatchNorm2d) and dist.is_initialized():
            sums = sums.clone()
            dist.all_reduce(sums, group=self.norm.group)
        means, p = sums / self.count, self.weight * self.inverse
        q = -p * self.inverse**2 * means[1]
        return p, repeats * q, repeats * (-p * means[0] - q * self.mean)


class _Normalise(torch.autograd.Function):
    """``weight * (x - mean) / sqrt(var + eps) + bias`` with the moments of all processes."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, norm: SynchronisedBatchNorm2d, moments: Moments, *parameters: Tensor
    ) -> Tensor:
        weight, bias = (parameter.detach().double() for parameter in parameters)
        inverse = (moments.var + norm.eps).rsqrt()
        ctx.affine = Affine(weight, bias, moments.mean, inverse, moments.count, norm)
        ctx.save_for_backward(x)
        return _affine(x, *ctx.affine.rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (x,), affine = ctx.saved_tensors, ctx.affine
        wide = grad if grad.dtype is torch.float64 else grad.float()
        centred = wide * (x - _per_channel(affine.mean, wide))
        sums = torch.stack([y.sum((0, 2, 3), dtype=torch.float64) for y in (wide, centred)])
        p, q, r = affine.input_rows(sums, 1)
        x_grad = _affine(grad, p, r) + _affine(x, q, torch.zeros_like(q))
        return x_grad, None, None, *affine.parameter_grads(sums)


def _per_channel(vector: Tensor, like: Tensor) -> Tensor:
    return vector.to(like.dtype).view(-1, 1, 1)


def _affine(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    wide = x if x.dtype is torch.float64 else x.float()
    y = torch.addcmul(_per_channel(shift, wide), wide, _per_channel(scale, wide))
    return y.to(x.dtype)
