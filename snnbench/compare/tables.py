"""A comparison for people: a table on the screen, and GitHub Markdown."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from snnbench.compare import words
from snnbench.compare.compare import Comparison, Report
from snnbench.render.escape import markdown

if TYPE_CHECKING:
    from rich.console import JustifyMethod

_SCREEN_ROWS = 20
_MARKDOWN_ROWS = 50


def to_table(report: Report, width: int | None = None) -> str:
    """Write plain text for a terminal of ``width`` characters, without colours."""
    screen = StringIO()
    console = Console(file=screen, width=width, color_system=None)
    for comparison in report.comparisons:
        _print_comparison(console, comparison)
    for sentence in words.missing_sentences(report):
        console.print(Text(sentence), soft_wrap=True)
    verdict = words.verdict(report)
    console.print(Text(f"verdict: {verdict} (exit code {report.exit_code})"))
    return screen.getvalue()


def _print_comparison(console: Console, comparison: Comparison) -> None:
    console.print(Text(words.heading(comparison)), soft_wrap=True)
    rows = words.rows(comparison, _SCREEN_ROWS)
    if rows:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
        for header in words.HEADERS:
            justify: JustifyMethod = "right" if words.numeric(header) else "left"
            table.add_column(header, justify=justify, overflow="fold", no_wrap=justify == "right")
        for row in rows:
            table.add_row(*map(Text, row))
        console.print(table)
    more = len(comparison.layer_moves) - _SCREEN_ROWS
    if more > 0:
        console.print(Text(f"and {more:,} smaller changes of layers: --format json shows all"))
    for sentence in words.sentences(comparison):
        console.print(Text(sentence), soft_wrap=True)
    console.print()


def to_markdown(report: Report) -> str:
    """Write GitHub Markdown, for a pull request or a job summary."""
    parts = [f"## snnbench compare: {words.verdict(report)}"]
    for comparison in report.comparisons:
        parts.append(f"### {markdown(words.heading(comparison))}")
        parts.append(_list(words.sentences(comparison)))
        rows = words.rows(comparison, _MARKDOWN_ROWS)
        parts.append(_markdown_table(rows) if rows else "")
        more = len(comparison.layer_moves) - _MARKDOWN_ROWS
        parts.append(f"and {more:,} smaller changes of layers" if more > 0 else "")
    parts.append(_list(words.missing_sentences(report)))
    return "\n\n".join(filter(None, parts)) + "\n"


def _list(sentences: tuple[str, ...]) -> str:
    return "\n".join(f"- {markdown(sentence)}" for sentence in sentences)


def _markdown_table(rows: tuple[tuple[str, ...], ...]) -> str:
    marks = tuple("---:" if words.numeric(header) else "---" for header in words.HEADERS)
    lines = [words.HEADERS, marks, *(tuple(map(markdown, row)) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
