"""Processes of the two sides: run to their end, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from snnbench.core.errors import SnnbenchError

_PATIENCE_S = 10.0
_LAST_LINES = 3


class RunError(SnnbenchError):
    """A process of one side failed, so that nothing can be judged."""

    exit_code = 3


def run(command: Sequence[str], environment: Mapping[str, str], log: Path, what: str) -> str:
    """Run a command to its end.

    Args:
        command: Program and arguments.
        environment: All environment variables.
        log: File that keeps its standard error.
        what: What it does, for messages.

    Returns:
        Its standard output.

    Raises:
        RunError: The command failed; the message has its exit code and last lines.
    """
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,  # Ctrl-C reaches us alone, and we stop it
        )
        try:
            output, _ = process.communicate()
        finally:
            _stop(process)
    if process.returncode:
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
        last = " | ".join([line.strip() for line in lines if line.strip()][-_LAST_LINES:])
        msg = f"{what} failed with exit code {process.returncode}: {last or 'no message'}"
        raise RunError(msg)
    return output.decode(errors="replace")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a process that still runs and its children, with time to clean up."""
    if process.poll() is not None:
        return
    _signal(process, signal.SIGTERM)
    try:
        process.communicate(timeout=_PATIENCE_S)
    except subprocess.TimeoutExpired:
        _signal(process, signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
        process.communicate()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal to a process and its session, such as a build backend under pip."""
    if os.name == "posix":
        with suppress(ProcessLookupError, PermissionError):  # it ended just now
            os.killpg(process.pid, number)
    else:
        process.send_signal(number)
