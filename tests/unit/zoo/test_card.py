"""Cards: what a builder and the command line are given of them, and what is refused."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from snnbench.core.errors import UsageError
from snnbench.core.files import read_toml
from snnbench.zoo.card import Card

TEXT = """
name = "votes"
title = "Votes"
source = "a test"
timesteps = 2
classes = 3
input = { kind = "image", shape = [1, 4, 4], dataset = "none", embedded = "digits" }

[architecture]
voters = 10
layers = [{ channels = 8 }]

[options.norm]
choices = ["none", "neuron"]
help = "Normalisation."

[options.pool]
choices = ["mean"]
help = "Pooling."
"""


class Layer(msgspec.Struct, forbid_unknown_fields=True):
    channels: int


class Architecture(msgspec.Struct, forbid_unknown_fields=True):
    voters: int
    layers: tuple[Layer, ...]


def card(folder: Path, old: str = "", new: str = "") -> Card:
    assert old in TEXT
    path = folder / "votes.toml"
    path.write_text(TEXT.replace(old, new, 1))
    return read_toml(path, "card", Card)


def test_a_builder_gets_its_own_struct(tmp_path: Path) -> None:
    found = card(tmp_path).architecture_as(Architecture)
    assert found == Architecture(voters=10, layers=(Layer(channels=8),))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("voters = 10", "voter = 10", "Object contains unknown field `voter`"),
        ("channels = 8", "channel = 8", r"Object contains.*`channel` - at `\$\.layers\[0\]`"),
        ("channels = 8", 'channels = "8"', r"Expected `int`.* at `\$\.layers\[0\]\.channels`"),
        ("voters = 10", "", "Object missing required field `voters`"),
    ],
)
def test_an_architecture_that_does_not_fit_is_one_line(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(
        UsageError, match=f"architecture of card votes is not valid: {message}"
    ) as caught:
        card(tmp_path, old, new).architecture_as(Architecture)
    assert "\n" not in str(caught.value)


def test_every_option_has_a_value(tmp_path: Path) -> None:
    found = card(tmp_path)
    assert found.fill_options({}) == {"norm": "none", "pool": "mean"}
    assert found.fill_options({"norm": "neuron"}) == {"norm": "neuron", "pool": "mean"}
    with pytest.raises(UsageError, match="votes: --norm must be none or neuron, got 'batch'"):
        found.fill_options({"norm": "batch"})
    with pytest.raises(UsageError, match="votes has no option --shortcut; it has: --norm, --pool"):
        found.fill_options({"shortcut": "paper"})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('["none", "neuron"]', "[]", r"length >= 1 - at `\$\.options\[\.\.\.\]\.choices`"),
        ("options.norm", 'options."No-rm"', "regex"),
        ("options.norm", "options.width", "option 'width' is a field of every run"),
        ("options.norm", "options.card", "option 'card' is a field of every run"),
    ],
)
def test_options_that_cannot_be_are_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(UsageError, match=rf"votes\.toml is not valid: .*{message}"):
        card(tmp_path, old, new)


def test_a_folder_is_no_card(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"card .* cannot be read: Is a directory"):
        read_toml(tmp_path, "card", Card)
