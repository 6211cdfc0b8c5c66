"""Progress bars and notes on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class RichReporter(Progress):
    """``progress.Reporter`` that draws a bar per stage; to a pipe it prints a line per stage."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        super().__init__(
            TextColumn("{task.description:24}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )

    @contextmanager
    def stage(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """Draw a bar of ``total`` ticks; the callable yielded sets how many are done."""
        if not self.console.is_terminal:
            self.console.print(f"{title} ...")
        task = self.add_task(title, total=total)
        yield lambda ticks: self.update(task, completed=ticks)
        self.update(task, completed=total)

    def note(self, message: str) -> None:
        """Print one line above the bars."""
        self.console.print(f"[bold]note:[/bold] {escape(message)}", highlight=False)
