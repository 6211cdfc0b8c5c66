"""Time and batch axes of recorded tensors: calls become terms without either."""

from __future__ import annotations

from math import prod
from typing import Literal, NoReturn, cast

from torch import nn

from snnbench.core.errors import StructureError
from snnbench.engine.lowering.terms import MAX_POOLS, SYNAPSES, Role, Term, why_dense
from snnbench.engine.lowering.trace import Call
from snnbench.engine.neurons import without_kernels
from snnbench.nn.neuron import Neuron
from snnbench.nn.norm import ChannelAffine

Layout = Literal["samples", "one time", "time", "merged"]
"""[N, ...], [1, N, ...], [T, N, ...] or [T*N, ...]."""

_LIFTS = {"expand", "repeat", "expand_as", "broadcast_to", "stack", "tile"}
_ADDS = {"add", "iadd", "radd"}
_RESHAPES = {"flatten", "unflatten", "reshape", "view", "unsqueeze", "squeeze", "view_as"}
_COPIES = {"contiguous", "clone", "detach"}
_FLATTENS = (nn.Flatten, nn.Unflatten)


def read_terms(calls: list[Call], output: int) -> tuple[list[Term], int, int]:
    """Turn recorded calls, and the index of the one that made the output, into terms.

    Returns:
        Terms in order (term 0 is the input), the term of the output, and T.

    Raises:
        StructureError: An operation mixes time or batch with other axes.
    """
    reader = _Reader(calls)
    for index in range(1, len(calls)):
        reader.read(index)
    layout, term = reader.layouts[output], reader.term_of[output]
    if layout not in ("time", "samples"):
        msg = "the output must be [N, ...] or [T, N, ...], the network merges time and batch"
        raise StructureError(msg)
    if layout == "time" and reader.terms[term].static:
        msg = "the output is the same at every timestep: there are no neurons before it"
        raise StructureError(msg)
    return reader.terms, term, reader.timesteps


