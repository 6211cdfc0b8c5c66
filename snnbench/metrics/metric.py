"""What a metric is: its words, its limits, and where its values come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass, field
from enum import StrEnum
from fractions import Fraction
from operator import attrgetter
from typing import Any

from snnbench.results.counts import LayerRecord, Profile, Role
from snnbench.results.run import RunResult

Number = int | float | Fraction
LayerValue = Callable[[LayerRecord, Profile], Number | None]
RunValue = Callable[[RunResult], Number | None]


class Family(StrEnum):
    """How values and changes are written, and in which units a limit is given."""

    COUNT = "count"
    RATE = "rate"
    SHARE = "share"
    ENERGY = "energy"
    ACCURACY = "accuracy"
    TIME = "time"


class Gated(StrEnum):
    """When ``snnbench compare`` checks a metric against a limit."""

    BY_DEFAULT = "by default"
    ON_REQUEST = "on request"
    NEVER = "not compared"
    """Shown only, since it follows from other metrics."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A quantity that is measured, or follows from measured ones, for a layer, a run, or both.

    Attributes:
        name: Name in ``--fail-above``; a part before a dot names a group.
        title: What it is, as a phrase.
        unit: Unit of its values.
        family: See ``Family``. Tables for people show a COUNT per sample.
        lower_is_better: ``None`` where neither direction is better.
        gated: See ``Gated``.
        stored: Attribute of ``LayerRecord`` with its value in a layer, e.g. ``effective.acs``.
        layer: Function for its value in a layer, instead of ``stored``; it adds a column to the
            table of layers.
        neurons: Whether only layers of neurons have it.
        executed: Attribute of ``EngineLayer`` with its value.
        run: Function for its value in a run; by default a COUNT is summed over the SNN's layers.
        lower_bound: Function that says whether the value of a run is only a lower bound.
        timing: ``Timing.name``, if it is a time; then it has a value for each batch size.
        header: Header of its column in the report's table of layers; empty for no column.
        screen: Label in the summary on the screen; empty if it is not shown there.
    """

    name: str
    title: str
    unit: str
    _: KW_ONLY
    family: Family = Family.COUNT
    lower_is_better: bool | None = True
    gated: Gated = Gated.BY_DEFAULT
    stored: str = ""
    layer: LayerValue | None = field(default=None, compare=False)
    neurons: bool = False
    executed: str = ""
    run: RunValue | None = field(default=None, compare=False)
    lower_bound: Callable[[RunResult], bool] = field(default=lambda _: False, compare=False)
    timing: str = ""
    header: str = ""
    screen: str = ""

    @property
    def has_layers(self) -> bool:
        """Whether layers have a value."""
        return bool(self.stored or self.layer)

    def of_layer(self, layer: LayerRecord, profile: Profile) -> Number | None:
        """Return the value of a layer of ``profile``; ``None`` if it is unknown or has none."""
        if self.neurons and layer.role is not Role.NEURON:
            return None
        if self.layer:
            return self.layer(layer, profile)
        value: Number | None = attrgetter(self.stored)(layer)
        return value

    def of_run(self, result: RunResult) -> Number | None:
        """Return the value of the whole run; ``None`` if it is unknown."""
        if self.run:
            return self.run(result)
        if self.executed:
            return executed(result, self.executed)
        if self.family is not Family.COUNT:
            return None
        return total(self.of_layer(layer, result.snn) for layer in result.snn.layers)


def rate(part: Number | None, whole: Number | None) -> Fraction | None:
    """Divide exactly; ``None`` if a number is unknown or ``whole`` is 0."""
    return None if part is None or not whole else Fraction(part) / Fraction(whole)


def total(values: Iterable[Number | None]) -> Number | None:
    """Add the known values; ``None`` if there is none."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def at(path: str) -> RunValue:
    """Make a function that reads e.g. ``twin.dense.macs``; ``None`` if a part is missing."""

    def value(result: RunResult) -> Number | None:
        record: Any = result
        for part in path.split("."):
            record = None if record is None else getattr(record, part)
        return record  # type: ignore[no-any-return]

    return value


def executed(result: RunResult, name: str) -> Number | None:
    """Add attribute ``name`` over the layers that the event engine ran."""
    if result.engine is None:
        return None
    return sum(int(getattr(x, name)) for step in result.engine.steps for x in step.layers)
