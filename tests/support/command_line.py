"""The command line, called in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click
import pytest

from snnbench.cli.main import cli, main

Invoke = Callable[..., tuple[int, str, str]]
"""Arguments to exit code, standard output and standard error."""


def invoker(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *before: str
) -> Invoke:
    """Calls ``snnbench`` with the arguments ``before`` and those that it is given."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["snnbench", *before, *arguments])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return call


def commands() -> dict[str, click.Command]:
    """All commands by name."""
    context = click.Context(cli)
    found = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}
