"""Write everything a result can be rendered as into one folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from snnbench.core.errors import OutputError
from snnbench.core.files import write_atomically
from snnbench.render.export import to_csv, to_latex, to_markdown
from snnbench.render.figures import figures
from snnbench.render.html import report_html
from snnbench.render.tables import tables
from snnbench.results.run import RunResult

# every table and figure a report may hold
_TABLES = (
    "operations",
    "energy",
    "energy_measured",
    "latency",
    "engine",
    "layers",
    "side_work",
    "checks",
)
_FIGURES = (
    "spikes_per_neuron",
    "operations_by_layer",
    "energy",
    "firing_rate_by_timestep",
    "latency",
    "speedup_by_firing_rate",
)


def write_report(result: RunResult, folder: Path) -> list[Path]:
    """Write ``report.html``, ``tables/`` (csv, md, tex) and ``figures/`` (svg, png).

    Each file is replaced as a whole or not at all. Tables and figures hold no dates: equal results
    give equal bytes.

    Args:
        result: What to render.
        folder: Made if missing.

    Returns:
        The files written, the page first.

    Raises:
        OutputError: The folder cannot be written.
    """
    _make_folder(folder)  # before the slow part
    made, plots = tables(result), figures(result)
    files = {"report.html": report_html(result, made, plots).encode()}
    for table in made:
        files[f"tables/{table.name}.csv"] = to_csv(table).encode()
        files[f"tables/{table.name}.md"] = to_markdown(table).encode()
        files[f"tables/{table.name}.tex"] = to_latex(table).encode()
    for plot in plots:
        files[f"figures/{plot.name}.svg"] = plot.svg
        files[f"figures/{plot.name}.png"] = plot.png
    paths = []
    for name, content in files.items():
        path = folder / name
        _make_folder(path.parent)
        write_atomically(path, content)
        paths.append(path)
    _remove_stale(folder, files)
    return paths


def _remove_stale(folder: Path, files: Mapping[str, bytes]) -> None:
    """Remove what an earlier result with more to show left here; other files are the user's."""
    for kind, names, suffixes in (
        ("tables", _TABLES, ("csv", "md", "tex")),
        ("figures", _FIGURES, ("svg", "png")),
    ):
        for name in names:
            for suffix in suffixes:
                path = f"{kind}/{name}.{suffix}"
                if path not in files:
                    _remove(folder / path)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        msg = f"cannot remove outdated {path}: {error.strerror}; choose another folder with --out"
        raise OutputError(msg) from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"cannot write to folder {folder}: {error.strerror}; choose another with --out"
        raise OutputError(msg) from error