class _Reader:
    def __init__(self, calls: list[Call]) -> None:
        self._calls = calls
        shape = calls[0].shape
        timesteps = _lifted_to(calls)
        static = timesteps is not None
        if not static and len(shape) < 3:
            msg = (
                f"an input of shape {list(shape)} has no time: expand [N, ...] to [T, N, ...] in "
                "the network's forward, or give it [T, N, ...]"
            )
            raise StructureError(msg)
        self.timesteps = shape[0] if timesteps is None else timesteps
        samples = shape[0] if static else shape[1]
        self._leading: dict[Layout, tuple[int, ...]] = {
            "samples": (samples,),
            "one time": (1, samples),
            "time": (self.timesteps, samples),
            "merged": (self.timesteps * samples,),
        }
        first = Term(
            name="input",
            role="input",
            inputs=(),
            shape=shape[1:] if static else shape[2:],
            static=static,
        )
        self.terms = [first]
        self.term_of = {0: 0}
        self.layouts: dict[int, Layout] = {0: "samples" if static else "time"}

    def read(self, index: int) -> None:
        """Read one call, given those before it."""
        call = self._calls[index]
        # each attempt adds the call and returns true, if it is of its kind
        if self._try_alias(index, call) or self._try_time_mean(index, call):
            return
        if call.module is None and call.operation in _ADDS and self._try_add(index, call):
            return
        if call.operation in _RESHAPES | _LIFTS:
            self._refuse(call)
        self._read_layer(index, call)

    def _try_alias(self, index: int, call: Call) -> bool:
        """Read a call that copies, reshapes samples, or moves axes of time and batch only."""
        reshapes = call.operation in _RESHAPES or type(call.module) in _FLATTENS
        if not reshapes and call.operation not in _LIFTS | _COPIES:
            return False
        source = call.inputs[0]
        term = self.terms[self.term_of[source]]
        layout = self._layout_of(call.shape, term, self.layouts[source])
        if layout is not None:
            self._set(index, self.term_of[source], layout)
            return True
        if reshapes:
            return self._try_reshape(index, call)
        return False

    def _layout_of(self, shape: tuple[int, ...], term: Term, before: Layout) -> Layout | None:
        """Find the layout of an unchanged term that has this shape."""
        order: tuple[Layout, ...] = ("merged", "time") if before != "time" else ("time", "merged")
        if term.static and before in ("samples", "one time"):
            order = ("samples", "time", "one time") if before == "samples" else ("time", "one time")
        return next((way for way in order if (*self._leading[way], *term.shape) == shape), None)

    def _try_reshape(self, index: int, call: Call) -> bool:
        source = call.inputs[0]
        layout, term = self.layouts[source], self.terms[self.term_of[source]]
        rest = self._rest(call.shape, layout)
        if rest is None or prod(rest) != prod(term.shape):
            return False
        reshaped = Term(
            name=call.name,
            role="reshape",
            inputs=(self.term_of[source],),
            shape=rest,
            static=term.static,
            spikes=term.spikes,
            reason="moves no data but masks",
        )
        self._append(index, reshaped, layout)
        return True

    def _rest(self, shape: tuple[int, ...], layout: Layout) -> tuple[int, ...] | None:
        """Remove time and batch from a shape, if they are in the layout's places."""
        lead = self._leading[layout]
        return shape[len(lead) :] if shape[: len(lead)] == lead else None

    def _try_time_mean(self, index: int, call: Call) -> bool:
        if call.operation not in ("mean", "sum") or self.layouts[call.inputs[0]] != "time":
            return False
        axes = call.kwargs.get("dim", call.args[1] if len(call.args) > 1 else None)
        if axes not in (0, (0,), [0]) or call.kwargs.get("keepdim", len(call.args) > 2):
            return False
        source = self.term_of[call.inputs[0]]
        term = Term(
            name=call.name or "output",
            role="dense",
            inputs=(source,),
            shape=self.terms[source].shape,
            static=True,
            call=call,
            reason=f"{call.operation} over time",
            keeps_time=True,
        )
        self._append(index, term, "samples")
        return True

    def _try_add(self, index: int, call: Call) -> bool:
        """Read a call that adds two terms of one shape."""
        if len(call.inputs) != 2 or len(call.args) != 2 or call.kwargs:
            return False
        inputs = tuple(self.term_of[i] for i in call.inputs)
        left, right = (self.terms[i] for i in inputs)
        layouts = {self.layouts[i] for i in call.inputs}
        aligned = len(layouts) == 1 or layouts in ({"samples", "time"}, {"one time", "time"})
        if not aligned or left.shape != right.shape:
            return False
        term = Term(
            name=call.name or "add",
            role="add",
            inputs=inputs,
            shape=left.shape,
            static=left.static and right.static,
        )
        self._append(index, term, "time" if "time" in layouts else layouts.pop())
        return True

    def _read_layer(self, index: int, call: Call) -> None:
        layout = self.layouts[call.inputs[0]]
        read = self._neuron if isinstance(call.module, Neuron) else self._layer
        self._append(index, read(call, layout), layout)

    def _neuron(self, call: Call, layout: Layout) -> Term:
        neuron = cast("Neuron", call.module)
        shape = self._rest(call.shape, layout)
        if any(self.layouts[i] != "time" for i in call.inputs):
            msg = f"'{call.name}' gets {list(call.shape)}: give neurons [T, N, ...], T first"
            raise StructureError(msg)
        if shape is None:
            self._refuse(call)
        limit = without_kernels(neuron)
        if limit is None and len(shape) not in (1, 3):
            limit = f"neurons of shape {list(shape)} for each sample"
        return Term(
            name=call.name,
            role="neuron" if limit is None else "dense",
            inputs=tuple(self.term_of[i] for i in call.inputs),
            shape=shape,
            spikes=not neuron.graded,
            module=neuron,
            call=call,
            reason=limit,
            unsupported=limit is not None,
            keeps_time=limit is not None,
        )

    def _layer(self, call: Call, layout: Layout) -> Term:
        shape = self._rest(call.shape, layout)
        if shape is None or any(self.layouts[i] != layout for i in call.inputs):
            self._refuse(call)
        inputs = tuple(self.term_of[i] for i in call.inputs)
        sources = [self.terms[i] for i in inputs]
        whole = layout in ("time", "one time") and type(call.module) is not nn.Linear
        role: Role = "dense"
        if not whole and isinstance(call.module, SYNAPSES):
            role = "synapse"
        elif not whole and isinstance(call.module, ChannelAffine):
            role = "scale"
        reason, unsupported = why_dense(call, whole=whole)
        return Term(
            name=call.name or call.operation,
            role=role,
            inputs=inputs,
            shape=shape,
            static=not whole and all(source.static for source in sources),
            spikes=isinstance(call.module, MAX_POOLS) and sources[0].spikes,
            module=call.module,
            call=call,
            reason=reason,
            unsupported=unsupported,
            keeps_time=whole,
        )

    def _append(self, index: int, term: Term, layout: Layout) -> None:
        self.terms.append(term)
        self._set(index, len(self.terms) - 1, layout)

    def _set(self, index: int, term: int, layout: Layout) -> None:
        self.term_of[index] = term
        self.layouts[index] = layout

    def _refuse(self, call: Call) -> NoReturn:
        what = f"'{call.name}'" if call.module is not None else f"'{call.operation}'"
        where = f" in '{call.name}'" if call.module is None and call.name else ""
        before = list(self._calls[call.inputs[0]].shape)
        msg = (
            f"{what}{where} takes {before} to {list(call.shape)}: keep time and batch in front, "
            "[T, N, ...] or [T*N, ...]"
        )
        raise StructureError(msg)


def _lifted_to(calls: list[Call]) -> int | None:
    """Find T of a static input, to which the network's forward expands it, if it does."""
    for call in calls[1:]:
        if call.operation in _LIFTS and call.module is None:
            before = calls[call.inputs[0]]
            unsqueezed = before.operation == "unsqueeze" and call.shape[1:] == before.shape[1:]
            if unsqueezed or call.shape[1:] == before.shape:
                return call.shape[0]
    return None
