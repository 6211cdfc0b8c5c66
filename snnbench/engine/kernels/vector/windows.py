"""One window of a convolution at a time: any kernel, any stride."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from snnbench.engine.kernels.vector.emit import (
    add_vectors,
    advance,
    chunk_end,
    load,
    store,
    to_words,
    while_before,
    widened,
    zeros,
)
from snnbench.engine.kernels.vector.formats import (
    EVENT_BYTES,
    FORMATS,
    HAS_COMPRESS,
    I32,
    I64,
    LANES,
    Format,
    size_of,
)

_STEP = 4  # events per turn of the inner loop
_SUMS = 8 if HAS_COMPRESS else 4  # vectors of sums that stay in registers and hide latency


@intrinsic(prefer_literal=False)
def accumulate(_typing, witness, base, first, last, start, sums):  # type: ignore[no-untyped-def]
    """Compute one window: ``sums = start + weight rows of the events in [first, last)``.

    Events are byte offsets from ``base``. ``start`` and ``sums`` are addresses of the totals of
    one row of channels; they may be the same. The number of events is even.
    """
    layout = FORMATS[witness]
    signature = types.void(witness, *(types.int64,) * 5)

    def codegen(context: Any, b: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        _, base, first, last, start, sums = args
        words = layout.channels // LANES
        word_bytes = LANES * size_of(layout.total)
        begin = [load(b, advance(b, start, w * word_bytes), layout.sums, 64) for w in range(words)]
        cursor = cgutils.alloca_once_value(b, first)
        emit = _accumulate_fixed_point if witness == types.int16 else _accumulate_floats
        for w, total in enumerate(emit(b, layout, cursor, last, base, begin)):
            store(b, total, advance(b, sums, w * word_bytes), 64)
        return context.get_dummy_value()

    return signature, codegen


def _accumulate_floats(
    b: ir.IRBuilder,
    layout: Format,
    cursor: ir.Value,
    last: ir.Value,
    base: ir.Value,
    begin: Sequence[ir.Value],
) -> list[ir.Value]:
    sums = _Sums(b, layout.sums, len(begin), max(1, _SUMS // len(begin)))
    sums.set(begin)

    def consume(event: int, row: ir.Value) -> None:
        for v in range(layout.vectors):
            address = advance(b, row, v * layout.vector_bytes)
            vector = load(b, address, layout.vector, 64)
            for w, value in enumerate(to_words(b, layout, vector)):
                sums.add(event, v * (layout.lanes // LANES) + w, value)

    _event_loop(b, cursor, last, consume, base)
    return [sums.total(w) for w in range(len(begin))]


def _accumulate_fixed_point(
    b: ir.IRBuilder,
    layout: Format,
    cursor: ir.Value,
    last: ir.Value,
    base: ir.Value,
    begin: Sequence[ir.Value],
) -> list[ir.Value]:
    """Sixteen rows at a time in int16, then widened: sums do not depend on the order."""
    totals = [cgutils.alloca_once_value(b, value) for value in begin]
    narrow = _Sums(b, layout.vector, layout.vectors, 2)

    def consume(event: int, row: ir.Value) -> None:
        for v in range(layout.vectors):
            address = advance(b, row, v * layout.vector_bytes)
            narrow.add(event, v, load(b, address, layout.vector, 64))

    with while_before(b, cursor, last):
        narrow.set([zeros(layout.vector)] * layout.vectors)
        _event_loop(b, cursor, chunk_end(b, b.load(cursor), last), consume, base)
        for v in range(layout.vectors):
            for w, value in enumerate(widened(b, layout, narrow.total(v))):
                slot = totals[2 * v + w]
                b.store(b.add(b.load(slot), value), slot)
    return [b.load(slot) for slot in totals]


def _event_loop(
    b: ir.IRBuilder,
    cursor: ir.Value,
    last: ir.Value,
    consume: Callable[[int, ir.Value], None],
    base: ir.Value,
) -> None:
    """Call ``consume(event, row address)`` for events up to ``last``, an even number of them."""

    def take(count: int) -> None:
        at = b.load(cursor)
        for first in range(0, count, 2):
            pair = load(b, advance(b, at, first * EVENT_BYTES), I64, EVENT_BYTES)
            consume(first, b.add(base, b.zext(b.trunc(pair, I32), I64)))
            consume(first + 1, b.add(base, b.lshr(pair, I64(32))))
        b.store(advance(b, at, count * EVENT_BYTES), cursor)

    final_step = b.sub(last, I64(_STEP * EVENT_BYTES))
    body, done = b.append_basic_block("events"), b.append_basic_block("events.done")
    b.cbranch(b.icmp_unsigned("<=", b.load(cursor), final_step), body, done)
    b.position_at_end(body)
    take(_STEP)
    b.cbranch(b.icmp_unsigned("<=", b.load(cursor), final_step), body, done)
    b.position_at_end(done)
    with b.if_then(b.icmp_unsigned("<", b.load(cursor), last)):
        take(2)


class _Sums:
    """Sums of one window in registers: ``chains`` independent ones per vector hide latency."""

    def __init__(self, b: ir.IRBuilder, kind: ir.VectorType, vectors: int, chains: int) -> None:
        self._b = b
        self._kind = kind
        self._slots = [
            [cgutils.alloca_once(b, kind) for _ in range(vectors)] for _ in range(chains)
        ]

    def set(self, first_chain: Sequence[ir.Value]) -> None:
        """Begin with these values in the first chain and zeros in the others."""
        for index, chain in enumerate(self._slots):
            for slot, value in zip(chain, first_chain, strict=True):
                self._b.store(zeros(self._kind) if index else value, slot)

    def add(self, event: int, vector: int, value: ir.Value) -> None:
        """Add a weight vector of an event to that event's chain."""
        slot = self._slots[event % len(self._slots)][vector]
        self._b.store(add_vectors(self._b, self._b.load(slot), value), slot)

    def total(self, vector: int) -> ir.Value:
        """Return the sum over the chains."""
        values = [self._b.load(chain[vector]) for chain in self._slots]
        while len(values) > 1:
            half = len(values) // 2
            values = [add_vectors(self._b, values[i], values[i + half]) for i in range(half)]
        return values[0]
