"""The LIF neuron of a dense network in one pass over memory; PyTorch takes three per timestep."""

from __future__ import annotations

from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from snnbench.core.numba_cache import njit
from snnbench.engine.neurons import kernel_constants
from snnbench.nn.functional import lif_sequence
from snnbench.nn.neuron import Neuron
from snnbench.nn.neuron_spec import NeuronSpec

Reals = NDArray[np.floating]
_BLOCK = 2048
"""Neurons whose potentials stay in the first-level cache for all timesteps."""
_MOST_THREADS = 2
"""With more, PyTorch's three passes on all threads are faster than this one on one thread."""
_DTYPES = {torch.float32: np.float32, torch.float64: np.float64}


class FusedLIF(Neuron):
    """Inference on a CPU of neurons whose dynamics kernels compute, with the same spikes."""

    def __init__(self, spec: NeuronSpec) -> None:
        super().__init__()
        self._spec = spec

    @property
    def spec(self) -> NeuronSpec:
        """The dynamics."""
        return self._spec

    def forward(self, x: Tensor) -> Tensor:
        """Compute spikes (0.0 or 1.0) from pre-activations, [T, N, ...] -> [T, N, ...]."""
        return lif_spikes(x, self._spec)


def lif_spikes(x: Tensor, spec: NeuronSpec) -> Tensor:
    """Compute spikes of neurons with hard reset, in the memory format of their currents.

    Args:
        x: Pre-activations, [T, ...]; may be expanded along T. PyTorch computes them in its own way
            unless they are float32 or float64 on a CPU and dense in memory.
        spec: Dynamics that ``known_spec`` returned.
    """
    decay, threshold = kernel_constants(spec, x.dtype)
    neurons = prod(x.shape[1:])
    plain = x.dtype not in _DTYPES or x.device.type != "cpu" or x.requires_grad
    plain = plain or torch.get_num_threads() > _MOST_THREADS or not x.numel()
    if plain or not is_dense(x[0]) or _steps(x) not in (0, neurons):
        return lif_sequence(x, decay=decay, threshold=threshold)
    step = _steps(x)
    spikes = torch.empty_strided(x.shape, (neurons, *x.stride()[1:]), dtype=x.dtype)
    currents = x.as_strided(((len(x) - 1) * step + neurons,), (1,))
    constants = np.array([decay, threshold], _DTYPES[x.dtype])
    _run(currents.numpy(), spikes.as_strided((spikes.numel(),), (1,)).numpy(), step, constants)
    return spikes


def _steps(x: Tensor) -> int:
    """Return the elements from one timestep to the next; 0 if there is only one."""
    return x.stride(0) if len(x) > 1 else 0


def is_dense(x: Tensor) -> bool:
    """Tell whether elements fill a stretch of memory in one of the two common orders."""
    last = x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)
    return last or x.is_contiguous()


@njit(fastmath={"contract"}, nogil=True, cache=True)
def _run(x: Reals, spikes: Reals, step: int, constants: Reals) -> None:
    decay, threshold = constants
    neurons = x.size if step == 0 else step
    v = np.empty(_BLOCK, x.dtype)
    for first in range(0, neurons, _BLOCK):
        n = min(_BLOCK, neurons - first)
        v[:] = 0
        for t in range(spikes.size // neurons):
            start, end = t * step + first, t * neurons + first
            _timestep(x[start : start + n], spikes[end : end + n], v[:n], decay, threshold)


@njit(fastmath={"contract"}, nogil=True, cache=True)
def _timestep(x: Reals, spikes: Reals, v: Reals, decay: float, threshold: float) -> None:
    # u * (1 - o) as the reference computes it: an infinite potential leaves NaN, not 0
    one, zero = x.dtype.type(1), x.dtype.type(0)
    for i in range(x.size):
        u = x[i] + decay * v[i]
        fired = one if u > threshold else zero
        spikes[i] = fired
        v[i] = u - u * fired
