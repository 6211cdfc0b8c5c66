"""Energy estimates in picojoules: operation counts times a cost table, never a measurement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from snnbench.energy.models import MEMORY, OPERATIONS, SIDE, SYNAPTIC, Counting, Operation, synops
from snnbench.results.counts import LayerRecord, Profile

if TYPE_CHECKING:
    from snnbench.energy.models import EnergyModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """Cost of all operations of one kind in one layer, over all samples.

    Attributes:
        layer: Name of the layer.
        operation: Name of the operation in the cost table.
        count: Number of operations.
        pj: Their cost together in picojoules, exact.
    """

    layer: str
    operation: str
    count: int
    pj: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyEstimate:
    """Estimated energy of the counted operations, over all samples of a profile.

    Attributes:
        model: The cost table.
        counting: ``effective`` (operations on zeros are skipped) or ``dense`` (none is).
        terms: Priced operations, layer by layer.
        complete: Whether every synaptic operation is priced, and every priced operation counted;
            if not, the total is a lower bound.
        excluded: What the estimate leaves out, one phrase each, the heaviest first.
        reason: Why the total is unknown; ``None`` if it is known.
    """

    model: EnergyModel
    counting: Counting
    terms: tuple[Term, ...]
    complete: bool
    excluded: tuple[str, ...]
    reason: str | None = None

    @property
    def exact_pj(self) -> Fraction | None:
        """Sum of the terms in picojoules, exact; ``None`` if it is unknown."""
        return None if self.reason else sum((term.pj for term in self.terms), Fraction())

    @property
    def total_pj(self) -> float | None:
        """Sum of the terms in picojoules; ``None`` if it is unknown."""
        return None if self.exact_pj is None else float(self.exact_pj)

    @property
    def included(self) -> tuple[str, ...]:
        """The kinds of operations that are priced, one phrase each."""
        return tuple(dict.fromkeys(OPERATIONS[term.operation].title for term in self.terms))


def estimate_energy(
    profile: Profile, model: EnergyModel, *, counting: Counting = "effective"
) -> EnergyEstimate:
    """Price the operations of ``profile`` with ``model``.

    Args:
        profile: Counts over all samples and timesteps.
        model: The cost table.
        counting: ``effective`` for event-driven or zero-skipping hardware, ``dense`` for an
            accelerator that computes every synapse.

    Returns:
        The estimate over all samples. A layer with synaptic operations that have no price cannot
        run on such hardware: the estimate leaves it out and names it. If that leaves no layer, the
        total is unknown.
    """
    unpriced = {
        layer.name: layer
        for layer in profile.layers
        if any(_without_price(SYNAPTIC, [layer], model, counting))
    }
    runs = [layer for layer in profile.layers if layer.name not in unpriced]
    terms, uncounted = [], []
    prices = [(c.operation, OPERATIONS[c.operation], c.exact_pj) for c in model.costs]
    for layer in runs:
        for name, operation, price in prices:
            count = operation.count(layer, counting)
            if count is None:
                uncounted.append(f"{operation.title} of {layer.name}, whose number is unknown")
            elif count:
                pj = count * price
                terms.append(Term(layer=layer.name, operation=name, count=count, pj=pj))
    if profile.uncounted:
        names = ", ".join(sorted({item.operation for item in profile.uncounted}))
        uncounted.append(f"uncounted operations ({names})")
    missing, total = (_synops(layers, counting) for layers in (unpriced.values(), profile.layers))
    lacking = tuple(_without_price(SYNAPTIC, profile.layers, model, counting))
    memory = _without_price(MEMORY, profile.layers, model, counting)
    return EnergyEstimate(
        model=model,
        counting=counting,
        terms=tuple(terms),
        complete=not unpriced and not uncounted,
        excluded=(
            *(memory if model.prices_memory else ("memory traffic",)),
            *([_unpriced_layers(list(unpriced), 100 * missing / total)] if unpriced else ()),
            *uncounted,
            *_without_price(SIDE, profile.layers, model, counting),
        ),
        reason=_no_total(model, lacking) if missing == total else None,
    )


def _no_total(model: EnergyModel, lacking: Sequence[str]) -> str:
    if not lacking:
        return "no synaptic operation was counted"
    if model.cost_pj("ac") is not None:
        return f"no price for a multiply-accumulate: {model.title} runs spikes"
    return f"no price for {' or '.join(lacking)}"


def _synops(layers: Iterable[LayerRecord], counting: Counting) -> int:
    return sum(synops(layer, counting).synops for layer in layers)


def _without_price(
    operations: Mapping[str, Operation],
    layers: Sequence[LayerRecord],
    model: EnergyModel,
    counting: Counting,
) -> Iterator[str]:
    """Yield the titles of operations that the layers do, or may do, without a price."""
    for name, operation in operations.items():
        if model.cost_pj(name) is None and any(operation.count(x, counting) != 0 for x in layers):
            yield operation.title


def _unpriced_layers(names: Sequence[str], percent: float) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return (
        f"{percent:.3g} % of the synaptic operations ({', '.join(names[:3])}{more}), which do not "
        "run on such hardware as they are"
    )
