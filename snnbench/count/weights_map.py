"""Recognise, among the tensors an operation receives, those that are weights of the model."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils.weak import WeakTensorKeyDictionary

_AS_WEIGHT = ("weight_orig", "weight_v", "weight_g")
_HELPERS = ("mask", "u", "v")  # buffers with which pruning and spectral norms compute a weight
_PARAMETRIZED = ".parametrizations.weight."


class WeightsMap:
    """Names the parameter behind a tensor.

    A view of a parameter (a transpose, a chunk) lies in its memory; a tensor computed from weights
    alone (a cast under autocast, a standardised weight) is followed by weak reference.
    """

    def __init__(self, model: nn.Module) -> None:
        self.parameters = dict(model.named_parameters(remove_duplicate=False))
        spans: dict[tuple[int, int], list[str]] = {}
        for name, tensor in (*self.parameters.items(), *self._helpers(model)):
            if is_lazy(tensor) or tensor.layout is not torch.strided:
                continue  # no place in memory yet, or no single one
            start = tensor.data_ptr()
            length = tensor.numel() * tensor.element_size()
            if start and length:
                length = min(length, tensor.untyped_storage().nbytes())  # if expanded
                spans.setdefault((start, start + length), []).append(name)
        self._spans = [(start, end, tuple(names)) for (start, end), names in sorted(spans.items())]
        self._starts = [span[0] for span in self._spans]
        self._derived: Any = WeakTensorKeyDictionary()
        self._has_derived = False

    def _helpers(self, model: nn.Module) -> Iterator[tuple[str, Tensor]]:
        """Yield buffers such as ``weight_mask``, each by the name of its ``weight_orig``."""
        if not any(name.endswith("_orig") for name in self.parameters):
            return
        for name, buffer in model.named_buffers():
            stem, _, helper = name.rpartition("_")
            if helper in _HELPERS and f"{stem}_orig" in self.parameters:
                yield f"{stem}_orig", buffer

    def names(self, tensor: Tensor) -> tuple[str, ...]:
        """Name the parameter behind ``tensor``: several names if tied, none if it is no weight."""
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
        """Remember that ``tensor`` was computed from weights alone, the first being ``source``."""
        self._derived[tensor] = source
        self._has_derived = True

    def derive_parametrised(self, module: str, tensor: Tensor) -> None:
        """Remember that the ``ParametrizationList`` called ``module`` put out ``tensor``."""
        originals = [name for name in self.parameters if name.startswith(f"{module}.original")]
        if originals:
            self.derive((max(originals, key=lambda name: self.parameters[name].numel()),), tensor)


def name_within(names: tuple[str, ...], scope: str) -> str:
    """Choose the name of a tied parameter within module ``scope``."""
    prefix = f"{scope}." if scope else ""
    return next((name for name in names if name.startswith(prefix)), names[0])


def collapse(parameter: str, scope: str) -> str | None:
    """Shorten a parameter's name within module ``scope``; ``None`` for the module's own weight.

    Pruned, weight-normed and parametrised weights stand for the module's ``weight``.
    """
    prefix = f"{scope}." if scope else ""
    if not parameter.startswith(prefix):
        return parameter
    local = parameter[len(prefix) :]
    if local == "weight" or local in _AS_WEIGHT or f".{local}".startswith(_PARAMETRIZED):
        return None
    return local
