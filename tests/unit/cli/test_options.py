"""Options are parsed in one place, and say what they take and what holds without them."""

from __future__ import annotations

from typing import Any

import click
import pytest

from snnbench.cli import options
from snnbench.core.errors import UsageError


def parsed(option: options.Option, *arguments: str) -> Any:
    """What a command with this one option is called with."""

    def command(**given: Any) -> Any:
        (value,) = given.values()
        return value

    return click.command()(option(command)).main(list(arguments), standalone_mode=False)


def help_of(option: options.Option) -> str:
    command = click.command()(option(lambda: None))
    return " ".join(command.get_help(click.Context(command)).split())


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [(int, "1,32", (1, 32)), (float, "0.5", (0.5,)), (int, " 2, 4 ", (2, 4))],
)
def test_numbers_are_separated_by_commas(kind: type[int], text: str, value: tuple[int]) -> None:
    assert parsed(options.numbers("--n", "Numbers.", kind, "1,2"), "--n", text) == value


@pytest.mark.parametrize("text", ["", "1,", "1;2", "x", "0.5"])
def test_what_is_not_numbers_is_named_with_its_option(text: str) -> None:
    option = options.numbers("-T --timesteps", "Numbers.", int, "2,4")
    with pytest.raises(UsageError) as error:
        parsed(option, "-T", text)
    wanted = f"-T must be numbers separated by commas, such as 2,4; got {text!r}"
    assert str(error.value) == wanted


def test_numbers_that_are_not_given_stay_unknown() -> None:
    assert parsed(options.numbers("--n", "Numbers.", int, "1")) is None


def test_every_kind_of_default_is_shown() -> None:
    assert "--n N A number. [default: 3]" in help_of(options.integer("--n", "A number.", default=3))
    assert "--n N A number. [default: all]" in help_of(
        options.integer("--n", "A number.", otherwise="all")
    )
    assert "default" not in help_of(options.flag("--all", "Take all."))
    assert parsed(options.flag("--all", "Take all.")) is False
