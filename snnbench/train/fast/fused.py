"""tdBN and LIF of all timesteps as one differentiable operation on a CPU.

Neither the normalised currents nor the potentials are stored: the backward pass keeps the inputs,
which are the convolutions' outputs, and recomputes the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed as dist
from torch.autograd.function import once_differentiable

from snnbench.core.threads import run_on_threads
from snnbench.nn.neuron import Neuron, dynamics_of
from snnbench.nn.neuron_spec import LIF_KIND, NeuronSpec
from snnbench.nn.norm import ThresholdDependentBatchNorm2d
from snnbench.train.fast import kernels
from snnbench.train.fast.sync import Affine, Moments, SynchronisedBatchNorm2d, joined

Norm = ThresholdDependentBatchNorm2d | None

_REAL: dict[torch.dtype, type[np.floating[Any]]] = {
    torch.float32: np.float32,
    torch.float64: np.float64,
    torch.bfloat16: np.float32,
}
_TILE_BYTES = 16 * 1024
"""Memory of a tile's potentials at all timesteps."""
_TILE_LENGTHS = (64, 1024)
"""Shortest and longest tile in elements, before it is rounded to whole rows."""
_SMALL = 1 << 15
"""Number of elements up to which one thread is fastest."""


def known_spec(neuron: Neuron) -> NeuronSpec | None:
    """The spec of neurons whose spikes and gradients the kernels compute; ``None`` for others.

    Kernels know the dynamics of an ``LIF``, without trainable constants.
    """
    spec = dynamics_of(neuron)
    if spec is None or spec.kind != LIF_KIND or neuron.state_dict():
        return None
    if neuron._forward_hooks or neuron._forward_pre_hooks:  # which may change spikes or currents
        return None
    return None if spec.detach_reset or spec.surrogate_width is None else spec


def is_supported(currents: Sequence[Tensor]) -> bool:
    """Return whether ``spikes_of`` takes these currents: real, on a CPU, with gradients."""
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
    """Compute spikes of neurons whose current is the sum of one or two normalised branches.

    Spikes, gradients and the norms' running statistics equal those of neurons fed with
    ``norm(x) + other_norm(other)``, up to rounding.

    Args:
        currents: One or two currents, [T, N, C, H, W], which ``is_supported`` accepts. If the
            first is expanded along T, it is normalised once for all timesteps.
        norms: Batch norm of each current, ``None`` for one that is not normalised.
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


class _Layout:
    """Tiles and threads of one call.

    Args:
        shape: Shape of the spikes, [T, N, C, H, W].
        real: Type to compute in.
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
        """Sums of a kernel over all threads, per channel, [rows, C]."""
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
) -> Affine:
    weight, bias = parameters
    zero = torch.zeros(layout.channels, dtype=torch.float64)
    if norm is None or weight is None or bias is None:
        return Affine(zero + 1, zero, zero, zero + 1, 0, None)
    count = 0.0
    if norm.training:
        moments = _moments(x, T, norm, layout)
        norm.track(moments.mean, moments.var, moments.count)
        mean, var, count = moments.mean, moments.var, moments.count
    else:
        mean, var = (norm.get_buffer(f"running_{name}").double() for name in ("mean", "var"))
    return Affine(
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
    """A result of ``_by_rows`` as kernels take it: [T, M], bfloat16 as its bits."""
    rows = x.permute(0, 1, 3, 4, 2).reshape(len(x), -1)
    if rows.dtype is torch.bfloat16:
        return rows.view(torch.uint16).numpy()
    return rows.numpy()


def _pair(branches: Sequence[Tensor]) -> list[NDArray[Any]]:
    """Elements of two branches; those of a missing second one are empty."""
    pair = [_elements(branch) for branch in branches]
    return pair if len(pair) == 2 else [*pair, pair[0][:0, :0]]
