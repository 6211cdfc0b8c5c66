"""A report as a folder: the page, all tables and all figures."""

from __future__ import annotations

from pathlib import Path

from snnbench.core.errors import OutputError
from snnbench.core.files import ensure_writable_folder, write_atomically
from snnbench.render.export import to_csv, to_latex, to_markdown
from snnbench.render.figures import figures
from snnbench.render.html import report_html
from snnbench.render.tables import tables
from snnbench.results.run import RunResult

_TABLES = (
    *("operations", "energy", "energy_measured", "latency"),
    *("engine", "layers", "side_work", "checks"),
)
_FIGURES = (
    *("spikes_per_neuron", "operations_by_layer", "energy"),
    *("firing_rate_by_timestep", "latency", "speedup_by_firing_rate"),
)
_ALL_FILES = (
    *(f"tables/{name}.{suffix}" for name in _TABLES for suffix in ("csv", "md", "tex")),
    *(f"figures/{name}.{suffix}" for name in _FIGURES for suffix in ("svg", "png")),
)
"""Every table and figure that a report may hold."""


def write_report(result: RunResult, folder: Path) -> list[Path]:
    """Write ``report.html``, ``tables/`` (csv, md, tex) and ``figures/`` (svg, png).

    Each file is replaced as a whole or not at all. Tables and figures hold no dates: equal results
    give equal bytes.

    Returns:
        The files written, the page first.

    Raises:
        OutputError: The folder cannot be written.
    """
    ensure_writable_folder(folder)  # before the slow part
    made, plots = tables(result), figures(result)
    files = {"report.html": report_html(result, made, plots).encode()}
    for table in made:
        files[f"tables/{table.name}.csv"] = to_csv(table).encode()
        files[f"tables/{table.name}.md"] = to_markdown(table).encode()
        files[f"tables/{table.name}.tex"] = to_latex(table).encode()
    for plot in plots:
        files[f"figures/{plot.name}.svg"] = plot.svg
        files[f"figures/{plot.name}.png"] = plot.png
    for name, content in files.items():
        ensure_writable_folder((folder / name).parent)
        write_atomically(folder / name, content)
    for name in _ALL_FILES:  # an earlier result may have had more to show
        if name not in files:
            _remove(folder / name)
    return [folder / name for name in files]


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        msg = f"cannot remove outdated {path}: {error.strerror}; choose another folder with --out"
        raise OutputError(msg) from error
