"""A history as tables on the screen and as csv."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from snnbench.compare.history.files import Point
from snnbench.compare.history.series import Entry, Step, Track
from snnbench.compare.words import change, value
from snnbench.render import text
from snnbench.render.escape import cell, printable

STEP = "step"
_COMMIT_DIGITS = 10
_COLUMNS = ("benchmark", "metric", "unit", "where", "series", "date_utc", "commit", "value", "step")


def print_tracks(
    tracks: Sequence[Track], asked: Sequence[str], console: Console | None = None
) -> None:
    """Print a table per metric and benchmark, then every step in words.

    If there is no track, the message names the metrics that the user ``asked`` for.
    """
    screen = console or Console()
    for track in tracks:
        screen.print(Text(title(track), style="bold"), _table(track))
        for at, series in enumerate(track.series[1:], 2):
            remark = f"series {at} is not comparable with the one before: {series.differs}"
            screen.print(Text(printable(remark), style="yellow"))
    for sentence in step_sentences(tracks):
        screen.print(Text(sentence))
    if not tracks:
        screen.print(Text(f"no result has a value of {', '.join(asked)}"))


def step_sentences(tracks: Sequence[Track]) -> Iterator[str]:
    """Say where every metric stepped, or that none did."""
    steps = [
        printable(f"step: {title(track)}: {_moved(track, step)}")
        for track in tracks
        for step in track.steps
    ]
    return iter(steps or (["no step"] if tracks else []))


def title(track: Track) -> str:
    """Name benchmark, metric and conditions on one line."""
    where = f", {track.where}" if track.where else ""
    return printable(f"{text.shorten(track.benchmark, 60)}: {track.metric.name}{where}")


def commit_label(point: Point) -> str:
    """Name the commit, shortened; the file where the commit is unknown."""
    commit = point.commit and point.commit[:_COMMIT_DIGITS]
    return printable(text.shorten(point.source.stem, 24) if commit is None else commit)


def date(point: Point) -> str:
    """Write the date in UTC, to the second."""
    return f"{point.when:%Y-%m-%d %H:%M:%S}"


def to_csv(tracks: Sequence[Track]) -> str:
    """Write one row per value, with all digits."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for track in tracks:
        for number, series in enumerate(track.series, 1):
            for entry in series.entries:
                writer.writerow(
                    (
                        *(cell(track.benchmark), track.metric.name, track.metric.unit, track.where),
                        *(number, date(entry.point), cell(entry.point.commit or "")),
                        *(entry.value, int(entry.step)),
                    )
                )
    return lines.getvalue()


def _table(track: Track) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for header in ("Date (UTC)", "Commit"):
        table.add_column(header, no_wrap=True)
    for header in ("Value", "Change"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("")
    for number, series in enumerate(track.series, 1):
        before: Entry | None = None
        for entry in series.entries:
            moved = "" if before is None else change(track.metric, before.value, entry.value)
            start = f"series {number}" if before is None and len(track.series) > 1 else ""
            cells = (
                date(entry.point),
                commit_label(entry.point),
                value(track.metric, entry.value),
                moved,
                STEP if entry.step else start,
            )
            table.add_row(
                *map(Text, cells),
                style="bold" if entry.step else None,
                end_section=entry is series.entries[-1],
            )
            before = entry
    return table


def _moved(track: Track, step: Step) -> str:
    old, new = value(track.metric, step.base), value(track.metric, step.head)
    moved = change(track.metric, step.base, step.head)
    return f"{old} -> {new} ({moved}) at {commit_label(step.point)}"
