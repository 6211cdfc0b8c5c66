"""The list of metrics: what each one means, which way is worse, when it is gated, and its values.

Tables, the summary on the screen, ``snnbench compare`` and ``snnbench history`` read this list, and
so does the table of metrics in docs/metrics.md. Values are exact, integers and fractions, so that
neither the order of layers nor rounding makes two equal results differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from fractions import Fraction

from snnbench.energy.estimate import estimate_energy
from snnbench.energy.models import SIDE, EnergyModel, models
from snnbench.metrics.metric import Family, Gated, Metric, Number, at, executed, rate, total
from snnbench.results.counts import LayerRecord, Profile, SideOps
from snnbench.results.engine import EngineLayer
from snnbench.results.run import DENSE_TIMING, EVENT_TIMING, TWIN_TIMING, Accuracy, RunResult

Values = Mapping[str, Number | None]
_PERCENT = 100


def _percent(accuracy: Accuracy | None) -> Fraction | None:
    return None if accuracy is None else rate(_PERCENT * accuracy.correct, accuracy.samples)


def _firing_rate(result: RunResult) -> Fraction | None:
    neurons = result.snn.neurons
    return rate(total(x.output_spikes for x in neurons), total(x.output_sites for x in neurons))


def _spikes_per_neuron(result: RunResult) -> Fraction | None:
    found, steps = _firing_rate(result), result.snn.timesteps
    return None if found is None or steps is None else found * steps


DECLARED = (
    Metric(
        "synops",
        "Effective synaptic operations",
        "SynOps",
        run=at("snn.effective.synops"),
    ),
    Metric(
        "input_density",
        "Share of input elements that are not zero",
        "share",
        family=Family.SHARE,
        gated=Gated.NEVER,
        stored="input_density",
        header="Density",
    ),
    Metric(
        "dense.synops",
        "Every synapse at every timestep",
        "SynOps",
        gated=Gated.NEVER,
        stored="dense.synops",
        header="Dense",
    ),
    Metric(
        "macs", "Effective multiply-accumulates", "MACs", stored="effective.macs", header="MACs"
    ),
    Metric("acs", "Effective accumulates", "ACs", stored="effective.acs", header="ACs"),
    Metric(
        "estimated_synops",
        "Estimate: density times dense operations",
        "SynOps",
        gated=Gated.NEVER,
        stored="estimated_synops",
        header="Rate x dense",
    ),
    Metric("spikes", "Spikes of neurons", "spikes", stored="output_spikes", neurons=True),
    Metric(
        "neurons",
        "Neurons, times timesteps and samples",
        "neuron updates",
        lower_is_better=None,
        stored="output_sites",
        neurons=True,
    ),
    Metric("params", "Elements of weights", "parameters", stored="params"),
    Metric(
        "nonzero_params",
        "Elements of weights that are not zero",
        "parameters",
        stored="nonzero_params",
    ),
    *(
        Metric(f"{kind}.{part}", f"{title} {plural}", unit, stored=f"{kind}.{part}")
        for kind, title in (("dense", "Dense"), ("in_image", "In-image"))
        for part, plural, unit in (
            ("macs", "multiply-accumulates", "MACs"),
            ("acs", "accumulates", "ACs"),
        )
    ),
    *(
        Metric(
            f"side.{side.name}",
            operation.title.capitalize(),
            "operations",
            stored=f"side.{side.name}",
        )
        for side, operation in zip(fields(SideOps), SIDE.values(), strict=True)
    ),
    Metric(
        "twin.dense.macs",
        "Dense multiply-accumulates of the ANN twin",
        "MACs",
        run=at("twin.dense.macs"),
    ),
    Metric(
        "twin.macs",
        "Effective multiply-accumulates of the ANN twin",
        "MACs",
        gated=Gated.ON_REQUEST,
        run=at("twin.effective.macs"),
    ),
    Metric(
        "uncounted",
        "Operations that ran and have no counting rule",
        "operations without a rule",
        run=lambda result: sum(item.calls for item in result.snn.uncounted),
    ),
    Metric(
        "uncalled",
        "Modules with parameters that never ran",
        "modules that never ran",
        run=lambda result: len(result.snn.uncalled),
    ),
    Metric(
        "failed_checks",
        "Cross-checks that failed",
        "cross-checks",
        run=lambda result: sum(not check.ok for check in result.checks) if result.checks else None,
    ),
    Metric(
        "firing_rate",
        "Spikes per neuron and timestep",
        "spikes/neuron/timestep",
        family=Family.RATE,
        layer=lambda layer, _: rate(layer.output_spikes, layer.output_sites),
        neurons=True,
        run=_firing_rate,
        header="Firing rate",
        screen="Firing rate (spikes/neuron/timestep)",
    ),
    Metric(
        "spikes_per_neuron",
        "Spikes per neuron over all T timesteps",
        "spikes/neuron",
        family=Family.RATE,
        gated=Gated.NEVER,
        layer=lambda layer, profile: layer.spikes_per_neuron(profile.timesteps),
        neurons=True,
        run=_spikes_per_neuron,
        header="Spikes / neuron",
        screen="Spikes per neuron",
    ),
    Metric(
        "accuracy",
        "Correct answers of the SNN",
        "%",
        family=Family.ACCURACY,
        lower_is_better=False,
        run=lambda result: _percent(result.accuracy),
    ),
    Metric(
        "twin_accuracy",
        "Correct answers of the ANN twin",
        "%",
        family=Family.ACCURACY,
        lower_is_better=False,
        gated=Gated.ON_REQUEST,
        run=lambda result: _percent(result.twin_accuracy),
    ),
    # rounding decides these, and measured times what the engine runs: no gate unless asked for
    Metric(
        "folding.flips",
        "Spikes that folding the batch norm changes",
        "spikes",
        gated=Gated.ON_REQUEST,
        run=at("folding.flipped_spikes"),
    ),
    Metric(
        "engine.flips",
        "Spikes of the event engine that differ from PyTorch's",
        "spikes",
        gated=Gated.ON_REQUEST,
        run=at("engine.flipped_spikes"),
    ),
    Metric(
        "engine.adds",
        "Additions that the event engine executed",
        "additions",
        gated=Gated.ON_REQUEST,
        executed="executed_adds",
    ),
    Metric(
        "engine.padding_adds",
        "Additions of zeros that pad its lists of events",
        "additions",
        gated=Gated.ON_REQUEST,
        run=lambda result: executed(result, "padding_adds"),
    ),
    Metric(
        "engine.macs",
        "Multiply-accumulates that the event engine executed",
        "MACs",
        gated=Gated.ON_REQUEST,
        executed="executed_macs",
    ),
)
"""Metrics in the order of columns and of judging; cost tables and timings add theirs."""

TIMES = tuple(
    Metric(
        f"latency.{name}",
        f"Time per sample of {what}",
        "ms",
        family=Family.TIME,
        gated=Gated.ON_REQUEST,
        timing=timing,
    )
    for name, what, timing in (
        ("event", "the SNN in the event engine", EVENT_TIMING),
        ("dense", "the SNN in dense kernels", DENSE_TIMING),
        ("twin", "the ANN twin", TWIN_TIMING),
    )
)
LATENCY = {metric.name: metric.timing for metric in TIMES}
"""Metric -> ``Timing.name``."""


def _energy(model: EnergyModel) -> Metric:
    return Metric(
        f"energy.{model.name}",
        f"Energy estimate, {model.title}",
        "pJ",
        family=Family.ENERGY,
        run=lambda result: estimate_energy(result.snn, model).exact_pj,
        lower_bound=lambda result: not estimate_energy(result.snn, model).complete,
    )


def metrics() -> dict[str, Metric]:
    """All metrics by name."""
    return {metric.name: metric for metric in (*DECLARED, *map(_energy, models()), *TIMES)}


def compared_metrics() -> dict[str, Metric]:
    """Metrics that a comparison and a history look at, in the order in which they are judged."""
    return {name: m for name, m in metrics().items() if m.gated is not Gated.NEVER}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A run in numbers.

    Attributes:
        values: Every metric that is compared but times; ``None`` is unknown.
        lower_bounds: Those whose value is only a lower bound.
    """

    values: Values
    lower_bounds: frozenset[str]


def measured(result: RunResult) -> Measured:
    """Every metric of the whole run that is compared."""
    found = {name: m for name, m in compared_metrics().items() if not m.timing}
    return Measured(
        values={name: metric.of_run(result) for name, metric in found.items()},
        lower_bounds=frozenset(name for name, m in found.items() if m.lower_bound(result)),
    )


def layer_values(layer: LayerRecord, profile: Profile) -> dict[str, Number | None]:
    """Every metric of one layer of ``profile`` that is compared."""
    found = compared_metrics().items()
    return {name: metric.of_layer(layer, profile) for name, metric in found if metric.has_layers}


def executed_values(layer: EngineLayer) -> dict[str, Number | None]:
    """Every metric of what the event engine executed of one layer."""
    found = compared_metrics().items()
    return {name: getattr(layer, metric.executed) for name, metric in found if metric.executed}
