"""Where a network's numbers stop being finite."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from snnbench.nn.meters import hooked


@torch.no_grad()
def first_not_finite(network: nn.Module, inputs: Tensor) -> str | None:
    """What is not finite first, in the order in which a forward pass meets it.

    Args:
        network: As it trains; its running statistics are updated once more.
        inputs: The batch that went bad.

    Returns:
        A few words, such as ``the output of layer 'block1.0.synapses.0.conv'``.
    """
    if not bool(inputs.isfinite().all()):
        return "the input"
    found: list[str] = []
    leaves = [(n, m) for n, m in network.named_modules() if n and not list(m.children())]
    with hooked(leaves, partial(_look, found)):
        network(inputs)
    return found[0] if found else None


def bad_gradient(network: nn.Module) -> str | None:
    """The last parameter, in the network's order, whose gradient is not finite, in a few words.

    Backpropagation meets the last one first.
    """
    bad = [
        name
        for name, value in network.named_parameters()
        if value.grad is not None and not bool(value.grad.isfinite().all())
    ]
    return f"the gradient of '{bad[-1]}'" if bad else None


def _look(found: list[str], name: str, module: nn.Module, _inputs: object, output: Any) -> None:
    if found or not isinstance(output, Tensor) or bool(output.isfinite().all()):
        return
    bad = [key for key, value in module.named_parameters() if not bool(value.isfinite().all())]
    found.append(f"the {bad[0]} of layer '{name}'" if bad else f"the output of layer '{name}'")
