"""Limits: how much worse a metric may get, as in ``--fail-above METRIC:TOL``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from snnbench.core.errors import UsageError, suggestion
from snnbench.metrics.catalogue import compared_metrics
from snnbench.metrics.metric import Family, Gated, Metric, Number

COUNTS = "counts"
"""The group of all exact counts that are gated by default."""

_TOLERANCE = re.compile(r"(\d{1,18}(?:\.\d{1,9})?)(%|pt)?", re.ASCII)
_UNITS = {Family.COUNT: ("", "%"), Family.ACCURACY: ("pt",)}
_EXAMPLE = {"": "1000", "%": "1.5%", "pt": "0.5pt"}
_PERCENT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How much worse one metric may get.

    Attributes:
        metric: The limited metric.
        tolerance: Largest change for the worse that passes.
        unit: Unit of ``tolerance``: ``%`` of the base, ``pt`` (points of accuracy), or empty for
            the metric's own unit.
        exact: Whether any difference fails, even for the better or in a single layer.
        explicit: Whether the user named the metric or its group; then an unknown value fails.
        group: The group that the user named, if any. Metrics of it that neither side has do not
            fail, as long as one of the group can be judged.
    """

    metric: Metric
    tolerance: Fraction = Fraction(0)
    unit: str = ""
    exact: bool = False
    explicit: bool = False
    group: str | None = None

    def __str__(self) -> str:
        return "exact" if self.exact else f"{float(self.tolerance):g}{self.unit}"

    def has_others(self, names: Iterable[str]) -> bool:
        """Say whether one of the metrics ``names`` is in the group that the user named."""
        return self.group is not None and any(n.startswith(f"{self.group}.") for n in names)

    def broken_by(self, base: Number, head: Number) -> bool:
        """Say whether ``head`` is worse than ``base`` by more than the tolerance."""
        change = Fraction(head) - Fraction(base)
        if self.exact:
            return change != 0
        lower = self.metric.lower_is_better
        worse = abs(change) if lower is None else change if lower else -change
        if self.unit == "%":
            return worse * _PERCENT > self.tolerance * abs(Fraction(base))
        return worse > self.tolerance


def limits(asked: Iterable[str], *, exact: bool = False) -> dict[str, Limit]:
    """Parse limits, and return them by metric.

    Args:
        asked: Texts ``METRIC:TOL``; a later one overrides an earlier one of the same metric. If
            there is none, every metric that is gated by default gets a limit of 0.
        exact: Metrics that are gated by default tolerate no difference, unless ``asked`` limits
            them.

    Raises:
        UsageError: A metric does not exist, or its tolerance is not a number in one of its units.
    """
    given = {limit.metric.name: limit for text in asked for limit in _parse(text)}
    if given and not exact:
        return given
    default = {
        metric.name: Limit(metric=metric, exact=exact, explicit=False)
        for metric in compared_metrics().values()
        if metric.gated is Gated.BY_DEFAULT
    }
    return default | given


def _parse(text: str) -> list[Limit]:
    name, colon, tolerance = text.rpartition(":")
    match = _TOLERANCE.fullmatch(tolerance.strip())
    if not colon or match is None:
        msg = f"--fail-above {text}: write METRIC:TOL, such as synops:0, acs:1.5% or accuracy:0.5pt"
        raise UsageError(msg)
    value, unit = Fraction(match[1]), match[2] or ""
    metrics = _selected(name)
    for metric in metrics:
        units = _UNITS.get(metric.family, ("%",))
        if unit not in units and (unit or value):
            examples = " or ".join(_EXAMPLE[unit] for unit in units)
            msg = f"--fail-above {text}: the tolerance of {metric.name} is written as {examples}"
            raise UsageError(msg)
    # the group of default metrics demands no more than the default: a network may have no twin
    explicit = name != COUNTS
    group = None if name in compared_metrics() else name
    return [
        Limit(metric=metric, tolerance=value, unit=unit, explicit=explicit, group=group)
        for metric in metrics
    ]


def _selected(name: str) -> list[Metric]:
    """Return the metric called ``name``, or the metrics of that group."""
    known = compared_metrics()
    if name in known:
        return [known[name]]
    if name == COUNTS:
        counts = [metric for metric in known.values() if metric.family is Family.COUNT]
        return [metric for metric in counts if metric.gated is Gated.BY_DEFAULT]
    group = [metric for metric in known.values() if metric.name.startswith(f"{name}.")]
    if name and group:
        return group
    msg = f"--fail-above {name}: no such metric; {suggestion(name, (COUNTS, *known))}"
    raise UsageError(msg)
