"""Where long work says how far it is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol


class Reporter(Protocol):
    """Shows progress; ``snnbench.cli.progress`` has one for terminals."""

    def stage(self, title: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Begin a stage of ``total`` ticks; the callable takes how many are done."""
        ...

    def note(self, message: str) -> None:
        """Say something the user should know now."""
        ...
