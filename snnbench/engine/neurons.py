"""Which dynamics of neurons the engine's kernels know, and the constants they take."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import nn

from snnbench.nn.neuron import Neuron
from snnbench.nn.neuron_spec import NeuronSpec

_KINDS = frozenset(
    NeuronSpec(strict=strict, input_gain=gain).kind for strict in (True, False) for gain in (1, 2)
)
"""Computed by event kernels (``kernels/vector/spikes.py``), on a CPU in one pass
(``dense/lif.py``) and on a GPU (``dense/triton_lif.py``)."""


def without_kernels(neuron: Neuron) -> str | None:
    """Why no kernel computes the spikes of a layer of neurons; ``None`` if kernels do."""
    if neuron.spec is None:
        return f"no event kernel for {type(neuron).__name__}: it has no spec of its dynamics"
    if neuron.spec.kind not in _KINDS:
        return f"no event kernel for neurons with {neuron.spec.kind}"
    return "no event kernel for graded spikes" if neuron.graded else None


def known_spec(module: nn.Module) -> NeuronSpec | None:
    """The spec of neurons whose spikes kernels compute; ``None`` for all other modules."""
    return module.spec if isinstance(module, Neuron) and not without_kernels(module) else None


def kernel_constants(spec: NeuronSpec, dtype: torch.dtype) -> tuple[float, float]:
    """Decay and threshold for ``u = decay * v + x``, ``u > threshold``, ``v = 0`` after a spike.

    Potentials are taken in units of the input gain, and a potential that fires at the threshold is
    above the number before it.

    Args:
        spec: What ``known_spec`` returned.
        dtype: Number format of the potentials.
    """
    constants = spec.decay, spec.input_gain, spec.threshold  # none of them is per channel
    decay, gain, threshold = cast("tuple[float, float, float]", constants)
    if spec.strict:
        return decay, threshold / gain
    at_threshold, below = (torch.tensor(x, dtype=dtype) for x in (threshold / gain, -math.inf))
    return decay, torch.nextafter(at_threshold, below).item()
