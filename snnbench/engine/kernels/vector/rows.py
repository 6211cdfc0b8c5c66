"""One output row of a convolution three wide: each event is decoded once for three windows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
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
    I32,
    I64,
    LANES,
    Format,
    size_of,
)

_ROW_KERNEL = 3


@intrinsic(prefer_literal=False)
def accumulate_row(  # type: ignore[no-untyped-def]
    _typing, witness, weights, column_bytes, events, columns, width, padding, start, start_step,
    sums, sums_step,
):  # fmt: skip
    """Sum all windows of an output row of a kernel three wide, with stride 1 and padding 0 or 1.

    Every input column is read once, for the three windows it lies in, whose sums stay in
    registers: an event is decoded once for three rows of weights.

    Args:
        weights: Address of the kernel's first column.
        column_bytes: Bytes to the next column of the kernel.
        events: Address of the list.
        columns: Address of [width + 1] offsets into the list.
        width: Width of the input.
        padding: 0 or 1.
        start: Address of the totals to add to, of the first window, and bytes to the next.
        sums: Address of the totals to write, likewise.
    """
    layout = FORMATS[witness]
    signature = types.void(witness, *(types.int64,) * 10)

    def codegen(context: Any, b: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        _emit_row(b, _OpenWindows(b, layout, *args[7:]), *args[1:7])
        return context.get_dummy_value()

    return signature, codegen


def _emit_row(
    b: ir.IRBuilder,
    windows: _OpenWindows,
    weights: ir.Value,
    column_bytes: ir.Value,
    events: ir.Value,
    columns: ir.Value,
    width: ir.Value,
    padding: ir.Value,
) -> None:
    oldest = b.sub(padding, I64(_ROW_KERNEL - 1))
    with cgutils.for_range(b, width) as loop:
        x = loop.index
        column = b.add(columns, b.mul(x, I64(EVENT_BYTES)))
        first, last = (
            b.add(events, b.zext(load(b, advance(b, column, at), I32, EVENT_BYTES), I64))
            for at in (0, EVENT_BYTES)
        )
        base = b.sub(weights, b.mul(x, column_bytes))
        taps = [b.add(base, b.mul(column_bytes, I64(kx))) for kx in range(_ROW_KERNEL)]
        cursor = cgutils.alloca_once(b, I64)
        b.store(first, cursor)

        def take_events(limit: ir.Value) -> None:
            with while_before(b, cursor, limit):
                event = b.zext(load(b, b.load(cursor), I32, EVENT_BYTES), I64)
                windows.add([b.add(tap, event) for tap in taps])
                b.store(advance(b, b.load(cursor), EVENT_BYTES), cursor)

        if windows.is_fixed_point:
            with while_before(b, cursor, last):
                take_events(chunk_end(b, b.load(cursor), last))
                windows.gather()
        else:
            take_events(last)
            windows.gather()
        windows.finish(b.add(x, oldest))
    with cgutils.for_range(b, padding) as loop:
        windows.finish(b.add(b.add(width, loop.index), oldest))


class _OpenWindows:
    """Sums of the windows that the current input column lies in, the oldest first.

    What the current column adds is summed apart: int16 overflows otherwise, and floats lose less to
    rounding, so that fewer potentials fall on the other side of the threshold.
    """

    def __init__(
        self,
        b: ir.IRBuilder,
        layout: Format,
        start: ir.Value,
        start_step: ir.Value,
        sums: ir.Value,
        sums_step: ir.Value,
    ) -> None:
        self._b, self._layout = b, layout
        self._start, self._start_step = start, start_step
        self._sums, self._sums_step = sums, sums_step
        self.is_fixed_point = layout.total == I32
        words = layout.channels // LANES
        self._totals = self._windows(layout.sums, words)
        self._column = (
            self._windows(layout.vector, layout.vectors)
            if self.is_fixed_point
            else self._windows(layout.sums, words)
        )

    def _windows(self, kind: ir.VectorType, vectors: int) -> list[list[ir.Value]]:
        slots = [
            [cgutils.alloca_once(self._b, kind) for _ in range(vectors)] for _ in range(_ROW_KERNEL)
        ]
        for window in slots:
            self._fill(window, zeros(kind))
        return slots

    def add(self, rows: Sequence[ir.Value]) -> None:
        """Add an event's rows of weights; the first tap belongs to the newest window."""
        b, layout = self._b, self._layout
        for row, window in zip(rows, reversed(self._column), strict=True):
            words: list[ir.Value] = []
            for v in range(layout.vectors):
                address = advance(b, row, v * layout.vector_bytes)
                vector = load(b, address, layout.vector, 64)
                words += [vector] if self.is_fixed_point else to_words(b, layout, vector)
            for slot, word in zip(window, words, strict=True):
                b.store(add_vectors(b, b.load(slot), word), slot)

    def gather(self) -> None:
        """Add the column's sums to the totals and clear them."""
        b = self._b
        for column, totals in zip(self._column, self._totals, strict=True):
            words = [b.load(slot) for slot in column]
            if self.is_fixed_point:
                words = [half for word in words for half in widened(b, self._layout, word)]
            for slot, word in zip(totals, words, strict=True):
                b.store(add_vectors(b, b.load(slot), word), slot)
            self._fill(column, zeros(column[0].type.pointee))

    def finish(self, index: ir.Value) -> None:
        """Write the oldest window, which may lie before the row, and begin a new one."""
        b = self._b
        word_bytes = LANES * size_of(self._layout.total)
        before = b.add(self._start, b.mul(index, self._start_step))
        after = b.add(self._sums, b.mul(index, self._sums_step))
        with b.if_then(b.icmp_signed(">=", index, I64(0))):
            for w, slot in enumerate(self._totals[0]):
                start = load(b, advance(b, before, w * word_bytes), self._layout.sums, 64)
                store(b, add_vectors(b, start, b.load(slot)), advance(b, after, w * word_bytes), 64)
        for older, newer in pairwise(self._totals):
            for slot, next_slot in zip(older, newer, strict=True):
                b.store(b.load(next_slot), slot)
        self._fill(self._totals[-1], zeros(self._layout.sums))

    def _fill(self, window: Sequence[ir.Value], value: ir.Constant) -> None:
        for slot in window:
            self._b.store(value, slot)
