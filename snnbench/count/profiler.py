"""``snnbench.profile``: count what a model does while the user runs it."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.jit._script import RecursiveScriptModule
from torch.nn.utils.parametrize import ParametrizationList
from torch.utils.hooks import RemovableHandle

from snnbench.core.errors import UsageError
from snnbench.count import side_rules, synapse_rules
from snnbench.count.attribution import ROOT, Scope
from snnbench.count.audit import Audit, tensors_of
from snnbench.count.clock import LAYOUTS, Layout
from snnbench.count.ledger import Ledger
from snnbench.count.masks import count_axis
from snnbench.count.neurons import is_known_elementwise, neuron_names, spikes_of
from snnbench.count.rules import RULES, is_free
from snnbench.results.counts import Profile

_RULE_MODULES = (synapse_rules, side_rules)  # importing them registers their rules


class profile:  # noqa: N801 - used like the functions of contextlib
    """Count spikes and operations of every call of ``model`` inside the ``with`` block.

    Forward hooks report which module runs and what its neurons put out; a dispatch mode counts
    every operation, functional calls and fused layers included. Nothing is stored on the model, and
    all hooks are removed at the end of the block.

    Example:
        >>> import torch
        >>> net = torch.nn.Linear(3, 2, bias=False)
        >>> with profile(net) as p, torch.no_grad():
        ...     _ = net(torch.tensor([[0.0, 1.0, 1.0]]))
        >>> p.result.effective
        OpCount(macs=0, acs=4)

    Args:
        model: Any module, with no ``torch.compile``d part and not scripted as a whole.
        timesteps: T. Needed for per-timestep numbers unless the model itself loops over time.
        layout: ``step`` (each call is one timestep, [N, ...]), ``TN`` (time first, [T, N, ...] or
            [T*N, ...]), ``NT`` (batch first), or ``auto``: inferred from calls and shapes.
        strict: Raise ``UncountedOperationError`` at the first operation without a rule.
        dense: Count as an ANN: every operation is a MAC, whatever its input values.
        batch_size: N of each call, where the shapes alone are ambiguous.
        neurons: Further module classes that are spiking neurons.

    Attributes:
        result: The ``Profile`` so far; complete once the block has ended.

    Raises:
        UsageError: An argument is out of range; the model is compiled, scripted as a whole or on
            the meta device; or this profile is running already.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        timesteps: int | None = None,
        layout: Layout = "auto",
        batch_size: int | None = None,
        strict: bool = False,
        dense: bool = False,
        neurons: tuple[type[nn.Module], ...] = (),
    ) -> None:
        _check_arguments(model, timesteps, batch_size, layout)
        self._modules = dict(model.named_modules())
        _check_modules(self._modules)
        self._ledger = Ledger(timesteps, layout, batch_size, declared_dense=dense)
        self._audit = Audit(model, self._ledger, RULES, is_free, strict=strict)
        self._neurons = neuron_names(self._modules, neurons)
        self._called: set[str] = set()
        self._running: ExitStack | None = None
        self._entry_shape: tuple[int, ...] | None = None
        self._thread = 0

    def __enter__(self) -> Self:
        if self._running is not None:
            msg = "this profile is already running; make a new one for a nested block"
            raise UsageError(msg)
        self._thread = threading.get_ident()
        with ExitStack() as undo:  # also if this is interrupted half way
            # the fused encoder layer of nn.Transformer would hide its products from the dispatcher
            undo.callback(
                torch.backends.mha.set_fastpath_enabled, torch.backends.mha.get_fastpath_enabled()
            )
            torch.backends.mha.set_fastpath_enabled(False)
            for name, module in self._modules.items():
                if isinstance(module, RecursiveScriptModule):
                    continue  # takes no hooks; its operations are named by their parameters
                for handle in self._hook(name, module):
                    undo.callback(handle.remove)
            undo.callback(self._audit.close)
            self._audit.__enter__()
            self._running = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        undo, self._running = self._running, None
        if undo is not None:
            undo.close()

    def _hook(self, name: str, module: nn.Module) -> Iterator[RemovableHandle]:
        neuron = name in self._neurons
        scope = Scope(
            name,
            module,
            is_neuron=neuron,
            is_known_elementwise=neuron and is_known_elementwise(module),
            computes_weight=isinstance(module, ParametrizationList),
        )
        enter, leave = partial(self._enter, scope), partial(self._leave, scope)
        yield module.register_forward_pre_hook(enter, prepend=True, with_kwargs=True)
        yield module.register_forward_hook(leave, always_call=True)

    @property
    def result(self) -> Profile:
        """Counts of all calls so far."""
        uncalled = tuple(
            name or ROOT
            for name, module in self._modules.items()
            if name not in self._called and not self._audit.place.uses_parameters_of(name, module)
        )
        return self._ledger.profile(uncalled)

    # hooks return None, since a value would replace the module's input or output

    def _enter(
        self, scope: Scope, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        if threading.get_ident() != self._thread:
            self._ledger.warnings[
                "the model also ran in another thread, where its operations cannot be seen: "
                "those calls are not counted"
            ] = None
            return
        self._audit.forget_interrupted(scope)
        if not self._audit.place.scopes:
            first = next(tensors_of((*args, *kwargs.values())), None)
            self._entry_shape = tuple(first.shape) if first is not None and first.dim() else None
        self._audit.enter(scope)
        self._called.add(scope.name)

    def _leave(self, scope: Scope, _module: nn.Module, _args: Any, output: Any) -> None:
        scopes = self._audit.place.scopes
        if scope not in scopes or threading.get_ident() != self._thread:
            return
        if scope.computes_weight and isinstance(output, Tensor):
            self._audit.place.weights.derive_parametrised(scope.name, output)
        if scope.is_neuron and (spikes := spikes_of(output)) is not None:
            self._count_spikes(scope, spikes)
        self._audit.leave(scope)
        if not scopes and not scope.computes_weight:
            self._ledger.settle(scope.row_name, self._entry_shape)

    def _count_spikes(self, scope: Scope, spikes: Tensor) -> None:
        row = self._ledger.row(scope.row_name, type(scope.module).__name__)
        mask = self._audit.mask_of(spikes)
        # up to two leading dimensions may be timesteps and samples
        split = min(2, spikes.dim() - 1)
        leading, rest = math.prod(spikes.shape[:split]), math.prod(spikes.shape[split:])
        per_position = count_axis(mask.nonzero.reshape(leading, rest), 1)
        row.add_spikes(tuple(spikes.shape), mask, per_position)


def _check_arguments(
    model: object, timesteps: int | None, batch_size: int | None, layout: str
) -> None:
    if not isinstance(model, nn.Module):
        msg = f"profile() needs a torch.nn.Module, not {type(model).__name__}"
        raise UsageError(msg)
    for name, value in (("timesteps", timesteps), ("batch_size", batch_size)):
        if value is not None and value < 1:
            msg = f"{name} must be at least 1, not {value}"
            raise UsageError(msg)
    if layout not in LAYOUTS:
        msg = f"layout must be one of {', '.join(LAYOUTS)}, not {layout!r}"
        raise UsageError(msg)


def _check_modules(modules: Mapping[str, nn.Module]) -> None:
    if any(hasattr(m, "_orig_mod") or m._compiled_call_impl for m in modules.values()):
        msg = "a compiled model hides its operations; profile it uncompiled (model._orig_mod)"
        raise UsageError(msg)
    if isinstance(modules[""], RecursiveScriptModule):
        msg = "a scripted model takes no hooks; profile the module it was scripted from"
        raise UsageError(msg)
    if any(p is not None and p.is_meta for m in modules.values() for p in m._parameters.values()):
        msg = "a model on the meta device holds no values to count; load it on a real device"
        raise UsageError(msg)
