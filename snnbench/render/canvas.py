"""Parts that all figures share: style sheet, colours, axes for many layers, files without dates."""

from __future__ import annotations

import io
import math
import textwrap
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

import matplotlib.style
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from snnbench.render import text
from snnbench.results.run import RunResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

SNN_COLOR = "#0072B2"
SNN_MAC_COLOR = "#009E73"
TWIN_COLOR = "#D55E00"
SKIPPING_COLOR = "#E69F00"
MUTED = "#777777"
PAGE_WIDTH = 7.0
"""Inches: the text width of a two-column paper."""
MAX_HEIGHT = 14.0
_CHARACTERS_PER_INCH = 15
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A finished figure.

    Attributes:
        name: Stem of its files.
        title: Heading.
        alt: Description for readers who cannot see it.
        svg: File content.
        png: File content.
    """

    name: str
    title: str
    alt: str
    svg: bytes
    png: bytes


@contextmanager
def style() -> Iterator[None]:
    """Use snnbench's style sheet on matplotlib's defaults, whatever the user's settings are."""
    with (
        resources.as_file(resources.files("snnbench.reports") / "snnbench.mplstyle") as sheet,
        matplotlib.style.context(["default", str(sheet)]),
        warnings.catch_warnings(),
    ):
        # A layer name may hold any character; one the font lacks is drawn as a box.
        warnings.filterwarnings("ignore", message="Glyph")
        yield


def single(width: float, height: float) -> tuple[Figure, Axes]:
    """Make a figure of one plot; its size is in inches."""
    figure = Figure(figsize=(width, height))
    return figure, figure.subplots()


def plot(figure: Figure, result: RunResult, *, name: str, title: str, alt: str) -> Plot:
    """Finish a figure of a run, with a note on what was measured."""
    width = int(figure.get_figwidth() * _CHARACTERS_PER_INCH)
    note = textwrap.fill(f"{text.weights_note(result)}: {text.subject(result)}", width)
    files = finish(figure, title, note)
    return Plot(name=name, title=title, alt=f"{alt} {text.context(result)}.", **files)


def finish(figure: Figure, title: str, note: str, *, note_size: float = 7) -> dict[str, bytes]:
    """Add heading and note, and draw ``svg`` and ``png``; equal figures give equal bytes."""
    figure.suptitle(title, x=0.01, ha="left", fontsize=9.5, fontweight="bold")
    figure.supxlabel(note, x=0.01, ha="left", fontsize=note_size, color=MUTED)
    # Laid out once, not once per file.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return {kind: _draw(figure, kind) for kind in ("svg", "png")}


def _draw(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    # No date and no program version, so that equal results give equal bytes.
    blank = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
    figure.savefig(buffer, format=kind, metadata=blank)
    return buffer.getvalue()


def label_layers(axis: Axis, names: Sequence[str], inches: float, rotation: float = 0) -> None:
    """Label ticks with layers, leaving out some where ``inches`` cannot hold all of them."""
    room = max(1, int(inches / 0.115))
    step = math.ceil(len(names) / room)
    ticks = range(0, len(names), step)
    size = 7 if len(names) <= room // 2 else 6
    axis.set_ticks(
        list(ticks), [text.shorten(names[i], 28) for i in ticks], fontsize=size, rotation=rotation
    )


def depth_colors() -> Colormap:
    """Return colours from light to dark, without viridis' faintest yellow."""
    shades = matplotlib.colormaps["viridis_r"]
    return ListedColormap([shades(0.1 + 0.85 * step / 255) for step in range(256)])


def log_axis(axes: Axes, values: Iterable[float]) -> None:
    """Make the x axis logarithmic over the decades of ``values``, labelled with powers of ten."""
    exponents = [math.log10(value) for value in values]
    low, high = math.floor(min(exponents)), math.ceil(max(exponents))
    axes.set_xscale("log")
    axes.set_xlim(10.0**low / 1.3, 10.0 ** max(high, low + 1) * 1.3)
    axes.xaxis.set_major_locator(LogLocator(numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: power_of_ten(value)))
    axes.minorticks_off()


def power_of_ten(value: float) -> str:
    """Write e.g. ``10⁶``; mathtext is off because a layer name may hold a dollar sign."""
    return f"10{str(round(math.log10(value))).translate(_SUPERSCRIPTS)}"
