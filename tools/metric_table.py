"""The table of metrics in docs/metrics.md: ``python tools/metric_table.py`` writes it anew."""

from __future__ import annotations

from pathlib import Path

from snnbench.metrics.catalogue import metrics
from snnbench.metrics.metric import Family, Gated, Metric

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"
HEAD = "| metric | what it is | unit | worse is | gated |\n|---|---|---|---|---|\n"
_WORSE = {None: "any change", True: "more", False: "less"}


def table() -> str:
    """A row per metric, in the order of the catalogue; cost tables share one."""
    rows = {_name(metric): _cells(metric) for metric in metrics().values()}
    lines = (f"| `{name}` | {' | '.join(cells)} |\n" for name, cells in rows.items())
    return HEAD + "".join(lines)


def written() -> str:
    """The table as the page has it."""
    page = PAGE.read_text(encoding="utf-8")
    return HEAD + page.partition(HEAD)[2].partition("\n\n")[0] + "\n"


def _name(metric: Metric) -> str:
    return "energy.TABLE" if metric.family is Family.ENERGY else metric.name


def _cells(metric: Metric) -> tuple[str, ...]:
    title = "Energy estimate, for each cost table" if "TABLE" in _name(metric) else metric.title
    worse = "" if metric.gated is Gated.NEVER else _WORSE[metric.lower_is_better]
    return title, metric.unit, worse, metric.gated


def main() -> None:
    """Replace the table in the page."""
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(page.replace(written(), table()), encoding="utf-8")


if __name__ == "__main__":
    main()
