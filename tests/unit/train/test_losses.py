"""Losses are those that their names say."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from snnbench.train.losses import LOSSES
from snnbench.train.recipe import Loss


def test_every_name_has_a_loss() -> None:
    assert set(LOSSES) == set(get_args(Loss))


def test_losses_by_hand() -> None:
    votes, labels = torch.tensor([[0.5, 0.0], [0.0, 1.0]]), torch.tensor([0, 1])
    # squared distances to (1, 0) and (0, 1): 0.25, 0, 0, 0
    assert LOSSES["mse"](votes, labels).item() == pytest.approx(0.25 / 4)
    assert LOSSES["mse"](votes.bfloat16(), labels).dtype is torch.bfloat16
    # -log of softmax: log(1 + e^-0.5), log(1 + e^-1)
    assert LOSSES["cross-entropy"](votes, labels).item() == pytest.approx((0.474077 + 0.313262) / 2)
