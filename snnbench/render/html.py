"""One self-contained HTML page: no scripts, no network, readable on paper and on a phone."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Sequence
from importlib import resources

import jinja2
from markupsafe import Markup

from snnbench.render import text
from snnbench.render.canvas import Plot
from snnbench.render.findings import coverage, verdict
from snnbench.render.notices import notices
from snnbench.render.table import Table
from snnbench.results.run import Folding, RunResult, WeightsInfo


def report_html(result: RunResult, tables: Sequence[Table], plots: Sequence[Plot]) -> str:
    """Render the report as one page; all text from the result is escaped."""
    templates = resources.files("snnbench.reports.templates")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(templates.joinpath("report.html.j2").read_text("utf-8"))
    style = templates.joinpath("report.css").read_text("utf-8")
    page = template.render(
        result=result,
        style=Markup(style),
        weights_note=text.weights_note(result),
        subject=text.subject(result),
        notices=notices(result),
        verdict=verdict(result),
        coverage=coverage(result),
        folding=folding_sentence(result.folding),
        tables={table.name: table for table in tables},
        plots=[(plot, base64.b64encode(plot.svg).decode()) for plot in plots],
        provenance=provenance(result),
        glossary=glossary(tables),
    )
    return f"{page}\n"


def folding_sentence(folding: Folding | None) -> str | None:
    """Say what folding the batch norm changed."""
    if folding is None:
        return None
    return (
        f"Batch norm folded into {text.plural(folding.folded, 'layer')} "
        f"({folding.remaining:,} could not be): the largest difference of the outputs is "
        f"{folding.output_max_abs_difference:.2g} at outputs up to {folding.output_max_abs:.3g}; "
        f"{folding.flipped_spikes:,} of {folding.spike_sites:,} spike sites flipped."
    )


def glossary(tables: Sequence[Table]) -> dict[str, str]:
    """Explain every column; where headers repeat, the first explanation stays."""
    meanings: dict[str, str] = {}
    for table in tables:
        for column in table.columns:
            meanings.setdefault(column.header, column.help)
    return meanings


def provenance(result: RunResult) -> list[tuple[str, str]]:
    """List where the numbers come from and how to make them again, as (label, value)."""
    where = result.environment
    commit = (where.commit or text.UNKNOWN) + (" with uncommitted changes" if where.dirty else "")
    packages = {"torch": where.torch, "numpy": where.numpy, **where.packages}
    return [
        ("Command", remake_command(result)),
        ("Benchmark", result.benchmark),
        ("Benchmark version", result.benchmark_version or "none (not from the registry)"),
        ("Input shape", " x ".join(str(size) for size in result.input_shape)),
        ("Seed", str(result.config.seed)),
        *_weights("Weights", "the weights", result.weights),
        *_weights("Twin's weights", "the twin's weights", result.twin_weights),
        ("Data", f"{result.data.name}: {result.data.description}"),
        ("Data SHA-256", result.data.sha256),
        ("snnbench", where.snnbench),
        ("Commit", commit),
        ("Python", where.python),
        ("Packages", ", ".join(f"{name} {version}" for name, version in packages.items())),
        ("Machine", f"{where.cpu}, {text.plural(where.cpu_count, 'core')}, {where.platform}"),
        ("Device", f"{where.device}, {text.plural(where.threads, 'thread')}"),
        ("Created", result.created_utc),
    ]


def _weights(label: str, noun: str, weights: WeightsInfo | None) -> list[tuple[str, str]]:
    if weights is None:
        return []
    return [
        (label, f"{weights.status}: {weights.description}"),
        (f"{label} SHA-256", weights.sha256),
        (f"Evidence for {noun}", weights.evidence or "none"),
    ]


def remake_command(result: RunResult) -> str:
    """Write the command line that repeats the run."""
    config = result.config
    from_user = config.layout is not None
    options: dict[str, object] = {
        "--input": "x".join(map(str, result.input_shape)) if from_user else None,
        "--timesteps": config.timesteps,
        "--layout": config.layout,
        "--samples": None if from_user else config.samples,
        "--batch-size": config.batch_size,
        "--values": result.data.name.removeprefix("random ") if from_user else None,
        "--seed": config.seed,
        "--threads": None if from_user else config.threads,
        "--device": None if from_user else config.device,
        "--width": None if config.width is None else f"{config.width:g}",
        **{f"--{name}": value for name, value in config.options.items()},
        "--data": config.data,
        "--weights": config.weights,
        "--twin-weights": config.twin_weights,
        "--latency-batches": config.latency_batches and ",".join(map(str, config.latency_batches)),
        "--engine": config.engine,
        "--weights-dtype": config.weights_dtype,
    }
    words = ["snnbench", "profile" if from_user else "run", config.benchmark]
    for flag, value in options.items():
        words += [] if value is None else [flag, str(value)]
    words += ["--ann"] if from_user and result.snn.declared_dense else []
    words += [] if from_user or config.weights else ["--untrained"]
    words += ["--strict"] if config.strict else []
    words += [] if config.latency or from_user else ["--no-latency"]
    return shlex.join(words)
