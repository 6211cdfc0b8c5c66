"""Every command and option says what it is, and loading them costs little."""

from __future__ import annotations

import re
import subprocess
import sys

import click
import pytest
from support.command_line import commands

from snnbench.cli.main import _COMMANDS, cli

COMMANDS = commands()
UNSAID = ("INTEGER", "FLOAT", "TEXT", "PATH")


def test_every_line_of_the_list_is_a_command() -> None:
    assert COMMANDS.keys() == _COMMANDS.keys()
    assert all(command.name == name for name, command in COMMANDS.items())


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_a_summary_that_fits_the_list(name: str) -> None:
    summary = (COMMANDS[name].help or "").partition("\n")[0]
    assert re.fullmatch(r"[A-Z][^.].*\.", summary), summary
    assert COMMANDS[name].get_short_help_str(limit=66) == summary.removesuffix(".") + "."


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_options_stands_alone(name: str) -> None:
    context = click.Context(COMMANDS[name])
    for option in COMMANDS[name].params:
        if not isinstance(option, click.Option):
            continue
        record = option.get_help_record(context)
        assert record is not None
        left, text = record
        sentence = (option.help or "").partition("  [default")[0]
        assert re.fullmatch(r"[A-Z].{10,}\.", sentence), f"{left}: {text}"
        assert not sentence.startswith(("Of ", "Those ", "That ")), f"{left}: {text}"
        assert not left.endswith(UNSAID) or "PATH" in (option.metavar or ""), left
        if not ((option.is_flag and option.default is not None) or option.multiple):
            assert "[default: " in text or "[required]" in text or left.endswith("FILE.toml"), left


def test_help_names_every_kind_of_data() -> None:
    from snnbench.data.open import FORMATS

    (data,) = (option for option in COMMANDS["run"].params if option.name == "data")
    assert isinstance(data, click.Option)
    told = re.findall(r"[a-z0-9-]+", (data.help or "").partition("KIND is")[2])
    assert set(FORMATS) <= set(told)


def test_help_of_all_commands_loads_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from snnbench.cli.main import _COMMANDS, cli, cli\n"
        "for arguments in (['--help'], *([name, '--help'] for name in _COMMANDS)):\n"
        "    cli(arguments, standalone_mode=False)\n"
        "heavy = {'torch', 'pandas', 'matplotlib', 'numpy', 'numba', 'rich', 'msgspec'}\n"
        "loaded = heavy & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in _COMMANDS)


@pytest.mark.parametrize(
    ("name", "default"), [("run", "that of the weights, else paper"), ("train", "paper")]
)
def test_defaults_of_card_options_depend_on_weights(
    name: str, default: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cli([name, "resnet19", "--help"], standalone_mode=False)
    assert f"(identity). [default: {default}]" in " ".join(capsys.readouterr().out.split())
