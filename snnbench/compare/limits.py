"""How much worse a metric may get: what ``--fail-above METRIC:TOL`` means."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from snnbench.core.errors import UsageError
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
        metric: The metric.
        tolerance: Largest change for the worse that passes.
        unit: What ``tolerance`` is in: ``%`` of the base, ``pt`` (points of accuracy), or empty for
            the metric's own unit.
        exact: Whether any difference fails, a better value and one layer's too.
        explicit: Whether the user named it or its group; then what cannot be judged fails.
        group: The group the user named; of it, what neither side has need not be judged as long
            as something of it can be.
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
        """Whether one of the metrics called ``names`` is in the group that the user named."""
        return self.group is not None and any(n.startswith(f"{self.group}.") for n in names)

    def broken_by(self, base: Number, head: Number) -> bool:
        """Whether ``head`` is worse than ``base`` by more than the tolerance."""
        change = Fraction(head) - Fraction(base)
        if self.exact:
            return change != 0
        lower = self.metric.lower_is_better
        worse = abs(change) if lower is None else change if lower else -change
        if self.unit == "%":
            return worse * _PERCENT > self.tolerance * abs(Fraction(base))
        return worse > self.tolerance


def limits(asked: Iterable[str], *, exact: bool = False) -> dict[str, Limit]:
    """Limits by metric.

    Args:
        asked: ``METRIC:TOL`` each; a later one overrides an earlier one of the same metric. None
            at all: every metric that is gated by default, at 0.
        exact: Metrics that are gated by default tolerate no difference at all, unless ``asked``
            says otherwise.

    Raises:
        UsageError: There is no such metric, or the tolerance is no number in a unit it has.
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
    for metric in (found := _selected(name)):
        admitted = _UNITS.get(metric.family, ("%",))
        if unit not in admitted and (unit or value):
            examples = " or ".join(_EXAMPLE[one] for one in admitted)
            msg = f"--fail-above {text}: the tolerance of {metric.name} is written as {examples}"
            raise UsageError(msg)
    # the group of the defaults asks for no more than they do: a network may have no twin
    explicit = name != COUNTS
    group = None if name in compared_metrics() else name
    return [
        Limit(metric=metric, tolerance=value, unit=unit, explicit=explicit, group=group)
        for metric in found
    ]


def _selected(name: str) -> list[Metric]:
    """The metric of that name, or those of the group."""
    known = compared_metrics()
    if name in known:
        return [known[name]]
    if name == COUNTS:
        counts = [metric for metric in known.values() if metric.family is Family.COUNT]
        return [metric for metric in counts if metric.gated is Gated.BY_DEFAULT]
    group = [metric for metric in known.values() if metric.name.startswith(f"{name}.")]
    if name and group:
        return group
    near = difflib.get_close_matches(name, [*known, COUNTS], n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    msg = f"--fail-above {name}: no such metric; {hint}choose one of {COUNTS}, {', '.join(known)}"
    raise UsageError(msg)
