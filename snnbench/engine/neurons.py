"""Dynamics of neurons that the engine's kernels compute, and the kernels' constants."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import nn

from snnbench.nn.neuron import Neuron, dynamics_of
from snnbench.nn.neuron_spec import NeuronSpec

_KINDS = frozenset(
    NeuronSpec(strict=strict, input_gain=gain).kind for strict in (True, False) for gain in (1, 2)
)
"""Computed by event kernels (``kernels/vector/spikes.py``), on a CPU in one pass
(``dense/lif.py``) and on a GPU (``dense/triton_lif.py``)."""


def without_kernels(neuron: Neuron) -> str | None:
    """Say why no kernel computes the spikes of a layer of neurons; ``None`` if kernels do."""
    spec = dynamics_of(neuron)
    if spec is None:
        return f"no event kernel for {type(neuron).__name__}: it has no spec of its dynamics"
    if spec.kind not in _KINDS:
        return f"no event kernel for neurons with {spec.kind}"
    return "no event kernel for graded spikes" if neuron.graded else None


def known_spec(module: nn.Module) -> NeuronSpec | None:
    """Return the spec of neurons whose spikes kernels compute; ``None`` for other modules."""
    return module.spec if isinstance(module, Neuron) and not without_kernels(module) else None


def kernel_constants(spec: NeuronSpec, dtype: torch.dtype) -> tuple[float, float]:
    """Return decay and threshold for ``u = decay * v + x``, ``u > threshold``, hard reset.

    Potentials, of type ``dtype``, are in units of the input gain. Neurons that fire at the
    threshold get the next smaller number as theirs. The spec is one that ``known_spec`` returned.
    """
    constants = spec.decay, spec.input_gain, spec.threshold  # none of them is per channel
    decay, gain, threshold = cast("tuple[float, float, float]", constants)
    if spec.strict:
        return decay, threshold / gain
    at_threshold, below = (torch.tensor(x, dtype=dtype) for x in (threshold / gain, -math.inf))
    return decay, torch.nextafter(at_threshold, below).item()
