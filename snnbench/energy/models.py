"""Cost tables: what can be priced, what it costs on which hardware, and who says so.

A table is one TOML file in ``snnbench/energy/tables``; its file name is its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import cache
from importlib import resources
from operator import attrgetter
from typing import TYPE_CHECKING, Literal

import msgspec

from snnbench.core.errors import UsageError, suggestion
from snnbench.core.files import read_toml
from snnbench.core.units import PJ_PER
from snnbench.results.counts import LayerRecord, OpCount, Role, SideOps

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable
    from pathlib import Path

DEFAULT_MODEL = "horowitz-45nm-fp32"

Counting = Literal["effective", "dense"]


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation that a cost table can price.

    Attributes:
        title: Plural for texts, e.g. ``weight reads``.
        count: Number of them in a layer, effective or dense; ``None`` if it is unknown.
    """

    title: str
    count: Callable[[LayerRecord, Counting], int | None]


def synops(layer: LayerRecord, counting: Counting) -> OpCount:
    """Return the effective or dense synaptic operations of ``layer``."""
    return layer.dense if counting == "dense" else layer.effective


def _inputs(layer: LayerRecord, counting: Counting) -> int | None:
    """Count input elements of a layer with synapses; zeros count only if it is dense."""
    if not layer.dense.synops:
        return 0
    return layer.input_sites if counting == "dense" else layer.input_nonzero


def _stored(path: str, title: str = "") -> Operation:
    """Make an operation whose count is stored in the record, 0 in layers that cannot have it."""
    value: Callable[[LayerRecord], int | None] = attrgetter(path)

    def count(layer: LayerRecord, _: Counting) -> int | None:
        no_inputs = path.startswith("input_") and not layer.dense.synops
        no_spikes = path.startswith("output_") and layer.role is not Role.NEURON
        return 0 if no_inputs or no_spikes else value(layer)

    return Operation(title or path.replace("_", " ").replace(".", " "), count)


_SIDE_TITLES = {
    "bias_adds": "bias additions",
    "residual_adds": "residual additions",
    "pool_ops": "pooling operations",
    "norm_ops": "unfolded normalisations",
    "elementwise_muls": "elementwise products",
    "membrane_updates": "neuron updates",
}
_PARTS = {"int": ("",), "int | None": ("",), "OpCount": (".macs", ".acs")}

SYNAPTIC = {
    "mac": Operation("multiply-accumulates", lambda layer, how: synops(layer, how).macs),
    "ac": Operation("accumulates", lambda layer, how: synops(layer, how).acs),
}
"""A layer with an operation of these that has no price cannot run on the hardware."""

SIDE = {
    {"membrane_updates": "neuron_update"}.get(field.name, field.name): _stored(
        f"side.{field.name}", _SIDE_TITLES.get(field.name, "")
    )
    for field in fields(SideOps)
}
"""Work outside synapses, in the order of the fields of ``SideOps``."""

MEMORY = {
    "weight_read": Operation("weight reads", lambda layer, how: synops(layer, how).synops),
    "input_read": Operation("input reads", _inputs),
    "potential_read": _stored("side.membrane_updates", "potential reads"),
    "potential_write": _stored("side.membrane_updates", "potential writes"),
}
"""Memory accesses without reuse: a weight per synaptic operation, a potential per update."""

OPERATIONS = {
    **SYNAPTIC,
    **SIDE,
    **MEMORY,
    **{
        f"{field.name}{part}".replace(".", "_"): _stored(f"{field.name}{part}")
        for field in fields(LayerRecord)
        for part in _PARTS.get(str(field.type), ())
    },
}
"""Everything a cost table can price: the above, and every integer of a ``LayerRecord``."""


class Cost(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Price of one operation.

    Attributes:
        operation: What is priced, one of ``OPERATIONS``.
        pj: Energy of one operation in picojoules.
        source: How the figure follows from the table's source.
    """

    operation: str
    pj: float
    source: str

    @property
    def exact_pj(self) -> Fraction:
        """Energy of one operation in picojoules, exactly the decimal number in the file."""
        return Fraction(str(self.pj))


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A cost table as its file has it."""

    title: str
    costs: tuple[Cost, ...]
    source: str
    scope: str
    dtype: str | None = None
    process_nm: int | None = None


class EnergyModel(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A cost table with its name.

    Attributes:
        name: File name without the suffix.
        title: Human-readable name.
        costs: Priced operations; an operation that is not listed has no known cost (not 0).
        dtype: Number format the costs hold for, where they depend on one.
        process_nm: Technology node in nanometres.
        source: Publication.
        scope: What the costs cover.
    """

    name: str

    def cost_pj(self, operation: str) -> float | None:
        """Return picojoules per ``operation``; ``None`` if the source has no figure for it."""
        return next((cost.pj for cost in self.costs if cost.operation == operation), None)

    @property
    def prices_memory(self) -> bool:
        """Whether any memory access has a price."""
        return any(cost.operation in MEMORY for cost in self.costs)


def memory_remark(tables: Iterable[EnergyModel], verb: str = "") -> str:
    """Say which of ``tables`` include memory traffic; ``verb`` makes the phrase a sentence."""
    priced = {table.title: table.prices_memory for table in tables}
    some = "" if all(priced.values()) else f" by {', '.join(t for t in priced if priced[t])} only"
    return f"memory traffic {verb}{f'included{some}' if any(priced.values()) else 'not included'}"


def load_model(path: Path | Traversable) -> EnergyModel:
    """Read and validate a cost table.

    Raises:
        UsageError: The file is missing, is not TOML, or does not fit; the message says where.
    """
    table = read_toml(path, "cost table", _Table)
    operations = [cost.operation for cost in table.costs]
    for name in operations:
        if name not in OPERATIONS:
            options = suggestion(name, OPERATIONS)
            msg = f"cost table {path} is not valid: no operation {name!r}: {options}"
            raise UsageError(msg)
    possible = all(0 <= cost.pj <= PJ_PER["J"] for cost in table.costs)
    if len(set(operations)) < len(operations) or not possible:
        msg = f"cost table {path} is not valid: price each operation once, at 0 pJ or more, to 1 J"
        raise UsageError(msg)
    return EnergyModel(name=path.name.removesuffix(".toml"), **msgspec.structs.asdict(table))


@cache
def models() -> tuple[EnergyModel, ...]:
    """Read all cost tables: the default one first, the others by name."""
    folder = resources.files("snnbench.energy.tables")
    tables = [load_model(entry) for entry in folder.iterdir() if entry.name.endswith(".toml")]
    return tuple(sorted(tables, key=lambda model: (model.name != DEFAULT_MODEL, model.name)))


def get(name: str) -> EnergyModel:
    """Return the cost table called ``name``.

    Raises:
        UsageError: There is none; the message lists all names.
    """
    known = {model.name: model for model in models()}
    if name not in known:
        msg = f"no cost table {name!r}: {suggestion(name, known)}"
        raise UsageError(msg)
    return known[name]
