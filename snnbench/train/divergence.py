"""Search for the first value of a network that is not finite."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from snnbench.nn.meters import hooked


@torch.no_grad()
def first_not_finite(network: nn.Module, inputs: Tensor) -> str | None:
    """Find the first value that is not finite in a forward pass.

    Args:
        network: Network in training mode; its running statistics are updated once more.
        inputs: Batch that diverged.

    Returns:
        The place in words, such as ``the output of layer 'block1.0.synapses.0.conv'``; ``None`` if
        all values are finite.
    """
    if not bool(inputs.isfinite().all()):
        return "the input"
    places: list[str] = []
    leaves = [(n, m) for n, m in network.named_modules() if n and not list(m.children())]
    with hooked(leaves, partial(_look, places)):
        network(inputs)
    return places[0] if places else None


def bad_gradient(network: nn.Module) -> str | None:
    """Find the first gradient that is not finite in backpropagation, in words.

    Backpropagation meets the last parameters first.
    """
    bad = [
        name
        for name, value in network.named_parameters()
        if value.grad is not None and not bool(value.grad.isfinite().all())
    ]
    return f"the gradient of '{bad[-1]}'" if bad else None


def _look(places: list[str], name: str, module: nn.Module, _inputs: object, output: Any) -> None:
    if places or not isinstance(output, Tensor) or bool(output.isfinite().all()):
        return
    bad = [key for key, value in module.named_parameters() if not bool(value.isfinite().all())]
    places.append(f"the {bad[0]} of layer '{name}'" if bad else f"the output of layer '{name}'")
