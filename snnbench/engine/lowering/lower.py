"""Lowering of a network to a plan: which spikes feed which neurons through which weights."""

from __future__ import annotations

from collections import Counter
from typing import cast

import torch
from torch import Tensor, nn

from snnbench.core.errors import StructureError, UsageError, WeightsError
from snnbench.engine.lowering.axes import read_terms
from snnbench.engine.lowering.functions import Add, Function, Reshape
from snnbench.engine.lowering.terms import Term, event_limit
from snnbench.engine.lowering.trace import record
from snnbench.engine.plan import (
    Current,
    DenseCurrent,
    DenseStep,
    EventCurrent,
    NeuronStep,
    Plan,
    SpikeScale,
    Step,
    Value,
)
from snnbench.nn.fold import fold_batch_norm
from snnbench.nn.neuron import Neuron
from snnbench.nn.neuron_spec import NeuronSpec


@torch.no_grad()
def lower(model: nn.Module, example: Tensor, *, strict: bool = False) -> Plan:
    """Plan a spiking network for event-driven inference, as it is in evaluation mode.

    Batch norms are folded (``fold_batch_norm``). Branches in the forward are taken as for the
    example. A layer that event kernels cannot compute becomes a dense step with the reason: its
    input is not spikes, no neurons follow, or its kind is unknown.

    Args:
        model: Network with neurons of ``snnbench.nn`` on all timesteps at once, [T, N, ...]; left
            as it is.
        example: Static input, [N, ...], that the forward itself expands over time, or
            [T, N, ...]. Only its shape matters.
        strict: Whether to raise if an unsupported layer would run densely. Layers that are dense by
            nature (on the input, pools, readout) never raise.

    Returns:
        The plan; it shares no memory with the model.

    Raises:
        StructureError: There are no neurons, a module has hooks, time and batch cannot be
            distinguished from other axes, or ``strict`` refuses a layer.
        WeightsError: A parameter or buffer holds NaN or infinity.
        UsageError: The model or the example is not on the CPU.
    """
    _check(model, example)
    folded = fold_batch_norm(model).model
    folded.requires_grad_(requires_grad=False)
    calls, output = record(folded, example)
    terms, last, timesteps = read_terms(calls, output)
    if not any(isinstance(term.module, Neuron) for term in terms):
        msg = f"{type(model).__name__} has no neurons of snnbench.nn to run by events"
        raise StructureError(msg)
    plan = _Lowering(terms, last, timesteps).plan()
    for step in plan.steps:
        if strict and isinstance(step, DenseStep) and step.unsupported:
            msg = f"'{step.name}' cannot run by events: {step.reason}; leave out strict"
            raise StructureError(msg)
    return plan


def _check(model: nn.Module, example: Tensor) -> None:
    if not example.is_floating_point() or example.ndim < 2 or not example.shape[0]:
        msg = (
            "the example must be floats of shape [N, ...] or [T, N, ...], "
            f"got {example.dtype} {list(example.shape)}"
        )
        raise UsageError(msg)
    for name, module in model.named_modules():
        if module._forward_hooks or module._forward_pre_hooks:
            msg = f"'{name or type(model).__name__}' has forward hooks: remove them, then compile"
            raise StructureError(msg)
    for name, tensor in [("example", example), *model.named_parameters(), *model.named_buffers()]:
        if tensor.device.type != "cpu":
            msg = f"'{name}' is on {tensor.device}: the engine runs on the CPU, move it there"
            raise UsageError(msg)
        if tensor.is_floating_point() and tensor is not example and not tensor.isfinite().all():
            msg = f"'{name}' holds NaN or infinity: load other weights"
            raise WeightsError(msg)


