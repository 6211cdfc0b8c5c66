"""Cross-checks of a run: the folded network, and the counts against independent ones."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass

from torch import Tensor, nn

from snnbench.nn.fold import FoldedNetwork, fold_batch_norm, measure_folding
from snnbench.nn.layout import layout_of
from snnbench.nn.twin import fvcore_macs
from snnbench.results.counts import Profile
from snnbench.results.run import Check, Folding, RunConfig
from snnbench.zoo.card import Card


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """A spiking network without batch norms, and what folding them changed.

    Attributes:
        network: For inference.
        effect: Measured in the network's precision.
        check: Measured in double precision.
        seconds: Of one call for one sample, roughly.
    """

    network: nn.Module
    effect: Folding
    check: Check
    seconds: float


def check_fold(network: nn.Module, folded: FoldedNetwork, one: Tensor) -> Fold:
    """Measure what folding the batch norms changes.

    Args:
        network: In evaluation mode.
        folded: What ``fold_batch_norm`` made of it.
        one: Its input of one sample.
    """
    start = time.perf_counter()
    effect = measure_folding(network, folded, one)
    seconds = (time.perf_counter() - start) / 2
    check = folding_check(network, one)
    return Fold(network=folded.model, effect=effect, check=check, seconds=seconds)


def folding_check(network: nn.Module, one: Tensor) -> Check:
    """Fold in double precision, where rounding flips no spike: the algebra of eq. 9-10 alone.

    In float32 a spike that rounding flips early changes many later ones in a deep network, folded
    or not; a single timestep in float64 shows whether the folding itself is right.
    """
    exact = copy.deepcopy(network).double()
    for module in exact.modules():
        if isinstance(getattr(module, "timesteps", None), int):
            module.timesteps = 1  # type: ignore[assignment]
    step = layout_of(one).first_timestep(one).double()
    folding = measure_folding(exact, fold_batch_norm(exact), step)
    difference = folding.output_max_abs_difference / max(folding.output_max_abs, 1e-300)
    return Check(
        name="spikes flipped by folding tdBN, float64, one timestep",
        expected=0,
        measured=folding.flipped_spikes,
        ok=folding.flipped_spikes == 0 and difference < 1e-9,
        note=f"outputs differ by {difference:.1e} of the largest",
    )


def count_checks(
    card: Card,
    config: RunConfig,
    network: nn.Module,
    twin: nn.Module,
    example: Tensor,
    *,
    snn: Profile,
    ann: Profile,
) -> tuple[Check, ...]:
    """Dense operations of the two networks against each other, fvcore and the card.

    Args:
        card: What is known of them.
        config: Of the run.
        network: The spiking network.
        twin: Its ANN twin.
        example: One sample for the twin.
        snn: Counts of the network.
        ann: Counts of the twin.
    """
    per_sample = ann.dense.synops // config.samples
    fvcore_total, unsupported = fvcore_macs(twin, example)
    note = f"fvcore has no rule for {', '.join(sorted(unsupported))}" if unsupported else ""
    checks = [
        _equal(
            "SNN dense operations = T x twin dense MACs",
            ann.dense.synops * config.timesteps,
            snn.dense.synops,
        ),
        _equal("twin dense MACs per sample, fvcore", fvcore_total, per_sample, note),
    ]
    if card.expected is not None and config.width == 1 and config.shortcut == "paper":
        parameters = sum(p.numel() for p in network.parameters())
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
