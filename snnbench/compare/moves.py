"""Moves between two results: values that differ, in the network and by layer, and missing ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from math import inf
from typing import NamedTuple

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
    """Whether a change is for the better."""

    BETTER = "better"
    WORSE = "worse"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A value that is known on both sides and differs.

    Attributes:
        metric: The metric that moved.
        layer: The layer in which it moved; ``None`` is the whole network.
        base: Value before.
        head: Value after.
        weight: Size of the change relative to the base's value of the whole network, for sorting.
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
        """Whether the change is for the better or the worse."""
        if self.metric.lower_is_better is None:
            return Direction.CHANGED
        lower = self.head < self.base
        return Direction.BETTER if lower == self.metric.lower_is_better else Direction.WORSE


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A layer, neurons or a value that the base has and the head lacks.

    Attributes:
        kind: ``layers``, ``neurons``, or the metric that is unknown now.
        layer: Name of the layer.
        detail: E.g. how many neurons are left.
    """

    kind: str
    layer: str
    detail: str


class LayerChanges(NamedTuple):
    """Differences of two networks layer by layer: moves, and what either side lacks."""

    moves: list[Move]
    missing: tuple[Missing, ...]
    added: tuple[str, ...]


def network_moves(base: Values, head: Values) -> tuple[Move, ...]:
    """Find the metrics of the whole network that differ, largest relative change first."""
    return largest_first(_moves(None, base, head, base))


def layer_changes(base: Profile, head: Profile, totals: Values) -> LayerChanges:
    """Compare two networks layer by layer; changes are weighed by ``totals`` of the base."""
    before = {layer.name: layer for layer in base.layers}
    after = {layer.name: layer for layer in head.layers}
    missing = [
        Missing(kind=LAYERS, layer=name, detail="the layer is gone")
        for name in before
        if name not in after
    ]
    moves: list[Move] = []
    added: list[str] = []
    # a layer of as many neurons has as many neuron updates only if these agree
    same_sites = (base.samples, base.timesteps) == (head.samples, head.timesteps)
    for name, layer in before.items():
        if name not in after or after[name] == layer:
            continue
        was, now = layer_values(layer, base), layer_values(after[name], head)
        moves += _moves(name, was, now, totals)
        for metric in was:
            if was[metric] is None and now[metric] is not None:
                added.append(f"{metric} of {name}")
            elif was[metric] is not None and now[metric] is None:
                missing.append(Missing(kind=metric, layer=name, detail=f"{metric} is unknown now"))
        old, new = was["neurons"], now["neurons"]
        if same_sites and new is not None and (old or 0) > new:
            detail = f"{new:,} of {old:,} neuron updates are left"
            missing.append(Missing(kind=NEURONS, layer=name, detail=detail))
    return LayerChanges(
        moves=moves,
        missing=tuple(sorted(missing, key=lambda item: (item.layer, item.kind))),
        added=(*sorted(name for name in after if name not in before), *sorted(added)),
    )


def engine_moves(base: EngineRun | None, head: EngineRun | None, totals: Values) -> list[Move]:
    """Find layers in which the engine executed another number of operations."""
    before, after = _executed(base), _executed(head)
    return [
        move
        for name in before
        if name in after
        for move in _moves(name, before[name], after[name], totals)
    ]


def largest_first(moves: Iterable[Move]) -> tuple[Move, ...]:
    """Sort moves by weight, then in the order of metrics and by layer."""
    order = {name: place for place, name in enumerate(compared_metrics())}
    return tuple(
        sorted(moves, key=lambda move: (-move.weight, order[move.metric.name], move.layer or ""))
    )


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
