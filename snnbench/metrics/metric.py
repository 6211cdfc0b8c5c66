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
    """When ``snnbench compare`` holds a metric to a limit."""

    BY_DEFAULT = "by default"
    ON_REQUEST = "on request"
    NEVER = "not compared"
    """Shown only: it moves exactly as others do."""


@dataclass(frozen=True, slots=True)
class Metric:
    """Something that is measured or follows from what is, in a layer, in a run, or in both.

    Attributes:
        name: As in ``--fail-above``; a part before a dot names a group.
        title: What it is, as a phrase.
        unit: Unit of its values.
        family: See ``Family``. Tables for people show a COUNT per sample.
        lower_is_better: ``None`` where neither direction is better.
        gated: See ``Gated``.
        stored: Where a ``LayerRecord`` has its value, e.g. ``effective.acs``.
        layer: Its value in a layer of a network where the record has none; a column of the table
            of layers.
        neurons: Whether only layers of neurons have it.
        executed: Where an ``EngineLayer`` has it.
        run: Its value of the whole run; by default a COUNT is the sum over the layers of the SNN.
        lower_bound: Whether the value of a run is only a lower bound.
        timing: ``Timing.name``, if it is a time; then it has a value for each batch size.
        header: Header of its column in the report's table of layers; empty if it has none there.
        screen: What the summary on the screen calls it; empty if it is not shown there.
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
        """Whether single layers have a value."""
        return bool(self.stored or self.layer)

    def of_layer(self, layer: LayerRecord, profile: Profile) -> Number | None:
        """Value in a layer of ``profile``; ``None`` if it has none, or an unknown one."""
        if self.neurons and layer.role is not Role.NEURON:
            return None
        if self.layer:
            return self.layer(layer, profile)
        value: Number | None = attrgetter(self.stored)(layer)
        return value

    def of_run(self, result: RunResult) -> Number | None:
        """Value of the whole run; ``None`` if it is unknown."""
        if self.run:
            return self.run(result)
        if self.executed:
            return executed(result, self.executed)
        if self.family is not Family.COUNT:
            return None
        return total(self.of_layer(layer, result.snn) for layer in result.snn.layers)


def rate(part: Number | None, whole: Number | None) -> Fraction | None:
    """A quotient, exactly; ``None`` where a part is unknown or the denominator is 0."""
    return None if part is None or not whole else Fraction(part) / Fraction(whole)


def total(values: Iterable[Number | None]) -> Number | None:
    """Sum of the values that are known; ``None`` if none is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def at(path: str) -> RunValue:
    """What a result has at ``path``, e.g. ``twin.dense.macs``; ``None`` if a part is missing."""

    def value(result: RunResult) -> Number | None:
        found: Any = result
        for part in path.split("."):
            found = None if found is None else getattr(found, part)
        return found  # type: ignore[no-any-return]

    return value


def executed(result: RunResult, name: str) -> Number | None:
    """Sum over the layers that the event engine ran."""
    if result.engine is None:
        return None
    return sum(int(getattr(x, name)) for step in result.engine.steps for x in step.layers)
