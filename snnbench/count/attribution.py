"""Attribution of operations to rows of the table, by module, weight, or place in the code."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from snnbench.count.ledger import Ledger, Row
from snnbench.count.masks import Mask
from snnbench.count.weights_map import WeightsMap, collapse, name_within

ROOT = "(model)"
_MATMULS = ("mm", "bmm", "mv", "dot", "vdot", "scaled_dot_product", "_scaled_dot_product")


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """A module whose forward may be running.

    Attributes:
        name: Qualified name, empty for the model itself.
        module: The module.
        is_neuron: Whether it is a neuron, whose elementwise work is part of the membrane update.
        is_known_elementwise: Whether it is a weightless neuron of a known library, inside which
            there is nothing to count.
        computes_weight: Whether it is a ``ParametrizationList``, whose output is a weight and
            inside which there is nothing to count.
    """

    name: str
    module: nn.Module
    is_neuron: bool
    is_known_elementwise: bool
    computes_weight: bool

    @property
    def row_name(self) -> str:
        """Name of the module's row."""
        return self.name or ROOT

    def local_name(self, tensor: Tensor) -> str | None:
        """Name a tensor that the module holds although it is no parameter of the model.

        Hooks that compute a weight store it as a plain attribute; ``functional_call`` swaps
        parameters for other tensors.
        """
        own = [*self.module._parameters.items(), ("weight", vars(self.module).get("weight"))]
        return next((name for name, held in own if _same_memory(held, tensor)), None)


class Attribution:
    """Finds the ledger's row for an operation, from the running modules and the model's weights."""

    def __init__(self, model: nn.Module, ledger: Ledger) -> None:
        self.scopes: list[Scope] = []
        self.weights = WeightsMap(model)
        self._ledger = ledger
        self._used: set[str] = set()
        self._sites: dict[tuple[Any, ...], str] = {}
        self._sites_per_name: Counter[str] = Counter()

    @property
    def scope(self) -> Scope:
        """Innermost running module."""
        return self.scopes[-1]

    def uses_parameters_of(self, name: str, module: nn.Module) -> bool:
        """Tell whether ``module`` owns no parameters, or one of them was used, by any module."""
        prefix = f"{name}." if name else ""
        own = [prefix + local for local, _ in module.named_parameters(recurse=False)]
        return not own or any(parameter in self._used for parameter in own)

    def scope_row(self) -> Row:
        """Return the row of the innermost module, for work outside synapses."""
        return self._ledger.row(self.scope.row_name, type(self.scope.module).__name__)

    def synapse_row(self, operation: str, weight: Tensor | None, key: Sequence[int]) -> Row:
        """Return the row of a synaptic operation: by its weight, else by its place in the code.

        Args:
            operation: Its name in the dispatcher.
            weight: The operand that is a weight, if one is.
            key: Sizes that distinguish products made by one line of code.
        """
        scope = self.scope
        names = () if weight is None else self.weights.names(weight)
        parameter = name_within(names, scope.name) if names else None
        if parameter is not None:
            self._used.update(names)
            local = collapse(parameter, scope.name)
        elif weight is not None and (held := scope.local_name(weight)):
            local = None if held == "weight" else held
        else:
            return self._row_of_site(operation, key)
        if local is None:
            row = self.scope_row()
        else:
            row = self._ledger.row(f"{scope.row_name}::{local}", operation)
        if not row.params and weight is not None:
            tensor = weight
            if (
                parameter is not None
                and weight.numel() != self.weights.parameters[parameter].numel()
            ):
                tensor = self.weights.parameters[parameter]  # ``weight`` is a part of it
            row.params = tensor.numel()
            row.nonzero_params = Mask(tensor).total
        return row

    def _row_of_site(self, operation: str, key: Sequence[int]) -> Row:
        site = (self.scope.row_name, operation, *key, *_call_site())
        name = self._sites.get(site)
        if name is None:
            readable = "matmul" if operation.startswith(_MATMULS) else operation
            base = f"{self.scope.row_name}::{readable}"
            self._sites_per_name[base] += 1
            count = self._sites_per_name[base]
            name = self._sites[site] = base if count == 1 else f"{base}#{count}"
        return self._ledger.row(name, operation)


def _same_memory(held: Any, tensor: Tensor) -> bool:
    return (
        isinstance(held, Tensor)
        and held.layout is tensor.layout is torch.strided
        and held.data_ptr() == tensor.data_ptr() != 0
    )


def _call_site() -> tuple[tuple[int, int], ...]:
    """List the places in the code from the operation up to the forward of its module.

    Two products in one forward have different places, while a loop over time returns to the same.
    """
    site = []
    caller = sys._getframe(1)
    while caller.f_back is not None:
        module = caller.f_globals.get("__name__", "")
        if module == "torch.nn.modules.module":
            break
        if not module.startswith(("torch.", "snnbench.count.")):
            site.append((id(caller.f_code), caller.f_lasti))
        caller = caller.f_back
    return tuple(site)
