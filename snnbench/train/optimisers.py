"""Optimisers, by the names that cards and recipes give them, and their state by parameter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from snnbench.core.errors import UsageError
from snnbench.train.recipe import Recipe


def make_optimiser(recipe: Recipe, network: nn.Module) -> torch.optim.Optimizer:
    """Make the optimiser of a recipe for the parameters of a network."""
    groups = _groups(network, recipe.weight_decay)
    if recipe.optimizer == "Adam":
        return torch.optim.Adam(groups, lr=recipe.lr, betas=(recipe.momentum, 0.999))
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum)


def _groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Split parameters into weights, which decay, and others, whose decay would silence neurons."""
    weights = [p for p in network.parameters() if p.ndim > 1]
    norms_and_biases = [p for p in network.parameters() if p.ndim <= 1]
    return [
        {"params": weights, "weight_decay": weight_decay},
        {"params": norms_and_biases, "weight_decay": 0.0},
    ]


def state_of(optimiser: torch.optim.Optimizer, network: nn.Module) -> dict[str, Tensor]:
    """State of an optimiser, such as momentum, by ``PARAMETER:KEY``; empty before any step."""
    return {
        f"{name}:{key}": value
        for name, parameter in network.named_parameters()
        for key, value in optimiser.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }


def set_state(
    optimiser: torch.optim.Optimizer, network: nn.Module, state: Mapping[str, Tensor]
) -> None:
    """Restore the state of an optimiser, in the memory layout of the parameters.

    Raises:
        UsageError: The state belongs to other parameters than the network's.
    """
    parameters = dict(network.named_parameters())
    for name, value in state.items():
        owner, _, key = name.rpartition(":")
        parameter = parameters.get(owner)
        if parameter is None or value.shape not in (parameter.shape, ()):
            msg = f"the checkpoint's optimiser state {name} does not fit; choose another --out"
            raise UsageError(msg)
        like = value if value.ndim == 0 else parameter  # Adam's count of steps stays where it is
        optimiser.state[parameter][key] = torch.empty_like(like).copy_(value)
