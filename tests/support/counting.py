"""Run the profiler in one call."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

import snnbench
from snnbench.results.counts import LayerRecord, Profile
from support.toynets import LIF


def count(
    model: nn.Module, *args: Any, neurons: tuple[type[nn.Module], ...] = (LIF,), **options: Any
) -> Profile:
    """Profile of one strict call, without gradients."""
    with torch.no_grad(), snnbench.profile(model, strict=True, neurons=neurons, **options) as p:
        model(*args)
    return p.result


def rows_of(profile: Profile) -> dict[str, LayerRecord]:
    """The rows by name."""
    return {layer.name: layer for layer in profile.layers}
