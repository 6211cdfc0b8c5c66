"""How many additions the spikes of one call cause: what event kernels are expected to execute."""

from __future__ import annotations

import torch
from torch import Tensor

from snnbench.engine.plan import EventCurrent, NeuronStep, Plan
from snnbench.engine.store import Store


def expected_adds(step: NeuronStep, plan: Plan, store: Store) -> int:
    """Spikes times the synapses that each really has, padding and strides considered.

    Args:
        step: A step of the plan.
        plan: The network.
        store: Values of one call.
    """
    total = 0
    for current in step.currents:
        if isinstance(current, EventCurrent):
            shape = (*plan.values[current.source].shape, 1, 1)[1:3]
            per_site = store.spikes_per_position(current.source) * windows(current, shape)
            total += len(current.weight) * int(per_site.sum())
    return total


def windows(current: EventCurrent, shape: tuple[int, ...]) -> Tensor:
    """Windows that read each position of an image.

    Args:
        current: A convolution.
        shape: (H, W) of its input.

    Returns:
        [H, W], integers.
    """
    axes = [
        _windows_along(length, kernel, stride, padding)
        for length, kernel, stride, padding in zip(
            shape, current.weight.shape[2:], current.stride, current.padding, strict=True
        )
    ]
    return torch.outer(*axes)


def _windows_along(length: int, kernel: int, stride: int, padding: int) -> Tensor:
    outputs = (length + 2 * padding - kernel) // stride + 1
    starts = torch.arange(outputs) * stride - padding
    read = (starts[:, None] + torch.arange(kernel)).flatten()
    return torch.bincount(read[(read >= 0) & (read < length)], minlength=length)
