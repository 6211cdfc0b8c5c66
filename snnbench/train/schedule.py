"""Learning rates."""

from __future__ import annotations

import math

from snnbench.train.recipe import Recipe


def learning_rate(recipe: Recipe, epoch: int, step: int, steps: int) -> float:
    """The rate of one step; a function of its place alone, so that resuming needs no memory.

    Args:
        recipe: Its schedule, see ``Recipe``.
        epoch: From 0.
        step: Within the epoch, from 0.
        steps: Per epoch.
    """
    if recipe.schedule == "step":
        return recipe.lr * recipe.lr_factor ** (epoch // recipe.lr_step_epochs)
    done = (epoch + step / steps) / recipe.epochs
    return recipe.lr * (1 + math.cos(math.pi * done)) / 2
