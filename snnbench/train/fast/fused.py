"""tdBN and LIF of all timesteps as one differentiable operation on a CPU.

Neither the normalised currents nor the potentials are ever stored: the backward pass has the
inputs, which are the convolutions' outputs, and computes the rest anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed as dist
from torch.autograd.function import once_differentiable

from snnbench.core.threads import run_on_threads
from snnbench.nn.neuron import Neuron
from snnbench.nn.neuron_spec import LIF_KIND, NeuronSpec
from snnbench.nn.norm import ThresholdDependentBatchNorm2d
from snnbench.train.fast import kernels
from snnbench.train.fast.sync import Moments, SynchronisedBatchNorm2d, input_gradient, joined

Norm = ThresholdDependentBatchNorm2d | None

_REAL: dict[torch.dtype, type[np.floating[Any]]] = {
    torch.float32: np.float32,
    torch.float64: np.float64,
    torch.bfloat16: np.float32,
}
_TILE_BYTES = 16 * 1024
"""Memory of a tile's potentials at all timesteps."""
_TILE_LENGTHS = (64, 1024)
"""Least and most, before whole rows are made of them."""
_SMALL = 1 << 15
"""Elements that are not worth a second thread."""


def known_spec(neuron: Neuron) -> NeuronSpec | None:
    """The spec of neurons whose spikes and gradients the kernels compute; ``None`` for others.

    Those are the dynamics of an ``LIF``, without parameters that gradients would have to reach.
    """
    spec = neuron.spec
    if spec is None or spec.kind != LIF_KIND or neuron.state_dict():
        return None
    return None if spec.detach_reset or spec.surrogate_width is None else spec


def is_supported(currents: Sequence[Tensor]) -> bool:
    """Whether ``spikes_of`` takes these: gradients are wanted, of real numbers on a CPU."""
    first = currents[0]
    return torch.is_grad_enabled() and all(
        x.device.type == "cpu"
        and x.dtype in _REAL
        and x.dtype == first.dtype
        and x.ndim == 5
        and x.shape == first.shape
        and x.numel() > x.shape[2]  # batch norm refuses a single value per channel
        for x in currents
    )


def spikes_of(currents: Sequence[Tensor], norms: Sequence[Norm], spec: NeuronSpec) -> Tensor:
    """Spikes of neurons whose current is the sum of one or two normalised branches.

    Equal up to rounding to neurons of ``norm(x) + other_norm(other)``; so are its gradients and
    what it does to the norms' running statistics.

    Args:
        currents: One or two, [T, N, C, H, W]; see ``is_supported``. The first may be expanded
            along T: what is the same at every timestep is then computed once.
        norms: One for each, ``None`` for a current that is not normalised.
        spec: Spec of the neurons; see ``known_spec``.

    Returns:
        0.0 or 1.0, [T, N, C, H, W], channels last in memory.
    """
    x, *others = currents
    parameters: list[Tensor | None] = []
    for norm in norms:
        parameters += (None, None) if norm is None else (norm.weight * norm.scale, norm.bias)
    spikes: Tensor = _Fused.apply(  # type: ignore[no-untyped-call]
        x[:1] if x.stride(0) == 0 and not others else x,
        others[0] if others else None,
        (len(x), spec, tuple(norms)),
        *parameters,
    )
    return spikes


