"""Progress bars and notes on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class RichReporter:
    """``progress.Reporter`` that draws a bar per stage; to a pipe it prints a line per stage."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description:24}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    @contextmanager
    def stage(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """Draw a bar of ``total`` ticks; the callable yielded sets how many are done."""
        if not self._console.is_terminal:
            self._console.print(f"{title} ...")
        task = self._progress.add_task(title, total=total)

        def done(ticks: int) -> None:
            self._progress.update(task, completed=ticks)

        yield done
        self._progress.update(task, completed=total)

    def note(self, message: str) -> None:
        """Print one line above the bars."""
        self._console.print(f"[bold]note:[/bold] {escape(message)}", highlight=False)