class _Lowering:
    """Emits the steps of the terms that the output needs."""

    def __init__(self, terms: list[Term], output: int, timesteps: int) -> None:
        self._terms = terms
        self._output = output
        self._timesteps = timesteps
        self._readers = self._count_readers()
        self._values: list[Value] = []
        self._steps: list[Step] = []
        self._value_of: dict[int, int] = {}
        self._names: Counter[str] = Counter()

    def plan(self) -> Plan:
        first = self._value(0)
        # neurons in order, so that no recursion reaches back further than one of them
        for index, term in enumerate(self._terms):
            if isinstance(term.module, Neuron) and self._readers[index]:
                self._value(index)
        output = self._value(self._output)
        return Plan(
            values=tuple(self._values),
            steps=tuple(self._steps),
            input=first,
            output=output,
            timesteps=self._timesteps,
        )

    def _count_readers(self) -> Counter[int]:
        """Count how often the terms that the output needs read each term."""
        readers: Counter[int] = Counter([self._output])
        for index in reversed(range(len(self._terms))):
            if readers[index]:
                readers.update(self._terms[index].inputs)
        return readers

    def _value(self, index: int) -> int:
        """Emit the steps of a term, if not yet done, and return the index of its value."""
        if index not in self._value_of:
            term = self._terms[index]
            currents, bias = self._currents_into(term) if term.role == "neuron" else ((), None)
            inputs = () if currents else tuple(self._value(i) for i in term.inputs)
            value = Value(
                name=term.name,
                kind="spikes" if term.spikes else "dense",
                shape=term.shape,
                static=term.static,
            )
            self._value_of[index] = len(self._values)
            self._values.append(value)
            if bias is not None:
                step = NeuronStep(
                    name=self._unique(term.name),
                    currents=currents,
                    bias=bias,
                    spec=cast("NeuronSpec", cast("Neuron", term.module).spec),
                    output=self._value_of[index],
                )
                self._steps.append(step)
            elif term.role != "input":
                self._add_dense(index, inputs)
        return self._value_of[index]

    def _unique(self, name: str) -> str:
        """Make a name for neurons, numbered if their module was called before."""
        self._names[name] += 1
        return name if self._names[name] == 1 else f"{name}#{self._names[name]}"

    def _add_dense(self, index: int, inputs: tuple[int, ...]) -> None:
        term = self._terms[index]
        reason, unsupported = self._why_dense(index)
        self._steps.append(
            DenseStep(
                name=self._unique(term.name) if isinstance(term.module, Neuron) else term.name,
                module=_as_module(term),
                inputs=inputs,
                output=self._value_of[index],
                reason=reason,
                unsupported=unsupported,
                keeps_time=term.keeps_time,
            )
        )

    def _why_dense(self, index: int) -> tuple[str, bool]:
        """Say why a term is dense, and whether that is a limit of the engine."""
        term = self._terms[index]
        if term.role in ("synapse", "scale"):
            source = self._terms[term.inputs[0]]
            if not source.spikes:
                return "its input is not spikes", False
            if limit := event_limit(term, source):
                return limit, True
        if term.role in ("synapse", "scale", "add"):
            if self._readers[index] > 1:
                return "several layers read its currents", False
            dense = self._feeds_dense_neurons(index)
            return "its neurons run densely" if dense else "no neurons follow", False
        return term.reason or "dense by nature", term.unsupported

    def _feeds_dense_neurons(self, index: int) -> bool:
        return any(
            self._feeds_dense_neurons(reader)
            if term.role == "add"
            else term.role == "dense" and isinstance(term.module, Neuron)
            for reader, term in enumerate(self._terms)
            if index in term.inputs
        )

    def _currents_into(self, neuron: Term) -> tuple[tuple[Current, ...], Tensor]:
        """Collect the currents into neurons, and the sum of biases, [C]."""
        bias = torch.zeros(neuron.shape[0], dtype=torch.float64)
        currents: list[Current] = []
        waiting = list(neuron.inputs)
        while waiting:
            index = waiting.pop(0)
            term = self._terms[index]
            if term.role == "add" and self._readers[index] == 1:
                waiting[:0] = term.inputs
                continue
            currents.append(self._current(index, neuron))
            module = term.module
            flows = isinstance(currents[-1], EventCurrent | SpikeScale) and not term.spikes
            if flows and module is not None and module.bias is not None:
                bias += module.bias.detach().double()  # type: ignore[operator, union-attr]
        return tuple(currents), bias

    def _current(self, index: int, neuron: Term) -> Current:
        term = self._terms[index]
        if term.spikes:
            ones = torch.ones(neuron.shape[0])
            return SpikeScale(source=self._value(index), layer=neuron.name, scale=ones)
        source = self._terms[term.inputs[0]] if term.inputs else term
        pending = term.role in ("synapse", "scale") and self._readers[index] == 1
        if not pending or not source.spikes or event_limit(term, source):
            return DenseCurrent(source=self._value(index))
        if term.role == "scale":
            scale = _plain(term.module.weight)  # type: ignore[union-attr, arg-type]
            return SpikeScale(source=self._value(term.inputs[0]), layer=term.name, scale=scale)
        return self._event_current(term, source)

    def _event_current(self, term: Term, source: Term) -> EventCurrent:
        module = term.module
        if isinstance(module, nn.Conv2d):
            return EventCurrent(
                source=self._value(term.inputs[0]),
                layer=term.name,
                weight=_plain(module.weight),
                stride=(module.stride[0], module.stride[1]),
                padding=(int(module.padding[0]), int(module.padding[1])),
            )
        weight = _plain(module.weight)  # type: ignore[union-attr, arg-type]
        index = term.inputs[0]
        shape: tuple[int, ...] = (*source.shape, 1, 1)
        if source.role == "reshape" and len(self._terms[source.inputs[0]].shape) == 3:
            # flattened images: a convolution whose window is the whole image
            index = source.inputs[0]
            shape = self._terms[index].shape
        return EventCurrent(
            source=self._value(index), layer=term.name, weight=weight.view(-1, *shape)
        )


def _plain(weight: Tensor) -> Tensor:
    """Detach weights, as float32 or float64."""
    weight = weight.detach()
    return weight if weight.dtype in (torch.float32, torch.float64) else weight.float()


def _as_module(term: Term) -> nn.Module:
    if term.role == "add":
        return Add()
    if term.role == "reshape":
        return Reshape(term.shape)
    if term.module is not None:
        return term.module
    if term.call is None:
        msg = f"'{term.name}' is neither a layer nor a function"
        raise StructureError(msg)
    return Function(term.call.function, term.call.args, term.call.kwargs)
