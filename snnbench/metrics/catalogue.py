"""What is compared: metrics by name, and their values in a result.

Values are exact, integers and fractions, so that neither the order of layers nor rounding makes
two equal results differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from fractions import Fraction
from functools import cache

from snnbench.energy.estimate import estimate_energy
from snnbench.energy.models import models
from snnbench.results.counts import LayerRecord, Role, SideOps
from snnbench.results.run import (
    DENSE_TIMING,
    EVENT_TIMING,
    TWIN_TIMING,
    Accuracy,
    EngineRun,
    RunResult,
)

Number = int | float | Fraction
Values = Mapping[str, Number | None]
_PERCENT = 100


class Family(StrEnum):
    """How a metric's change is told, and how much of it a limit can admit."""

    COUNT = "count"
    RATE = "rate"
    ENERGY = "energy"
    ACCURACY = "accuracy"
    TIME = "time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """Something that can move.

    Attributes:
        name: As in ``--fail-above``; a part before a dot names a group.
        unit: Of its values.
        family: See ``Family``.
        lower_is_better: ``None`` where neither direction is better.
        gated: Whether it is gated when the user asks for nothing.
    """

    name: str
    unit: str
    family: Family = Family.COUNT
    lower_is_better: bool | None = True
    gated: bool = True


_SIDE = tuple(field.name for field in fields(SideOps))


def _neurons_only(field: str) -> Callable[[LayerRecord], int | None]:
    return lambda layer: getattr(layer, field) if layer.role is Role.NEURON else None


def _side(field: str) -> Callable[[LayerRecord], int]:
    return lambda layer: int(getattr(layer.side, field))


LAYER_COUNTS: dict[str, Callable[[LayerRecord], int | None]] = {
    "acs": lambda layer: layer.effective.acs,
    "macs": lambda layer: layer.effective.macs,
    "spikes": _neurons_only("output_spikes"),
    "neurons": _neurons_only("output_sites"),
    "params": lambda layer: layer.params,
    "nonzero_params": lambda layer: layer.nonzero_params,
    "dense.acs": lambda layer: layer.dense.acs,
    "dense.macs": lambda layer: layer.dense.macs,
    "in_image.acs": lambda layer: layer.in_image.acs,
    "in_image.macs": lambda layer: layer.in_image.macs,
    **{f"side.{field}": _side(field) for field in _SIDE},
}
"""Count -> its value in one layer; ``None`` where the layer has no such count."""

LATENCY = {
    "latency.event": EVENT_TIMING,
    "latency.dense": DENSE_TIMING,
    "latency.twin": TWIN_TIMING,
}
"""Metric -> ``Timing.name``."""

_UNITS = {
    "acs": "ACs",
    "macs": "MACs",
    "spikes": "spikes",
    "neurons": "neuron updates",
    "params": "parameters",
    "nonzero_params": "parameters",
}


@cache
def metrics() -> dict[str, Metric]:
    """All metrics by name, in the order in which they are judged."""
    found = [
        Metric(name="synops", unit="SynOps"),
        *(
            Metric(
                name=name,
                unit=_UNITS.get(name.rpartition(".")[2], "operations"),
                lower_is_better=None if name == "neurons" else True,
            )
            for name in LAYER_COUNTS
        ),
        Metric(name="twin.dense.macs", unit="MACs"),
        Metric(name="twin.macs", unit="MACs", gated=False),
        Metric(name="uncounted", unit="operations without a rule"),
        Metric(name="uncalled", unit="modules that never ran"),
        Metric(name="failed_checks", unit="cross-checks"),
        Metric(name="firing_rate", unit="spikes/neuron/timestep", family=Family.RATE),
        *(
            Metric(name=f"energy.{model.name}", unit="pJ", family=Family.ENERGY)
            for model in models()
        ),
        Metric(name="accuracy", unit="%", family=Family.ACCURACY, lower_is_better=False),
        Metric(
            name="twin_accuracy",
            unit="%",
            family=Family.ACCURACY,
            lower_is_better=False,
            gated=False,
        ),
        # rounding decides these, and measured times what the engine runs: no gate unless asked for
        Metric(name="folding.flips", unit="spikes", gated=False),
        Metric(name="engine.flips", unit="spikes", gated=False),
        Metric(name="engine.adds", unit="additions", gated=False),
        Metric(name="engine.padding_adds", unit="additions", gated=False),
        Metric(name="engine.macs", unit="MACs", gated=False),
        *(Metric(name=name, unit="ms", family=Family.TIME, gated=False) for name in LATENCY),
    ]
    return {metric.name: metric for metric in found}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A run in numbers.

    Attributes:
        values: Every metric but times; ``None`` is unknown.
        lower_bounds: Energies whose cost table lacks a price that is needed.
    """

    values: Values
    lower_bounds: frozenset[str]


def measured(result: RunResult) -> Measured:
    """Every metric of the whole run."""
    estimates = {f"energy.{model.name}": estimate_energy(result.snn, model) for model in models()}
    return Measured(
        values=_network_values(result)
        | {name: guess.exact_pj for name, guess in estimates.items()},
        lower_bounds=frozenset(name for name, guess in estimates.items() if not guess.complete),
    )


def _network_values(result: RunResult) -> dict[str, Number | None]:
    snn, twin = result.snn, result.twin
    counts = {name: _sum(map(count, snn.layers)) for name, count in LAYER_COUNTS.items()}
    return {
        "synops": snn.effective.synops,
        **counts,
        "twin.dense.macs": None if twin is None else twin.dense.macs,
        "twin.macs": None if twin is None else twin.effective.macs,
        "uncounted": sum(item.calls for item in snn.uncounted),
        "uncalled": len(snn.uncalled),
        "failed_checks": sum(not check.ok for check in result.checks) if result.checks else None,
        "firing_rate": rate(counts["spikes"], counts["neurons"]),
        "accuracy": _percent(result.accuracy),
        "twin_accuracy": _percent(result.twin_accuracy),
        "folding.flips": None if result.folding is None else result.folding.flipped_spikes,
        **_engine_values(result.engine),
    }


def layer_values(layer: LayerRecord) -> dict[str, Number | None]:
    """Every metric of one layer."""
    values: dict[str, Number | None] = {name: count(layer) for name, count in LAYER_COUNTS.items()}
    return values | {"firing_rate": rate(_neurons_only("output_spikes")(layer), layer.output_sites)}


def rate(spikes: int | None, sites: int | None) -> Fraction | None:
    """Spikes per neuron per timestep, exactly."""
    return None if spikes is None or not sites else Fraction(spikes, sites)


def _engine_values(engine: EngineRun | None) -> dict[str, int | None]:
    if engine is None:
        return dict.fromkeys(("engine.flips", "engine.adds", "engine.padding_adds", "engine.macs"))
    layers = [layer for step in engine.steps for layer in step.layers]
    return {
        "engine.flips": engine.flipped_spikes,
        "engine.adds": sum(layer.executed_adds for layer in layers),
        "engine.padding_adds": sum(layer.padding_adds for layer in layers),
        "engine.macs": sum(layer.executed_macs for layer in layers),
    }


def _percent(accuracy: Accuracy | None) -> Fraction | None:
    if accuracy is None or not accuracy.samples:
        return None
    return Fraction(_PERCENT * accuracy.correct, accuracy.samples)


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
