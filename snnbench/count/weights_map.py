"""Recognise, among the tensors an operation receives, those that are weights of the model."""

from __future__ import annotations

import bisect
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils.weak import WeakTensorKeyDictionary

_AS_WEIGHT = ("weight_orig", "weight_v", "weight_g")
_PARAMETRIZED = ".parametrizations.weight."


class WeightsMap:
    """Names the parameter behind a tensor.

    A view of a parameter (a transpose, a chunk) lies in its memory; a tensor computed from weights
    alone (a cast under autocast, a standardised weight) is followed by weak reference.
    """

    def __init__(self, model: nn.Module) -> None:
        self.parameters = dict(model.named_parameters(remove_duplicate=False))
        spans: dict[tuple[int, int], list[str]] = {}
        for name, parameter in self.parameters.items():
            if is_lazy(parameter) or parameter.layout is not torch.strided:
                continue  # no place in memory yet, or no single one
            start = parameter.data_ptr()
            length = parameter.numel() * parameter.element_size()
            if start and length:
                length = min(length, parameter.untyped_storage().nbytes())  # if expanded
                spans.setdefault((start, start + length), []).append(name)
        self._spans = [(start, end, tuple(names)) for (start, end), names in sorted(spans.items())]
        self._starts = [span[0] for span in self._spans]
        self._derived: Any = WeakTensorKeyDictionary()
        self._has_derived = False

    def names(self, tensor: Tensor) -> tuple[str, ...]:
        """Names of the parameter behind ``tensor``: several if tied, none if it is no weight."""
        if tensor.layout is not torch.strided:
            return ()
        address = tensor.data_ptr()
        index = bisect.bisect_right(self._starts, address) - 1
        if index >= 0 and address < self._spans[index][1]:
            return self._spans[index][2]
        if not self._has_derived:
            return ()
        derived: tuple[str, ...] = self._derived.get(tensor, ())
        return derived

    def derive(self, source: tuple[str, ...], tensor: Tensor) -> None:
        """Note that ``tensor`` was computed from weights alone, first of them ``source``."""
        self._derived[tensor] = source
        self._has_derived = True


def name_within(names: tuple[str, ...], scope: str) -> str:
    """Of the names of a tied parameter, the one within module ``scope``."""
    prefix = f"{scope}." if scope else ""
    return next((name for name in names if name.startswith(prefix)), names[0])


def collapse(parameter: str, scope: str) -> str | None:
    """What a parameter is called within module ``scope``; ``None`` for the module's own weight.

    Pruned, weight-normed and parametrised weights stand for the module's ``weight``.
    """
    prefix = f"{scope}." if scope else ""
    if not parameter.startswith(prefix):
        return parameter
    local = parameter[len(prefix) :]
    if local == "weight" or local in _AS_WEIGHT or f".{local}".startswith(_PARAMETRIZED):
        return None
    return local
