"""Loaded weights of any format as words of totals."""

from __future__ import annotations

from llvmlite import ir

from snnbench.engine.kernels.vector.emit import advance
from snnbench.engine.kernels.vector.formats import EVENT_BYTES, FIXED_POINT_ROWS, I32, LANES, Format


def to_words(b: ir.IRBuilder, layout: Format, vector: ir.Value) -> list[ir.Value]:
    """One loaded vector as floats; bfloat16 holds two words, in the halves of 32-bit lanes."""
    if layout.lanes == LANES:
        return [vector]
    lanes = b.bitcast(vector, ir.VectorType(I32, LANES))
    low = b.shl(lanes, ir.Constant(lanes.type, [16] * LANES))
    high = b.and_(lanes, ir.Constant(lanes.type, [-65536] * LANES))
    return [b.bitcast(low, layout.sums), b.bitcast(high, layout.sums)]


def widened(b: ir.IRBuilder, layout: Format, vector: ir.Value) -> tuple[ir.Value, ir.Value]:
    """The two words of int16 sums in the halves of 32-bit lanes, as int32."""
    lanes = b.bitcast(vector, layout.sums)
    half = ir.Constant(layout.sums, [16] * LANES)
    return b.ashr(b.shl(lanes, half), half), b.ashr(lanes, half)


def chunk_end(b: ir.IRBuilder, at: ir.Value, last: ir.Value) -> ir.Value:
    """End of the events whose rows of fixed-point weights may be added in int16."""
    limit = advance(b, at, FIXED_POINT_ROWS * EVENT_BYTES)
    return b.select(b.icmp_unsigned("<", limit, last), limit, last)
