"""Energy estimates in picojoules: operation counts times a cost table, never a measurement."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

from snnbench.results.counts import LayerRecord, OpCount, Profile, SideOps

if TYPE_CHECKING:
    from snnbench.energy.models import EnergyModel

Counting = Literal["effective", "dense"]

SIDE_NAMES = {
    "bias_adds": "bias additions",
    "residual_adds": "residual additions",
    "pool_ops": "pooling operations",
    "norm_ops": "unfolded normalisations",
    "elementwise_muls": "elementwise products",
    "membrane_updates": "neuron updates",
}
"""What the fields of ``SideOps`` are called in text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyEstimate:
    """What the counted operations would cost, in picojoules over all samples of a profile.

    Attributes:
        model: The cost table.
        counting: ``effective`` (operations on zeros are skipped) or ``dense`` (none is).
        total_pj: Sum over layers; ``None`` if the table prices none of the operations.
        per_layer_pj: By layer name, in order; ``None`` where the table has no price.
        complete: Whether every synaptic operation is priced; if not, ``total_pj`` is a lower bound.
        scope: What the table covers.
        excluded: What is left out, one phrase each.
        reason: Why ``total_pj`` is unknown.
    """

    model: EnergyModel
    counting: Counting
    total_pj: float | None
    per_layer_pj: tuple[tuple[str, float | None], ...]
    complete: bool
    scope: str
    excluded: tuple[str, ...]
    reason: str | None = None


def estimate_energy(
    profile: Profile, model: EnergyModel, *, counting: Counting = "effective"
) -> EnergyEstimate:
    """Price the operations of ``profile`` with ``model``.

    Args:
        profile: Counts over ``profile.samples`` samples and all timesteps.
        model: The cost table.
        counting: ``effective`` for event-driven or zero-skipping hardware, ``dense`` for an
            accelerator that computes every synapse.

    Returns:
        The estimate over all samples. A MAC on hardware without a MAC price is excluded and
        named; where that leaves nothing, the total is unknown.
    """
    per_layer = tuple((layer.name, _layer_pj(layer, model, counting)) for layer in profile.layers)
    unpriced = [layer for layer in profile.layers if _unpriced(layer, model, counting)]
    missing = sum(_operations(layer, counting).synops for layer in unpriced)
    reason = None
    if missing == _operations(profile, counting).synops:
        reason = (
            f"no price for a multiply-accumulate: {model.title} runs spikes"
            if unpriced
            else "no synaptic operation was counted"
        )
    return EnergyEstimate(
        model=model,
        counting=counting,
        total_pj=None if reason else sum(pj for _, pj in per_layer if pj is not None),
        per_layer_pj=per_layer,
        complete=not unpriced and not profile.uncounted,
        scope=model.scope,
        excluded=_excluded(profile, model, unpriced, counting),
        reason=reason,
    )


def _layer_pj(layer: LayerRecord, model: EnergyModel, counting: Counting) -> float | None:
    if _unpriced(layer, model, counting):
        return None
    operations = _operations(layer, counting)
    return (
        operations.macs * (model.cost_pj("mac") or 0.0)
        + operations.acs * (model.cost_pj("ac") or 0.0)
        + layer.side.membrane_updates * (model.cost_pj("neuron_update") or 0.0)
    )


def _operations(counted: LayerRecord | Profile, counting: Counting) -> OpCount:
    return counted.dense if counting == "dense" else counted.effective


def _unpriced(layer: LayerRecord, model: EnergyModel, counting: Counting) -> bool:
    operations = _operations(layer, counting)
    no_mac_price = operations.macs and model.cost_pj("mac") is None
    no_ac_price = operations.acs and model.cost_pj("ac") is None
    return bool(no_mac_price or no_ac_price)


def _excluded(
    profile: Profile, model: EnergyModel, unpriced: list[LayerRecord], counting: Counting
) -> tuple[str, ...]:
    """What the total leaves out, the heaviest first."""
    left_out = ["memory traffic"]
    if unpriced:
        operations = sum(_operations(layer, counting).synops for layer in unpriced)
        share = 100 * operations / _operations(profile, counting).synops
        names = ", ".join(layer.name for layer in unpriced[:3])
        more = f" and {len(unpriced) - 3} more" if len(unpriced) > 3 else ""
        left_out.append(
            f"{share:.3g} % of the synaptic operations ({names}{more}), which do not run on such "
            "hardware as they are"
        )
    if profile.uncounted:
        names = ", ".join(sorted({item.operation for item in profile.uncounted}))
        left_out.append(f"uncounted operations ({names})")
    side = profile.side
    priced = {"membrane_updates"} if model.cost_pj("neuron_update") is not None else set()
    left_out += [
        SIDE_NAMES[field.name]
        for field in fields(SideOps)
        if getattr(side, field.name) and field.name not in priced
    ]
    return tuple(left_out)
