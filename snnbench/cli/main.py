"""The command line: the group of commands, and errors as exit codes.

A command is a file of this folder and a line in ``_COMMANDS``. The file is loaded when the command
is called or help is shown; what the command itself imports, only when it runs.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper

import click

from snnbench.core.errors import OutputError, SnnbenchError
from snnbench.core.signals import SIGNALS
from snnbench.core.version import __version__

_INTERRUPTED = 130

# command -> file of this folder, which has it as `<command>_command`; in the order of the help
_COMMANDS = {
    "list": "info",
    "run": "run",
    "profile": "profile",
    "report": "report",
    "latency": "latency",
    "train": "train",
    "evaluate": "evaluate",
    "compare": "compare",
    "ab": "ab",
    "history": "history",
    "env": "info",
    "schema": "info",
}


class _Commands(click.Group):
    """The commands of ``_COMMANDS``."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's name
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        file = import_module(f"snnbench.cli.{_COMMANDS[cmd_name]}")
        command: click.Command = getattr(file, f"{cmd_name}_command")
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="snnbench")
def cli() -> None:
    """Energy and sparsity profiler and benchmark suite for spiking neural networks.

    `snnbench list` names the benchmarks, `snnbench run NAME` runs one, `snnbench profile` counts
    your own model, and `snnbench COMMAND --help` explains a command.
    """


def main() -> None:
    """Entry point: deliberate errors become one line and an exit code, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Unicode shows `?`
    _interrupt_on_termination()
    try:
        code = cli(standalone_mode=False)  # what a command returns, if it judges something
        if sys.stdout is not None:  # it is closed in `>&-`
            sys.stdout.flush()  # here a full disk can still be reported in one line
        if code:
            sys.exit(code)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        with suppress(OSError):  # the terminal may be what was closed
            click.echo("interrupted; repeat the command to continue", err=True)
        sys.exit(_INTERRUPTED)
    except SnnbenchError as error:
        click.echo(f"snnbench: error: {error}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:  # standard output or the temporary folder; others are caught earlier
        click.echo(f"snnbench: error: {error}", err=True)
        _abandon_stdout()
        sys.exit(OutputError.exit_code)


def _interrupt_on_termination() -> None:
    """Let SIGTERM and a closed terminal interrupt as Ctrl-C does, where nothing ignores them."""
    for number in SIGNALS:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


def _abandon_stdout() -> None:
    """Send what is still unwritten nowhere, or the interpreter would fail on it once more."""
    with suppress(OSError, ValueError):  # it may be no file, or closed
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
