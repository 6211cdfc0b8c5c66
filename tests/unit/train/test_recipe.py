"""Recipes: what overrides what, what is written, and what is refused in one line."""

from __future__ import annotations

import json
import math
from pathlib import Path

import msgspec
import pytest

from snnbench.core.errors import UsageError
from snnbench.train.recipe import (
    Recipe,
    as_dict,
    as_toml,
    differences,
    from_dict,
    learning_rate,
    resolve,
)
from snnbench.zoo import registry
from snnbench.zoo.card import Card, TrainingSpec

CARD = registry.get("resnet19").card


@pytest.mark.parametrize("name", Recipe.__struct_fields__)
def test_no_option_of_a_card_is_called_as_a_field(name: str) -> None:
    table = msgspec.to_builtins(registry.get("resnet19").card)
    option = {name: {"choices": ["a"], "help": ""}}
    with pytest.raises(msgspec.ValidationError, match=r"another name|matching regex"):
        msgspec.convert({**table, "options": option}, Card)


def test_data_brings_the_paper_s_recipe() -> None:
    recipe = resolve(CARD, data="cifar10=there")
    assert (recipe.lr, recipe.momentum, recipe.lr_factor) == (0.1, 0.9, 0.1)
    assert (recipe.batch_size, recipe.lr_step_epochs, recipe.schedule) == (36, 35, "step")
    assert recipe.timesteps == 6
    assert recipe.weight_decay == 0  # the paper prints none


def test_embedded_data_brings_a_short_recipe() -> None:
    assert resolve(CARD).epochs < 20 < resolve(CARD, data="x").epochs
    assert resolve(CARD).schedule == "cosine"


def test_loss_and_optimiser_are_the_card_s_on_any_data() -> None:
    training = TrainingSpec(loss="mse", optimizer="Adam", lr=0.001)
    card = msgspec.structs.replace(CARD, training=training)
    for data in (None, "cifar10=there"):
        recipe = resolve(card, data=data)
        assert (recipe.loss, recipe.optimizer) == ("mse", "Adam")
    assert (recipe.lr, recipe.batch_size, recipe.lr_step_epochs) == (0.001, 16, 100)
    assert resolve(card, loss="cross-entropy").loss == "cross-entropy"
    wrong = msgspec.structs.replace(CARD, training=TrainingSpec(loss="hinge"))
    with pytest.raises(UsageError, match=r"recipe: loss \(--loss\): .*'hinge'"):
        resolve(wrong)


def test_options_override_the_file_and_the_file_the_card(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('data = "images=x"\nlr = 0.5\nmomentum = 0.5\n')
    recipe = resolve(CARD, path, lr=0.25, seed=None)
    assert (recipe.lr, recipe.momentum, recipe.batch_size, recipe.seed) == (0.25, 0.5, 36, 0)


@pytest.mark.parametrize("data", [None, "images=/a b", 'images="\\n\t', "images=größe 😀\x7f"])
def test_a_written_recipe_is_read_as_the_same(tmp_path: Path, data: str | None) -> None:
    recipe = resolve(CARD, data=data, lr=1e-7, width=1 / 3, twin=True, limit_train=5, test=False)
    (tmp_path / "recipe.toml").write_bytes(as_toml(recipe))
    assert resolve(CARD, tmp_path / "recipe.toml") == recipe


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("epochs", 0), ("timesteps", 0), ("batch_size", 0), ("limit_train", -1)),
        *(("lr", math.nan), ("lr", math.inf), ("lr", 0.0), ("lr", -0.1)),
        *(("width", 0.0), ("width", math.nan), ("momentum", 1.0), ("weight_decay", -1.0)),
        *(("seed", -1), ("seed", 2**32), ("lr_factor", 0.0), ("lr_step_epochs", 0)),
        *(("schedule", "linear"), ("precision", "8-bit"), ("lr", "fast")),
    ],
)
def test_a_value_out_of_range_is_named_with_its_option(field: str, value: object) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(CARD, **{field: value})
    text = str(caught.value)
    assert f"{field} (--{field.replace('_', '-')})" in text
    assert repr(value) in text
    assert "\n" not in text


def test_recipes_of_the_weights_that_are_shipped_are_read() -> None:
    files = sorted(Path(str(registry.get("resnet19").weights)).glob("*.json"))
    assert len(files) == 4
    for path in files:
        table = json.loads(path.read_text())["recipe"]
        recipe = from_dict(table)
        assert recipe.options == {"shortcut": "paper"}
        assert table.items() <= as_dict(recipe).items()
        assert (recipe.loss, recipe.optimizer) == ("cross-entropy", "SGD")


def test_options_of_the_card_stand_beside_the_fields(tmp_path: Path) -> None:
    assert resolve(CARD).options == {"shortcut": "paper"}
    recipe = resolve(CARD, shortcut="identity")
    assert 'width = 1.0\nshortcut = "identity"\ntwin = false\n' in as_toml(recipe).decode()
    assert from_dict(as_dict(recipe)) == recipe
    assert differences(recipe, resolve(CARD)) == ["shortcut identity, not paper"]
    with pytest.raises(UsageError, match="--shortcut must be paper or identity, got 'none'"):
        resolve(CARD, shortcut="none")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "epoch = 3",
            r"unknown field epoch: did you mean epochs\? choose one of benchmark, data, ",
        ),
        ('benchmark = "resnet34"', "is for resnet34, not resnet19"),
        ("epochs = ", "is not valid: "),
        ("epochs = 1.5", r"epochs \(--epochs\)"),
        ("[training]\nepochs = 1", "unknown field training"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        resolve(CARD, path)
    assert "\n" not in str(caught.value)


def test_a_path_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(UsageError, match=r"data \(--data\): 'images=/a\\udcff' is not Unicode"):
        resolve(CARD, data="images=/a\udcff")


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        resolve(CARD, tmp_path / "none.toml")


def test_differences_name_the_field_and_both_values() -> None:
    one, other = resolve(CARD, lr=0.1), resolve(CARD, lr=0.2, seed=3)
    assert differences(one, other) == ["lr 0.1, not 0.2", "seed 0, not 3"]


def test_the_step_schedule_is_the_paper_s() -> None:
    recipe = resolve(CARD, data="x", epochs=100)
    rates = [learning_rate(recipe, epoch, 0, 10) for epoch in (0, 34, 35, 69, 70)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001])


def test_the_cosine_falls_from_the_first_rate_through_half_of_it_to_zero() -> None:
    recipe = resolve(CARD, schedule="cosine", lr=0.2, epochs=4)
    rates = [learning_rate(recipe, epoch, step, 5) for epoch in range(4) for step in range(5)]
    assert rates[0] == 0.2
    assert rates[10] == pytest.approx(0.1)
    assert rates == sorted(rates, reverse=True)
    assert 0 < rates[-1] < 0.01