@dataclass(frozen=True, slots=True)
class _Affine:
    """What a branch's norm does to it: ``weight * (x - mean) * inverse + bias``, float64, [C].

    Attributes:
        weight: Scale, with tdBN's own factor.
        bias: Shift.
        mean: Subtracted.
        inverse: One over the standard deviation.
        count: Elements per channel that mean and inverse depend on, 0 if they are constants.
        norm: Where they come from.
    """

    weight: Tensor
    bias: Tensor
    mean: Tensor
    inverse: Tensor
    count: float
    norm: Norm

    @property
    def rows(self) -> tuple[Tensor, Tensor]:
        """The same as ``scale * x + shift``."""
        scale = self.weight * self.inverse
        return scale, self.bias - self.mean * scale

    def parameter_grads(self, sums: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Gradients of weight and bias; ``sums`` as in ``input_rows``."""
        if self.norm is None:
            return None, None
        dtype = self.norm.weight.dtype
        return (sums[1] * self.inverse).to(dtype), sums[0].to(dtype)

    def input_rows(self, sums: Tensor, repeats: int) -> tuple[Tensor, Tensor, Tensor]:
        """p, q, r of the input's gradient ``p * grad + q * x + r``.

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
        p, q, r = input_gradient(sums / self.count, self.weight, self.mean, self.inverse)
        return p, repeats * q, repeats * r


class _Layout:
    """How one call goes through memory.

    Args:
        shape: Shape of the spikes, [T, N, C, H, W].
        real: In which to compute.
    """

    def __init__(self, shape: torch.Size, real: type[np.floating[Any]]) -> None:
        T, self.channels = shape[0], shape[2]
        least, most = _TILE_LENGTHS
        length = min(max(_TILE_BYTES // (T * np.dtype(real).itemsize), least), most)
        self.real = real
        self.repeats = max(1, length // self.channels)
        self.tile = self.repeats * self.channels
        self.threads = torch.get_num_threads() if shape.numel() > _SMALL else 1

    def repeated(self, *rows: Tensor) -> NDArray[Any]:
        """Vectors per channel, each repeated to the length of a tile."""
        return np.tile(torch.stack(rows).numpy().astype(self.real), (1, self.repeats))

    def sums(self, rows: int, kernel: Callable[..., None], *arguments: Any) -> Tensor:
        """What a kernel sums on all threads, per channel, [rows, C]."""
        sums = np.zeros((self.threads, rows, self.tile))
        self.run(kernel, *arguments, sums)
        folded = sums.reshape(self.threads, rows, self.repeats, self.channels).sum((0, 2))
        return torch.from_numpy(folded)

    def run(self, kernel: Callable[..., None], *arguments: Any) -> None:
        """Call a kernel on all threads."""
        run_on_threads(self.threads, lambda thread: kernel(*arguments, thread, self.threads))


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        other: Tensor | None,
        call: tuple[int, NeuronSpec, tuple[Norm, ...]],
        *parameters: Tensor | None,
    ) -> Tensor:
        T, spec, norms = call
        spikes = _like_rows(x.new_empty(0), (T, *x.shape[1:]))
        layout = _Layout(spikes.shape, _REAL[x.dtype])
        inputs = [_by_rows(branch) for branch in (x, other) if branch is not None]
        affines = [
            _affine(branch, norm, pair, T, layout)
            for branch, norm, pair in zip(
                inputs, norms, zip(parameters[::2], parameters[1::2], strict=True), strict=True
            )
        ]
        rows = [row for affine in affines for row in affine.rows]
        constants = np.array([spec.decay, spec.threshold, spec.surrogate_width], layout.real)
        ctx.call = layout.repeated(*rows, *rows[: 4 - len(rows)]), constants
        ctx.layout, ctx.affines = layout, affines
        ctx.save_for_backward(*inputs)
        layout.run(kernels.forward, *_pair(inputs), *ctx.call, _elements(spikes))
        return spikes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        layout, affines, inputs = ctx.layout, ctx.affines, ctx.saved_tensors
        arguments = (*_pair(inputs), *ctx.call, _elements(_by_rows(grad)))
        grads = [_like_rows(grad, branch.shape) for branch in inputs]
        total, *products = layout.sums(
            3,
            kernels.backward,
            *arguments,
            layout.repeated(affines[0].mean, affines[-1].mean),
            _elements(grads[0]),
        )
        linear: list[Tensor] = []
        parameter_grads: list[Tensor | None] = []
        for affine, branch, product in zip(affines, inputs, products, strict=False):
            sums = torch.stack((total, product))
            linear += affine.input_rows(sums, len(grad) // len(branch))
            parameter_grads += affine.parameter_grads(sums)
        coefficients = layout.repeated(*linear, *linear[: 6 - len(linear)])
        layout.run(kernels.through_norms, *_pair(inputs), coefficients, *_pair(grads))
        other_grad = grads[1] if len(grads) > 1 else None
        return grads[0], other_grad, None, *parameter_grads


def _affine(
    x: Tensor, norm: Norm, parameters: tuple[Tensor | None, Tensor | None], T: int, layout: _Layout
) -> _Affine:
    weight, bias = parameters
    zero = torch.zeros(layout.channels, dtype=torch.float64)
    if norm is None or weight is None or bias is None:
        return _Affine(zero + 1, zero, zero, zero + 1, 0, None)
    count = 0.0
    if norm.training:
        moments = _moments(x, T, norm, layout)
        norm.track(moments.mean, moments.var, moments.count)
        mean, var, count = moments.mean, moments.var, moments.count
    else:
        mean, var = (norm.get_buffer(f"running_{name}").double() for name in ("mean", "var"))
    return _Affine(
        weight.detach().double(),
        bias.detach().double(),
        mean,
        (var + norm.eps).rsqrt(),
        count,
        norm,
    )


def _moments(x: Tensor, T: int, norm: ThresholdDependentBatchNorm2d, layout: _Layout) -> Moments:
    sums = layout.sums(2, kernels.moments, _elements(x))
    mean, square = sums * (layout.channels / x.numel())
    count = T * x[0].numel() / layout.channels
    moments = Moments(count, mean, (square - mean**2).clamp(min=0))
    if isinstance(norm, SynchronisedBatchNorm2d) and dist.is_initialized():
        return joined(moments, norm.group)
    return moments


def _by_rows(x: Tensor) -> Tensor:
    """[T, N, C, H, W] with the channel fastest in memory; a copy only if it is not."""
    return x.detach().permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)


def _like_rows(x: Tensor, shape: Sequence[int]) -> Tensor:
    """Memory for [T, N, C, H, W] of a tensor's type, the channel fastest."""
    T, N, C, H, W = shape
    return x.new_empty((T, N, H, W, C)).permute(0, 1, 4, 2, 3)


def _elements(x: Tensor) -> NDArray[Any]:
    """What ``_by_rows`` gave, as the kernels take it: [T, M], bfloat16 as its bits."""
    rows = x.permute(0, 1, 3, 4, 2).reshape(len(x), -1)
    if rows.dtype is torch.bfloat16:
        return rows.view(torch.uint16).numpy()
    return rows.numpy()


def _pair(branches: Sequence[Tensor]) -> list[NDArray[Any]]:
    """Both branches' elements; a second one that is missing is empty."""
    pair = [_elements(branch) for branch in branches]
    return pair if len(pair) == 2 else [*pair, pair[0][:0, :0]]
