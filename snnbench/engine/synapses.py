"""Additions that the spikes of one call cause: what event kernels are expected to execute."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from snnbench.engine.plan import EventCurrent, NeuronStep, Plan
from snnbench.engine.store import Store, as_images


def expected_adds(step: NeuronStep, plan: Plan, store: Store) -> int:
    """Sum over a step's spikes the synapses of each, padding and strides considered."""
    total = 0
    for current in step.currents:
        if isinstance(current, EventCurrent):
            height, width = (*plan.values[current.source].shape, 1, 1)[1:3]
            spikes = as_images(store.tensor(current.source))
            per_position = spikes.sum(dim=(0, 1, 2), dtype=torch.float64).long()
            reached = per_position * windows(current, (height, width))
            total += len(current.weight) * int(reached.sum())
    return total


def windows(current: EventCurrent, shape: tuple[int, int]) -> Tensor:
    """Count, int64 [H, W], the windows of a convolution that read each position of its input."""
    kernel = current.weight.shape[2:]
    geometry = {"stride": current.stride, "padding": current.padding}
    unfolded = F.unfold(torch.ones(1, 1, *shape), kernel, **geometry)
    return F.fold(unfolded, shape, kernel, **geometry)[0, 0].long()
