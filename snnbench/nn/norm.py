"""Threshold-dependent batch normalisation (ZH21 eq. 4-8), its folded form, and calibration."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name everybody knows
from torch.nn.modules.batchnorm import _BatchNorm

from snnbench.core.errors import StructureError
from snnbench.nn.meters import evaluating


class ThresholdDependentBatchNorm2d(nn.BatchNorm2d):
    """tdBN: normalises pre-activations to N(0, (alpha * V_th)^2), then learns scale and shift.

    ``y = weight * (alpha * V_th * (x - mean) / sqrt(var + eps)) + bias`` (eq. 5-8): only
    ``weight`` is scaled. Give it [T*N, C, H, W], so that the statistics run over T, N, H and W.

    Args:
        num_features: C.
        alpha: 1 in series; 1/sqrt(n) in each of n branches that meet in an addition.
        threshold: V_th of the neurons that follow.
        eps: Added to the variance.
        momentum: Momentum of the running statistics, ``None`` for their plain average.
    """

    def __init__(
        self,
        num_features: int,
        *,
        alpha: float = 1.0,
        threshold: float = 1.0,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
    ) -> None:
        super().__init__(num_features, eps=eps, momentum=momentum)
        self.alpha = alpha
        self.threshold = threshold

    @property
    def scale(self) -> float:
        """``alpha * V_th``, the factor on ``weight``."""
        return self.alpha * self.threshold

    def forward(self, x: Tensor) -> Tensor:
        """Normalise, [T*N, C, H, W] -> [T*N, C, H, W]."""
        self._check_input_dim(x)
        momentum = self._next_momentum() if self.training else 0.0
        return F.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight * self.scale,
            self.bias,
            self.training,
            momentum,
            self.eps,
        )

    @torch.no_grad()
    def track(self, mean: Tensor, var: Tensor, count: float) -> None:
        """Let the running statistics follow those of a batch, as ``forward`` does in training.

        Args:
            mean: [C].
            var: Biased, [C].
            count: Elements per channel.
        """
        momentum = self._next_momentum()
        unbiased = var * (count / max(count - 1, 1))
        for name, new in (("running_mean", mean), ("running_var", unbiased)):
            running = self.get_buffer(name)
            running.lerp_(new.to(running.dtype), momentum)

    def _next_momentum(self) -> float:
        """Count a batch, and return the weight of its statistics in the running ones."""
        batches = self.get_buffer("num_batches_tracked").add_(1)
        return 1.0 / float(batches) if self.momentum is None else self.momentum

    def extra_repr(self) -> str:
        """Constants for ``repr``."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"alpha={self.alpha:.4g}, threshold={self.threshold:.4g}"
        )


class ChannelAffine(nn.Module):
    """Per-channel scale and shift, in place of a batch norm that no convolution precedes.

    On spikes it costs one accumulation of a per-channel constant per spike; the shift belongs to
    the neuron's current at every timestep.

    Args:
        weight: Scale, [C].
        bias: Shift, [C].
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        """``weight * x + bias`` per channel, [B, C, ...] -> [B, C, ...]."""
        shape = (-1, *(1,) * (x.ndim - 2))
        return torch.addcmul(self.bias.view(shape), x, self.weight.view(shape))

    def extra_repr(self) -> str:
        """Channels for ``repr``."""
        return str(self.weight.numel())


@torch.no_grad()
def calibrate_batch_norm(model: nn.Module, inputs: Tensor) -> int:
    """Set the running statistics of every batch norm to those of one batch.

    Runs the model once in evaluation mode; each batch norm takes over the mean and the (biased)
    variance of its own input just before it runs. A later evaluation on the same batch therefore
    repeats this forward bit by bit, and equals a forward in training mode up to rounding. Modes,
    momentum and everything else stay as they were; ``num_batches_tracked`` becomes 1.

    Args:
        model: Any network; layers without running statistics are left alone.
        inputs: One batch, as the network takes it.

    Returns:
        The number of layers calibrated.

    Raises:
        StructureError: A batch norm runs more than once per forward (a loop over timesteps), so
            no single call sees its statistics.
    """
    layers = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    }
    seen: set[str] = set()
    with ExitStack() as undo, evaluating(model):
        for name, module in layers.items():
            hook = partial(_take_statistics, name, seen)
            undo.callback(module.register_forward_pre_hook(hook).remove)
        model(inputs)
    return len(seen)


def _take_statistics(name: str, seen: set[str], module: nn.Module, args: tuple[Tensor]) -> None:
    if name in seen:
        msg = (
            f"batch norm '{name}' runs more than once per forward, so one call does not see its "
            "statistics; give it all timesteps at once, [T*N, C, H, W]"
        )
        raise StructureError(msg)
    seen.add(name)
    (x,) = args
    var, mean = torch.var_mean(x, dim=[d for d in range(x.ndim) if d != 1], correction=0)
    module.get_buffer("running_mean").copy_(mean)
    module.get_buffer("running_var").copy_(var)
    module.get_buffer("num_batches_tracked").fill_(1)
