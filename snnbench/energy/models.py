"""Named cost tables: what an operation costs on which hardware, and who says so.

A table is one TOML file in ``snnbench/energy/tables``; its file name is its name.
"""

from __future__ import annotations

import difflib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Literal

import msgspec

from snnbench.core.errors import UsageError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable
    from pathlib import Path

DEFAULT_MODEL = "horowitz-45nm-fp32"

Operation = Literal["mac", "ac", "neuron_update"]


class Cost(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Price of one operation.

    Attributes:
        operation: What is priced: ``mac``, ``ac`` or ``neuron_update``.
        pj: Energy of one operation in picojoules.
        source: How the figure follows from the table's source.
    """

    operation: Operation
    pj: float
    source: str


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
        scope: What the costs cover. Memory traffic is in no table.
    """

    name: str

    def cost_pj(self, operation: Operation) -> float | None:
        """Picojoules of one ``operation``; ``None`` if the source has no figure for it."""
        return next((cost.pj for cost in self.costs if cost.operation == operation), None)


def load_model(path: Path | Traversable) -> EnergyModel:
    """Read and validate a cost table.

    Raises:
        UsageError: The file is missing, no TOML, or does not fit; says where.
    """
    try:
        table = msgspec.toml.decode(path.read_bytes(), type=_Table)
    except FileNotFoundError:
        msg = f"cost table {path} does not exist"
        raise UsageError(msg) from None
    except (msgspec.MsgspecError, ValueError) as error:
        msg = f"cost table {path} is not valid: {error}"
        raise UsageError(msg) from error
    operations = [cost.operation for cost in table.costs]
    if len(set(operations)) < len(operations) or any(cost.pj < 0 for cost in table.costs):
        msg = f"cost table {path} is not valid: price each operation once, at 0 pJ or more"
        raise UsageError(msg)
    return EnergyModel(name=path.name.removesuffix(".toml"), **msgspec.structs.asdict(table))


@cache
def models() -> tuple[EnergyModel, ...]:
    """All cost tables, the default one first, then by name."""
    folder = resources.files("snnbench.energy.tables")
    tables = [load_model(entry) for entry in folder.iterdir() if entry.name.endswith(".toml")]
    return tuple(sorted(tables, key=lambda model: (model.name != DEFAULT_MODEL, model.name)))


def get(name: str) -> EnergyModel:
    """The cost table called ``name``.

    Raises:
        UsageError: There is none; names the nearest one and all others.
    """
    known = {model.name: model for model in models()}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    msg = f"no cost table {name!r}: {hint}choose one of {', '.join(known)}"
    raise UsageError(msg)
