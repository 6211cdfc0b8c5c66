"""Which network is meant: asked, else what the weights say, else the card."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from snnbench.core.errors import UsageError
from snnbench.zoo import registry
from snnbench.zoo.choice import check_range, choose
from snnbench.zoo.shipped import Facts

BENCHMARK = registry.get("resnet19")


@pytest.fixture
def weights(tmp_path: Path) -> str:
    """A file that says of itself all that a choice asks for."""
    stated = {"width": "0.25", "shortcut": "identity", "timesteps": "4", "twin": "false"}
    save_file({"w": torch.zeros(1)}, tmp_path / "w.safetensors", metadata=stated)
    return str(tmp_path / "w.safetensors")


def test_what_nobody_asks_for_is_the_card_s() -> None:
    choice = choose(BENCHMARK)
    assert (choice.timesteps, choice.width, choice.options) == (6, 1.0, {"shortcut": "paper"})
    assert choice.stated == Facts()


def test_weights_override_the_card_and_what_is_asked_overrides_both(weights: str) -> None:
    choice = choose(BENCHMARK, weights)
    assert (choice.timesteps, choice.width, choice.options) == (4, 0.25, {"shortcut": "identity"})
    assert choose(BENCHMARK, weights, timesteps=2).timesteps == 2
    asked = choose(BENCHMARK, timesteps=1, width=2.0, options={"shortcut": "identity"})
    assert (asked.timesteps, asked.width, asked.options) == (1, 2.0, {"shortcut": "identity"})


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"width": 0.5}, "are for --width 0.25, not 0.5; leave the option out"),
        ({"options": {"shortcut": "paper"}}, "are for --shortcut identity, not paper; leave"),
        ({"twin": True}, "are those of the spiking network; give them with --weights"),
    ],
)
def test_weights_of_another_network_are_refused(
    weights: str, asked: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        choose(BENCHMARK, weights, **asked)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"width": 0.0}, "--width must be positive and finite, got 0.0"),
        ({"width": math.nan}, "--width must be positive and finite, got nan"),
        ({"width": 1001.0}, "--width must be at most 1000, got 1001.0"),
        ({"timesteps": 0}, "--timesteps must be at least 1, got 0"),
        ({"options": {"shortcut": "none"}}, "--shortcut must be paper or identity, got 'none'"),
        ({"options": {"depth": "3"}}, "resnet19 has no option --depth; it has: --shortcut"),
    ],
)
def test_a_choice_that_cannot_be_is_one_line(asked: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        choose(BENCHMARK, **asked)


def test_a_range_includes_its_ends() -> None:
    check_range("samples", 1)
    check_range("threads", 8, most=8)
    with pytest.raises(UsageError, match="--threads must be at most 8, got 9"):
        check_range("threads", 9, most=8)
