"""Optimisers are made, saved and given back by name."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from support.train_cases import small_recipe
from torch import nn

from snnbench.train.optimisers import make_optimiser, set_state, state_of
from snnbench.train.recipe import Optimizer
from snnbench.zoo.weight_files import state_sha256


def stepped(optimiser: torch.optim.Optimizer, network: nn.Module) -> None:
    network(torch.ones(1, 2)).sum().backward()
    optimiser.step()


@pytest.mark.parametrize("name", get_args(Optimizer))
def test_an_optimiser_goes_on_from_its_state(name: str) -> None:
    recipe = small_recipe(optimizer=name, weight_decay=0.1)
    torch.manual_seed(0)
    one, other = nn.Linear(2, 3), nn.Linear(2, 3)
    optimiser, fresh = make_optimiser(recipe, one), make_optimiser(recipe, other)
    assert type(optimiser).__name__ == name
    assert [group["weight_decay"] for group in optimiser.param_groups] == [0.1, 0.0]
    assert state_of(optimiser, one) == {}
    stepped(optimiser, one)
    other.load_state_dict(one.state_dict())
    state = state_of(optimiser, one)
    set_state(fresh, other, state)
    assert state_sha256(state_of(fresh, other)) == state_sha256(state)
    for made, network in ((optimiser, one), (fresh, other)):
        made.zero_grad()
        stepped(made, network)
    assert state_sha256(one.state_dict()) == state_sha256(other.state_dict())


def test_momentum_is_that_of_the_recipe() -> None:
    network, recipe = nn.Linear(1, 1), small_recipe(momentum=0.5, lr=0.25)
    sgd = make_optimiser(recipe, network).param_groups[0]
    assert (sgd["momentum"], sgd["lr"]) == (0.5, 0.25)
    adam = make_optimiser(small_recipe(momentum=0.5, optimizer="Adam"), network).param_groups[0]
    assert adam["betas"] == (0.5, 0.999)
