"""Small pieces of LLVM IR that the intrinsics share. Addresses are int64."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from llvmlite import ir
from numba.core import cgutils

from snnbench.engine.kernels.vector.formats import (
    EVENT_BYTES,
    FIXED_POINT_ROWS,
    I32,
    I64,
    LANES,
    Format,
)


def load(b: ir.IRBuilder, address: ir.Value, kind: ir.Type, align: int) -> ir.Value:
    """Read from an address."""
    return b.load(b.inttoptr(address, kind.as_pointer()), align=align)


def store(b: ir.IRBuilder, value: ir.Value, address: ir.Value, align: int) -> None:
    """Write to an address."""
    b.store(value, b.inttoptr(address, value.type.as_pointer()), align=align)


def advance(b: ir.IRBuilder, address: ir.Value, count: int) -> ir.Value:
    """Advance an address by a constant number of bytes."""
    return b.add(address, I64(count)) if count else address


def splat(b: ir.IRBuilder, scalar: ir.Value, lanes: int) -> ir.Value:
    """Make a vector of equal numbers."""
    kind = ir.VectorType(scalar.type, lanes)
    one = b.insert_element(ir.Constant(kind, ir.Undefined), scalar, I32(0))
    first = ir.Constant(ir.VectorType(I32, lanes), [0] * lanes)
    return b.shuffle_vector(one, ir.Constant(kind, ir.Undefined), first)


def zeros(kind: ir.VectorType) -> ir.Constant:
    """Make a vector of zeros."""
    zero = 0 if isinstance(kind.element, ir.IntType) else 0.0
    return ir.Constant(kind, [zero] * kind.count)


def call_named(b: ir.IRBuilder, name: str, result: ir.Type, args: Sequence[ir.Value]) -> ir.Value:
    """Call a function or an intrinsic of LLVM by its name."""
    kind = ir.FunctionType(result, [arg.type for arg in args])
    return b.call(cgutils.get_or_insert_function(b.module, kind, name), args)


def add_vectors(b: ir.IRBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
    """Add integers or floats; the sign of zero does not matter, so adding zero is free."""
    if isinstance(x.type.element, ir.IntType):
        return b.add(x, y)
    return b.fadd(x, y, flags=("nsz",))


@contextmanager
def while_before(b: ir.IRBuilder, cursor: ir.Value, limit: ir.Value) -> Iterator[None]:
    """Repeat the code emitted in the block while the cursor is below an address."""
    check, body, done = (b.append_basic_block(f"while{part}") for part in ("", ".body", ".done"))
    b.branch(check)
    b.position_at_end(check)
    b.cbranch(b.icmp_unsigned("<", b.load(cursor), limit), body, done)
    b.position_at_end(body)
    yield
    b.branch(check)
    b.position_at_end(done)


def to_words(b: ir.IRBuilder, layout: Format, vector: ir.Value) -> list[ir.Value]:
    """Convert a loaded vector to floats; bfloat16 has two words, in halves of 32-bit lanes."""
    if layout.lanes == LANES:
        return [vector]
    lanes = b.bitcast(vector, ir.VectorType(I32, LANES))
    low = b.shl(lanes, ir.Constant(lanes.type, [16] * LANES))
    high = b.and_(lanes, ir.Constant(lanes.type, [-65536] * LANES))
    return [b.bitcast(low, layout.sums), b.bitcast(high, layout.sums)]


def widened(b: ir.IRBuilder, layout: Format, vector: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Widen the two words of int16 sums, in the halves of 32-bit lanes, to int32."""
    lanes = b.bitcast(vector, layout.sums)
    half = ir.Constant(layout.sums, [16] * LANES)
    return b.ashr(b.shl(lanes, half), half), b.ashr(lanes, half)


def chunk_end(b: ir.IRBuilder, at: ir.Value, last: ir.Value) -> ir.Value:
    """Find the end of the events whose rows of fixed-point weights may be added in int16."""
    limit = advance(b, at, FIXED_POINT_ROWS * EVENT_BYTES)
    return b.select(b.icmp_unsigned("<", limit, last), limit, last)
