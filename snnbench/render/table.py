"""The tables of a report: what one consists of, and what all of them share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from snnbench.metrics.operations import per_sample
from snnbench.render import text
from snnbench.results.run import RunResult

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Column:
    """A column's header, its explanation for the glossary, and whether it holds numbers."""

    header: str
    help: str
    numeric: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table ready to be written.

    Attributes:
        name: Stem of its files and end of its LaTeX label.
        title: Heading.
        caption: What it shows, for which run.
        columns: In order.
        rows: Cells as text; an empty first cell continues the row group above.
        data: The table as a DataFrame with all digits.
    """

    name: str
    title: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    data: pd.DataFrame

    @property
    def grouped(self) -> bool:
        """Whether rows come in groups, each opened by a row with a first cell."""
        return any(not row[0] for row in self.rows)


def per(result: RunResult) -> str:
    """Say what counts refer to: a sample, or the whole run."""
    return "per sample" if per_sample(result) else "of the whole run (number of samples unknown)"


def caption(result: RunResult, subject: str, remark: str) -> str:
    """Write a caption that names network, T, data and the state of the weights."""
    return f"{subject}. {text.context(result)}. {remark}".rstrip()


def grouped(rows: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """Blank the first cell of each row where it repeats the one above."""
    return tuple(
        ("", *row[1:]) if index and rows[index - 1][0] == row[0] else row
        for index, row in enumerate(rows)
    )


def records(data: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a DataFrame as dictionaries, with ``None`` for missing values."""
    return data.astype(object).where(data.notna(), None).to_dict("records")  # type: ignore[return-value]
