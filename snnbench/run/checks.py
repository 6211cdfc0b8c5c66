"""Cross-checks of a run: the folded network, and the counts against independent ones."""

from __future__ import annotations

import copy
import time
import warnings
from dataclasses import dataclass

from torch import Tensor, nn

from snnbench.core.progress import Reporter
from snnbench.nn.fold import fold_batch_norm, measure_folding
from snnbench.nn.layout import Layout
from snnbench.nn.meters import tick, ticks
from snnbench.nn.twin import run_one_timestep
from snnbench.results.run import Check, Folding, RunConfig
from snnbench.run.building_pass import Prepared
from snnbench.run.counting_pass import Counted
from snnbench.zoo.card import Card


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """A spiking network without batch norms, and what folding them changed.

    Attributes:
        network: The network, in evaluation mode.
        effect: What folding changed, in the network's precision.
        check: Whether folding changed anything in double precision.
        seconds: Rough time of one call for one sample.
    """

    network: nn.Module
    effect: Folding
    check: Check
    seconds: float


def check_fold(prepared: Prepared, reporter: Reporter) -> Fold:
    """Fold the batch norms of the spiking network, and measure what that changes."""
    network, sample = prepared.network, prepared.first_sample
    folded = fold_batch_norm(network)
    layers = 3 * ticks(network)  # copies made below tick as well
    with reporter.stage("folding tdBN", layers) as show, tick(show, network):
        start = time.perf_counter()
        effect = measure_folding(network, folded, sample)
        seconds = (time.perf_counter() - start) / 2
        check = check_folding(network, sample, prepared.layout)
    return Fold(network=folded.model, effect=effect, check=check, seconds=seconds)


def check_folding(network: nn.Module, sample: Tensor, layout: Layout) -> Check:
    """Fold in double precision, where rounding flips no spike: the algebra of eq. 9-10 alone.

    In float32 a spike that rounding flips early changes many later ones in a deep network, folded
    or not; a single timestep in float64 shows whether the folding itself is right.
    """
    exact = copy.deepcopy(network).double()
    run_one_timestep(exact)
    step = layout.first_timestep(sample).double()
    folding = measure_folding(exact, fold_batch_norm(exact), step)
    difference = folding.output_max_abs_difference / max(folding.output_max_abs, 1e-300)
    return Check(
        name="spikes flipped by folding tdBN, float64, one timestep",
        expected=0,
        measured=folding.flipped_spikes,
        ok=folding.flipped_spikes == 0 and difference < 1e-9,
        note=f"outputs differ by {difference:.1e} of the largest",
    )


def check_counts(
    card: Card, config: RunConfig, prepared: Prepared, counts: Counted, reporter: Reporter
) -> tuple[Check, ...]:
    """Compare the dense operations of network and twin with each other, fvcore and the card."""
    snn, twin = counts.snn, counts.twin
    per_sample = twin.dense.synops // config.samples
    with reporter.stage("checking", 1):
        fvcore_total, unsupported = fvcore_macs(
            prepared.twin, prepared.layout.twin_input(prepared.first_sample)
        )
    note = f"fvcore has no rule for {', '.join(sorted(unsupported))}" if unsupported else ""
    checks = [
        _equal(
            "SNN dense operations = T x twin dense MACs",
            twin.dense.synops * config.timesteps,
            snn.dense.synops,
        ),
        _equal("twin dense MACs per sample, fvcore", fvcore_total, per_sample, note),
    ]
    if card.expected is not None and config.width == 1 and config.options == card.fill_options({}):
        parameters = sum(p.numel() for p in prepared.network.parameters())
        checks += [
            _equal("twin dense MACs per sample, card", card.expected.twin_dense_macs, per_sample),
            _equal("parameters, card", card.expected.parameters, parameters),
            _equal("spiking layers, card", card.expected.spiking_layers, len(snn.neurons)),
        ]
    return tuple(checks)


def _equal(name: str, expected: int, measured: int, note: str = "") -> Check:
    return Check(
        name=name, expected=expected, measured=measured, ok=expected == measured, note=note
    )


def fvcore_macs(twin: nn.Module, example: Tensor) -> tuple[int, dict[str, int]]:
    """Count the dense MACs of one forward with fvcore, which shares no code with the profiler.

    Args:
        twin: Network without spiking neurons, in evaluation mode.
        example: Input of the network; MACs are counted for the whole batch.

    Returns:
        MACs without normalisation and pooling, and the calls of each operation that fvcore has no
        rule for.
    """
    with warnings.catch_warnings():
        # fvcore scripts functions of its own when imported
        warnings.simplefilter("ignore", DeprecationWarning)
        from fvcore.nn import FlopCountAnalysis

    analysis = FlopCountAnalysis(twin, example)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    analysis.tracer_warnings("none")
    for operation in ("aten::batch_norm", "aten::adaptive_avg_pool2d"):
        # a rule, because None would not replace the one that fvcore has
        analysis.set_op_handle(operation, lambda _inputs, _outputs: 0)
    return int(analysis.total()), dict(analysis.unsupported_ops())
