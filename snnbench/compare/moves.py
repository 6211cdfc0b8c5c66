"""What moved between two results: in the whole network, layer by layer, and what is gone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from itertools import chain
from math import inf

from snnbench.compare.identity import LAYERS, NEURONS
from snnbench.metrics.catalogue import (
    Values,
    compared_metrics,
    executed_values,
    layer_values,
)
from snnbench.metrics.metric import Metric, Number
from snnbench.results.counts import Profile
from snnbench.results.engine import EngineRun


class Direction(StrEnum):
    """Whether a change is welcome."""

    BETTER = "better"
    WORSE = "worse"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A value that is known on both sides and differs.

    Attributes:
        metric: What moved.
        layer: In which layer; ``None`` is the whole network.
        base: Value before.
        head: Value after.
        weight: Size of the change relative to the whole network's base, to sort by.
    """

    metric: Metric
    layer: str | None
    base: Number
    head: Number
    weight: float

    @property
    def change(self) -> Number:
        """Head minus base, in the metric's unit."""
        return self.head - self.base

    @property
    def relative(self) -> float | None:
        """Change relative to the base; ``None`` from 0."""
        return float(Fraction(self.change) / abs(Fraction(self.base))) if self.base else None

    @property
    def direction(self) -> Direction:
        """Whether the change is for the better."""
        if self.metric.lower_is_better is None:
            return Direction.CHANGED
        lower = self.head < self.base
        return Direction.BETTER if lower == self.metric.lower_is_better else Direction.WORSE


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Something the base has and the head lacks.

    Attributes:
        kind: ``layers``, ``neurons``, or the metric that is unknown now.
        layer: Where.
        detail: E.g. how many neurons are left.
    """

    kind: str
    layer: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerChanges:
    """What a comparison layer by layer found.

    Attributes:
        moves: Largest first.
        missing: What the base has and the head lacks.
        added: Layers, and metrics of layers, that the base lacks.
    """

    moves: tuple[Move, ...]
    missing: tuple[Missing, ...]
    added: tuple[str, ...]


def network_moves(base: Values, head: Values) -> tuple[Move, ...]:
    """Metrics of the whole network that differ, largest relative change first."""
    return _sorted(_moves(None, base, head, base))


def layer_changes(base: Profile, head: Profile, totals: Values) -> LayerChanges:
    """Compare two networks layer by layer.

    Args:
        base: Counts before.
        head: Counts after.
        totals: The base's values of the whole network, which changes are weighed against.
    """
    before = {layer.name: layer for layer in base.layers}
    after = {layer.name: layer for layer in head.layers}
    differing = [
        (layer, after[name])
        for name, layer in before.items()
        if name in after and after[name] != layer
    ]
    values = [
        (old, new, layer_values(old, base), layer_values(new, head)) for old, new in differing
    ]
    gone = (
        Missing(kind=LAYERS, layer=name, detail="the layer is gone")
        for name in before
        if name not in after
    )
    unknown = (
        Missing(kind=metric, layer=old.name, detail=f"{metric} is unknown now")
        for old, _, was, now in values
        for metric, value in was.items()
        if value is not None and now[metric] is None
    )
    fewer = (
        Missing(
            kind=NEURONS,
            layer=old.name,
            detail=f"{now['neurons']:,} of {was['neurons']:,} neuron updates are left",
        )
        for old, _, was, now in values
        if (was["neurons"] or 0) > (now["neurons"] or 0) and now["neurons"] is not None
    )
    return LayerChanges(
        moves=_sorted(
            chain.from_iterable(_moves(old.name, was, now, totals) for old, _, was, now in values)
        ),
        missing=_by_layer((*gone, *unknown, *(fewer if _same_sites(base, head) else ()))),
        added=(
            *sorted(name for name in after if name not in before),
            *sorted(
                f"{metric} of {old.name}"
                for old, _, was, now in values
                for metric, value in now.items()
                if value is not None and was[metric] is None
            ),
        ),
    )


def engine_moves(
    base: EngineRun | None, head: EngineRun | None, totals: Values
) -> tuple[Move, ...]:
    """Layers in which the engine executed another number of operations, largest first."""
    before, after = _executed(base), _executed(head)
    common = (name for name in before if name in after)
    return _sorted(
        chain.from_iterable(_moves(name, before[name], after[name], totals) for name in common)
    )


def merged(*groups: tuple[Move, ...]) -> tuple[Move, ...]:
    """Moves of several kinds, largest first."""
    return _sorted(chain.from_iterable(groups))


def _executed(engine: EngineRun | None) -> dict[str, Values]:
    steps = () if engine is None else engine.steps
    return {layer.name: executed_values(layer) for step in steps for layer in step.layers}


def _moves(layer: str | None, base: Values, head: Values, totals: Values) -> Iterator[Move]:
    known = compared_metrics()
    for name, old in base.items():
        new = head[name]
        if old is not None and new is not None and old != new:
            # a layer's rate weighs as much as its spikes, or a tiny layer would come first
            by = "spikes" if layer is not None and name == "firing_rate" else name
            weight = _weight(base[by], head[by], totals.get(by))
            yield Move(metric=known[name], layer=layer, base=old, head=new, weight=weight)


def _weight(old: Number | None, new: Number | None, total: Number | None) -> float:
    if not total or old is None or new is None:
        return inf
    return abs(float(new - old)) / abs(float(total))


def _sorted(moves: Iterable[Move]) -> tuple[Move, ...]:
    order = {name: place for place, name in enumerate(compared_metrics())}
    return tuple(
        sorted(moves, key=lambda move: (-move.weight, order[move.metric.name], move.layer or ""))
    )


def _by_layer(missing: Iterable[Missing]) -> tuple[Missing, ...]:
    return tuple(sorted(missing, key=lambda item: (item.layer, item.kind)))


def _same_sites(base: Profile, head: Profile) -> bool:
    """Whether a layer of as many neurons has as many neuron updates in both."""
    return (base.samples, base.timesteps) == (head.samples, head.timesteps)
