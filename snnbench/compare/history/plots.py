"""A history as files: one plot per metric and benchmark, and the values as csv."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from snnbench.compare.history.series import Track
from snnbench.compare.history.tables import commit_label, step_sentences, title, to_csv
from snnbench.compare.words import value
from snnbench.core.files import file_stem, write_atomically
from snnbench.render import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CSV = "history.csv"
_HEIGHT = 2.8
_MARKERS = ("o", "s", "^", "D", "v")


def write_files(tracks: Sequence[Track], folder: Path) -> list[Path]:
    """Write ``history.csv`` and a plot (svg, png) per track into a ``folder`` that exists.

    Equal results give equal bytes. Plots of metrics that are no longer there are left alone.

    Returns:
        The files written.

    Raises:
        OutputError: The folder cannot be written.
    """
    files = {CSV: to_csv(tracks).encode()}
    with canvas.style():
        for track in tracks:
            names = (track.metric.name, track.benchmark, track.where)
            stem = file_stem(" ".join(filter(None, names)))
            files |= {f"{stem}.{kind}": content for kind, content in _draw(track).items()}
    for name, content in files.items():
        write_atomically(folder / name, content)
    return [folder / name for name in files]


def _draw(track: Track) -> dict[str, bytes]:
    """Draw a plot as svg and png: commits in order, steps marked with a line and the commit."""
    points = sorted(
        (entry.point for series in track.series for entry in series.entries),
        key=lambda point: (point.when, str(point.source)),
    )
    place = {id(point): at for at, point in enumerate(points)}
    figure, axes = canvas.single(canvas.PAGE_WIDTH, _HEIGHT)
    for number, series in enumerate(track.series):
        axes.plot(
            [place[id(entry.point)] for entry in series.entries],
            [entry.value for entry in series.entries],
            marker=_MARKERS[number % len(_MARKERS)],
            markersize=3,
            color=canvas.SNN_COLOR if number == 0 else canvas.depth_colors()(number * 60 % 256),
            label=f"series {number + 1}",
        )
    _mark_steps(axes, track, place)
    labels = [commit_label(point) for point in points]
    canvas.label_layers(axes.xaxis, labels, canvas.PAGE_WIDTH - 1, rotation=90)
    axes.set_ylabel(track.metric.unit)
    axes.set_xlabel("Commit, oldest to newest")
    axes.grid(axis="y")
    if len(track.series) > 1:
        figure.legend(loc="outside upper right", ncols=min(5, len(track.series)))
    note = next(step_sentences([track])) if len(track.steps) < 2 else f"{len(track.steps)} steps"
    return canvas.finish(figure, title(track), note)


def _mark_steps(axes: Axes, track: Track, place: dict[int, int]) -> None:
    for step in track.steps:
        at = place[id(step.point)]
        axes.axvline(at, color=canvas.TWIN_COLOR, linewidth=0.9, linestyle="--")
        axes.annotate(
            f"{commit_label(step.point)}: {value(track.metric, step.head)}",
            (at, 0),
            xycoords=axes.get_xaxis_transform(),
            xytext=(3, 4),
            textcoords="offset points",
            fontsize=6,
            color=canvas.TWIN_COLOR,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
        )
