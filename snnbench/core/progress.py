"""How long work reports its progress."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol


class Reporter(Protocol):
    """Shows progress to the user; ``snnbench.cli.progress`` does so on a terminal."""

    def stage(self, title: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Begin a stage of ``total`` units; call the result with the number that are done."""
        ...

    def note(self, message: str) -> None:
        """Show a message that the user should read now."""
        ...
