"""The LIF neuron of a dense network on a GPU in one kernel; PyTorch takes three per timestep.

Needs Triton, which comes with the CUDA builds of PyTorch and is no dependency of this package. The
speed of this kernel has not been measured; timing compares it with PyTorch's on the spot.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from math import prod
from typing import Any, cast

import torch
from torch import Tensor, nn

from snnbench.engine.dense.lif import is_dense
from snnbench.engine.neurons import kernel_constants, known_spec
from snnbench.nn.blocks import PerTimestep, SpikingBlock
from snnbench.nn.neuron_spec import NeuronSpec

_BLOCK = 512
"""Neurons of a program: four warps, in which each thread moves 16 bytes of float32 at once."""
_WARPS = 4


class TritonLIF(nn.Module):
    """Inference on a GPU of neurons whose dynamics kernels compute, with the same spikes.

    Attributes:
        bias: Bias of the convolution before, [C], or ``None``.
    """

    def __init__(self, spec: NeuronSpec, bias: Tensor | None = None) -> None:
        super().__init__()
        self._spec = spec
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        """Compute spikes (0.0 or 1.0) from pre-activations, [T, N, ...] -> [T, N, ...]."""
        bias = cast("Tensor | None", self.bias)
        return lif_sequence_triton(x, bias, self._spec)


def lif_sequence_triton(x: Tensor, bias: Tensor | None, spec: NeuronSpec) -> Tensor:
    """Compute spikes of neurons with hard reset, in the memory format of ``x``.

    Args:
        x: Pre-activations on a GPU, [T, ...], without gradient; may be expanded along T.
        bias: Added to them at every timestep, [C] for an ``x`` of [T, N, C, ...].
        spec: Dynamics that ``known_spec`` returned.

    Raises:
        ImportError: Triton is not installed.
    """
    import triton

    decay, threshold = kernel_constants(spec, x.dtype)

    if not is_dense(x[0]):
        x = x.contiguous()
    neurons = prod(x.shape[1:])
    if len(x) > 1 and x.stride(0) not in (0, neurons):
        x = x.clone()  # timesteps lie apart, as in a slice
    spikes = torch.empty_strided(
        x.shape, (neurons, *x.stride()[1:]), dtype=x.dtype, device=x.device
    )
    if x.numel():
        _kernel()[(triton.cdiv(neurons, _BLOCK),)](
            x,
            spikes,
            bias,
            len(x),
            x.stride(0),
            neurons,
            1 if bias is None else len(bias),
            1 if bias is None else max(1, x.stride(2)),
            DECAY=decay,
            THRESHOLD=threshold,
            BLOCK=_BLOCK,
            num_warps=_WARPS,
            enable_fp_fusion=False,  # the kernel says where it fuses, as PyTorch's addition does
        )
    return spikes


def fuse_lif_for_cuda(model: nn.Module) -> nn.Module:
    """Replace every LIF by a ``TritonLIF``, which also adds the bias of a convolution before it.

    PyTorch adds such a bias in a pass of its own. Sums are rounded in another order, so a potential
    at the threshold may flip a spike.

    Args:
        model: A network without hooks; left as it is.

    Returns:
        A copy for inference.
    """
    copied = copy.deepcopy(model).eval().requires_grad_(requires_grad=False)
    places = Counter(module for _, module in copied.named_modules(remove_duplicate=False))
    biases: dict[nn.Module, Tensor] = {}
    for synapse, neuron in (pair for module in copied.modules() for pair in _pairs(module)):
        convolution = synapse[-1] if isinstance(synapse, PerTimestep) and len(synapse) else None
        alone = max(places[synapse], places[neuron], places[convolution or synapse]) == 1
        if alone and known_spec(neuron) is not None and type(convolution) is nn.Conv2d:
            if convolution.bias is not None:
                biases[neuron] = convolution.bias.detach()
            convolution.bias = None
    for module in list(copied.modules()):
        for name, child in list(module.named_children()):
            spec = known_spec(child)
            if spec is not None:
                setattr(module, name, TritonLIF(spec, biases.get(child)))
    return copied


def _pairs(module: nn.Module) -> Iterator[tuple[nn.Module, nn.Module]]:
    """Yield pairs of synapse and neuron; a shortcut may be added in between."""
    if type(module) is nn.Sequential:
        yield from pairwise(module)
    elif type(module).forward is SpikingBlock.forward:
        block = cast("SpikingBlock", module)
        yield from zip(block.synapses, block.neurons, strict=True)


@cache
def _kernel() -> Any:
    """Define the kernel, which Triton compiles at first use for each dtype and constants."""
    import triton
    import triton.language as tl

    # Constants are compiled in: an argument would be float32, also where x is float64.
    @triton.jit
    def run(  # type: ignore[no-untyped-def]  # noqa: ANN202, PLR0917
        x,  # noqa: ANN001
        spikes,  # noqa: ANN001
        bias,  # noqa: ANN001
        T,  # noqa: ANN001
        step,  # noqa: ANN001
        neurons,  # noqa: ANN001
        channels,  # noqa: ANN001
        inner,  # noqa: ANN001
        DECAY: tl.constexpr,
        THRESHOLD: tl.constexpr,
        BLOCK: tl.constexpr,
    ):
        place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
        mask = place < neurons
        decay = tl.full((BLOCK,), DECAY, x.dtype.element_ty)
        threshold = tl.full((BLOCK,), THRESHOLD, x.dtype.element_ty)
        shift = tl.full((BLOCK,), 0, x.dtype.element_ty)
        if bias is not None:
            shift = tl.load(bias + place // inner % channels, mask=mask, other=0)
        v = tl.full((BLOCK,), 0, x.dtype.element_ty)
        source, target = x + place, spikes + place
        for _ in range(T):
            u = tl.fma(v, decay, tl.load(source, mask=mask, other=0) + shift)
            fired = (u > threshold).to(u.dtype)
            tl.store(target, fired, mask=mask)
            # as the reference computes it: an infinite potential leaves NaN, not 0
            v = u - u * fired
            source += step
            target += neurons

    return run
