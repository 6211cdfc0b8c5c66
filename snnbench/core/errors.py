"""Every error snnbench raises on purpose, in one tree.

A message is one line that says what happened, where, and what to do; the command line prints it
without a traceback. Tests match these texts, so they are part of the interface.
"""

import difflib
from collections.abc import Iterable


class SnnbenchError(Exception):
    """Base of all deliberate errors; the command line exits with ``exit_code``.

    Args:
        message: What a library says in it may have several lines; they become one.
    """

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))


class UsageError(SnnbenchError):
    """The caller asked for something that cannot be: a wrong name, path, shape or value."""

    exit_code = 2


class DataError(UsageError):
    """Input data is missing, truncated, or of another shape than declared."""


class WeightsError(UsageError):
    """A weight file is missing, unsafe, non-finite, or made for another network."""


class ResultError(UsageError):
    """A result file cannot be read, is not valid, or is of another schema version."""


class OutputError(UsageError):
    """The output folder cannot be written."""


class UncountedOperationError(SnnbenchError):
    """An operation that no counting rule covers ran under ``strict=True``."""


class StructureError(SnnbenchError):
    """Two networks that must be structurally equal (spiking and twin, model and card) differ."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """End of a message about a wrong name: the nearest known one, then all of them."""
    known = tuple(known)
    nearest = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {nearest[0]}? " if nearest else ""
    return f"{hint}choose one of {', '.join(known)}"
