"""The list of metrics: meaning, unit, direction, when each is gated, and its values in a result.

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


def _percent(accuracy: Accuracy | None) -> Fraction | None:
    return None if accuracy is None else rate(100 * accuracy.correct, accuracy.samples)


def _firing_rate(result: RunResult) -> Fraction | None:
    neurons = result.snn.neurons
    return rate(total(x.output_spikes for x in neurons), total(x.output_sites for x in neurons))


def _spikes_per_neuron(result: RunResult) -> Fraction | None:
    firing_rate, timesteps = _firing_rate(result), result.snn.timesteps
    return None if firing_rate is None or timesteps is None else firing_rate * timesteps


# fmt: off
_SHOWN, _ASKED = Gated.NEVER, Gated.ON_REQUEST

DECLARED = (
    Metric("synops", "Effective synaptic operations", "SynOps", run=at("snn.effective.synops")),
    Metric("input_density", "Share of input elements that are not zero", "share", header="Density",
           family=Family.SHARE, gated=_SHOWN, stored="input_density"),
    Metric("dense.synops", "Every synapse at every timestep", "SynOps", header="Dense",
           gated=_SHOWN, stored="dense.synops"),
    Metric("macs", "Effective multiply-accumulates", "MACs", header="MACs",
           stored="effective.macs"),
    Metric("acs", "Effective accumulates", "ACs", header="ACs", stored="effective.acs"),
    Metric("estimated_synops", "Estimate: density times dense operations", "SynOps",
           header="Rate x dense", gated=_SHOWN, stored="estimated_synops"),
    Metric("spikes", "Spikes of neurons", "spikes", stored="output_spikes", neurons=True),
    Metric("neurons", "Neurons, times timesteps and samples", "neuron updates",
           lower_is_better=None, stored="output_sites", neurons=True),
    Metric("params", "Elements of weights", "parameters", stored="params"),
    Metric("nonzero_params", "Elements of weights that are not zero", "parameters",
           stored="nonzero_params"),
    Metric("dense.macs", "Dense multiply-accumulates", "MACs", stored="dense.macs"),
    Metric("dense.acs", "Dense accumulates", "ACs", stored="dense.acs"),
    Metric("in_image.macs", "In-image multiply-accumulates", "MACs", stored="in_image.macs"),
    Metric("in_image.acs", "In-image accumulates", "ACs", stored="in_image.acs"),
    *(
        Metric(f"side.{x.name}", work.title.capitalize(), "operations", stored=f"side.{x.name}")
        for x, work in zip(fields(SideOps), SIDE.values(), strict=True)
    ),
    Metric("twin.dense.macs", "Dense multiply-accumulates of the ANN twin", "MACs",
           run=at("twin.dense.macs")),
    Metric("twin.macs", "Effective multiply-accumulates of the ANN twin", "MACs", gated=_ASKED,
           run=at("twin.effective.macs")),
    Metric("uncounted", "Operations that ran and have no counting rule",
           "operations without a rule",
           run=lambda result: sum(x.calls for x in result.snn.uncounted)),
    Metric("uncalled", "Modules with parameters that never ran", "modules that never ran",
           run=lambda result: len(result.snn.uncalled)),
    Metric("failed_checks", "Cross-checks that failed", "cross-checks",
           run=lambda result: total(int(not check.ok) for check in result.checks)),
    Metric("firing_rate", "Spikes per neuron and timestep", "spikes/neuron/timestep",
           header="Firing rate", screen="Firing rate (spikes/neuron/timestep)",
           family=Family.RATE, neurons=True, run=_firing_rate,
           layer=lambda layer, _: rate(layer.output_spikes, layer.output_sites)),
    Metric("spikes_per_neuron", "Spikes per neuron over all T timesteps", "spikes/neuron",
           header="Spikes / neuron", screen="Spikes per neuron",
           family=Family.RATE, gated=_SHOWN, neurons=True, run=_spikes_per_neuron,
           layer=lambda layer, profile: layer.spikes_per_neuron(profile.timesteps)),
    Metric("accuracy", "Correct answers of the SNN", "%", family=Family.ACCURACY,
           lower_is_better=False, run=lambda result: _percent(result.accuracy)),
    Metric("twin_accuracy", "Correct answers of the ANN twin", "%", family=Family.ACCURACY,
           lower_is_better=False, gated=_ASKED, run=lambda result: _percent(result.twin_accuracy)),
    # rounding decides these, and measured times what the engine runs: no gate unless asked for
    Metric("folding.flips", "Spikes that folding the batch norm changes", "spikes", gated=_ASKED,
           run=at("folding.flipped_spikes")),
    Metric("engine.flips", "Spikes of the event engine that differ from PyTorch's", "spikes",
           gated=_ASKED, run=at("engine.flipped_spikes")),
    Metric("engine.adds", "Additions that the event engine executed", "additions",
           gated=_ASKED, executed="executed_adds"),
    Metric("engine.padding_adds", "Additions of zeros that pad its lists of events", "additions",
           gated=_ASKED, run=lambda result: executed(result, "padding_adds")),
    Metric("engine.macs", "Multiply-accumulates that the event engine executed", "MACs",
           gated=_ASKED, executed="executed_macs"),
)
"""Metrics in the order of columns and of judging; cost tables and timings add theirs."""

TIMES = tuple(
    Metric(f"latency.{name}", f"Time per sample of {what}", "ms", family=Family.TIME, gated=_ASKED,
           timing=timing)
    for name, what, timing in (
        ("event", "the SNN in the event engine", EVENT_TIMING),
        ("dense", "the SNN in dense kernels", DENSE_TIMING),
        ("twin", "the ANN twin", TWIN_TIMING),
    )
)
# fmt: on
LATENCY = {metric.name: metric.timing for metric in TIMES}
"""``Timing.name`` by metric."""


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
    """Return all metrics by name."""
    return {metric.name: metric for metric in (*DECLARED, *map(_energy, models()), *TIMES)}


def compared_metrics() -> dict[str, Metric]:
    """Return the metrics of comparisons and histories by name, in the order of judging."""
    return {name: m for name, m in metrics().items() if m.gated is not Gated.NEVER}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Metrics of one run.

    Attributes:
        values: Every compared metric except times, by name; ``None`` is unknown.
        lower_bounds: Names of metrics whose value is only a lower bound.
    """

    values: Values
    lower_bounds: frozenset[str]


def measured(result: RunResult) -> Measured:
    """Compute every compared metric of a run, except times."""
    untimed = {name: m for name, m in compared_metrics().items() if not m.timing}
    return Measured(
        values={name: metric.of_run(result) for name, metric in untimed.items()},
        lower_bounds=frozenset(name for name, m in untimed.items() if m.lower_bound(result)),
    )


def layer_values(layer: LayerRecord, profile: Profile) -> dict[str, Number | None]:
    """Compute every compared metric of one layer of ``profile``."""
    compared = compared_metrics().items()
    return {name: metric.of_layer(layer, profile) for name, metric in compared if metric.has_layers}


def executed_values(layer: EngineLayer) -> dict[str, Number | None]:
    """Return every metric of what the event engine executed for one layer."""
    compared = compared_metrics().items()
    return {name: getattr(layer, metric.executed) for name, metric in compared if metric.executed}
