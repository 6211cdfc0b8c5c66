"""Event lists from bit masks, bit masks from currents, and numbers from bit masks."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from snnbench.engine.kernels.vector.emit import advance, call_named, load, splat, store, zeros
from snnbench.engine.kernels.vector.formats import (
    EVENT_BYTES,
    FORMATS,
    HAS_COMPRESS,
    I1,
    I16,
    I32,
    I64,
    LANES,
    size_of,
)


@intrinsic(prefer_literal=False)
def append_events(_typing, mask, at, offset, row_bytes):  # type: ignore[no-untyped-def]
    """Write ``offset + channel * row_bytes`` for each set bit of two words; return the end."""
    signature = types.int64(types.uint32, *(types.int64,) * 3)

    def codegen(_context: Any, b: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        mask, at, offset, row_bytes = args
        emit = _append_compressed if HAS_COMPRESS else _append_one_by_one
        return emit(b, mask, at, b.trunc(offset, I32), b.trunc(row_bytes, I32))

    return signature, codegen


def _append_compressed(
    b: ir.IRBuilder, mask: ir.Value, at: ir.Value, offset: ir.Value, row_bytes: ir.Value
) -> ir.Value:
    kind = ir.VectorType(I32, LANES)
    undefined = ir.Constant(kind, ir.Undefined)
    step = splat(b, row_bytes, LANES)
    first = splat(b, offset, LANES)
    low = b.trunc(mask, I16)
    for word, bits in enumerate((low, b.trunc(b.lshr(mask, I32(LANES)), I16))):
        channels = ir.Constant(kind, list(range(word * LANES, (word + 1) * LANES)))
        rows = b.add(first, b.mul(channels, step))
        lanes = b.bitcast(bits, ir.VectorType(I1, LANES))
        name = f"llvm.experimental.vector.compress.v{LANES}i32"
        end = b.add(at, _bytes_of(b, low)) if word else at
        store(b, call_named(b, name, kind, [rows, lanes, undefined]), end, EVENT_BYTES)
    return b.add(at, _bytes_of(b, mask))


def _bytes_of(b: ir.IRBuilder, mask: ir.Value) -> ir.Value:
    """Compute the size of a mask's events."""
    count = call_named(b, f"llvm.ctpop.i{mask.type.width}", mask.type, [mask])
    return b.mul(b.zext(count, I64), I64(EVENT_BYTES))


def _append_one_by_one(
    b: ir.IRBuilder, mask: ir.Value, at: ir.Value, offset: ir.Value, row_bytes: ir.Value
) -> ir.Value:
    left = cgutils.alloca_once_value(b, mask)
    cursor = cgutils.alloca_once_value(b, at)
    check, body, done = (b.append_basic_block(n) for n in ("bits", "bits.body", "bits.done"))
    b.branch(check)
    b.position_at_end(check)
    bits = b.load(left)
    b.cbranch(b.icmp_unsigned("!=", bits, I32(0)), body, done)
    b.position_at_end(body)
    channel = call_named(b, "llvm.cttz.i32", I32, [bits, I1(1)])
    store(b, b.add(offset, b.mul(channel, row_bytes)), b.load(cursor), EVENT_BYTES)
    b.store(advance(b, b.load(cursor), EVENT_BYTES), cursor)
    b.store(b.and_(bits, b.sub(bits, I32(1))), left)
    b.branch(check)
    b.position_at_end(done)
    return b.load(cursor)


@intrinsic(prefer_literal=False)
def fire(  # type: ignore[no-untyped-def]
    _typing, witness, real, sums, sums_step, dense, dense_step, mask, mask_step, out, out_step,
    steps, constants, decay, threshold,
):  # fmt: skip
    """Run one word of neurons over all timesteps (ZH21 eq. 1-3): currents in, spike masks out.

    ``u = sums * step_size + bias + dense + scale where mask, + decay * v``; a neuron fires where
    ``u > threshold`` and is then reset to zero. Every pair of arguments is the address at the
    first timestep and the bytes to the next.

    Args:
        witness: Format of the sums; only int16's fixed-point sums use the step size.
        real: Witness of the type of currents and potentials: float32 or float64.
        constants: Address of [3, 16]: bias, scale of masked spikes, step size of fixed point.
    """
    layout = FORMATS[witness]
    value = FORMATS[real].total
    signature = types.void(witness, real, *(types.int64,) * 10, real, real)

    def codegen(context: Any, b: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        (_, _, *addresses, steps, constants, decay, threshold) = args
        sums, sums_step, dense, dense_step, mask, mask_step, out, out_step = addresses
        kind = ir.VectorType(value, LANES)
        size = LANES * size_of(value)
        bias, scale, step_size = (
            load(b, advance(b, constants, i * size), kind, 64) for i in range(3)
        )
        decays, thresholds = splat(b, decay, LANES), splat(b, threshold, LANES)
        potential = cgutils.alloca_once_value(b, zeros(kind))
        with cgutils.for_range(b, steps) as loop:
            t = loop.index
            x = load(b, b.add(sums, b.mul(t, sums_step)), layout.sums, 64)
            if witness == types.int16:
                x = b.fmul(b.sitofp(x, kind), step_size)
            x = b.fadd(x, bias)
            x = b.fadd(x, load(b, b.add(dense, b.mul(t, dense_step)), kind, size_of(value)))
            bits = load(b, b.add(mask, b.mul(t, mask_step)), I16, 2)
            masked = b.bitcast(bits, ir.VectorType(I1, LANES))
            x = b.fadd(x, b.select(masked, scale, zeros(kind)))
            suffix = f"v{LANES}f{8 * size_of(value)}"
            u = call_named(b, f"llvm.fma.{suffix}", kind, [decays, b.load(potential), x])
            fired = b.fcmp_ordered(">", u, thresholds)
            store(b, b.bitcast(fired, I16), b.add(out, b.mul(t, out_step)), 2)
            b.store(b.select(fired, zeros(kind), u), potential)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic(prefer_literal=False)
def expand_word(_typing, real, mask, out):  # type: ignore[no-untyped-def]
    """Write a word's sixteen spikes as 0.0 and 1.0 at address ``out``."""
    signature = types.void(real, types.uint16, types.int64)

    def codegen(context: Any, b: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        _, mask, out = args
        kind = ir.VectorType(FORMATS[real].total, LANES)
        bits = b.bitcast(mask, ir.VectorType(I1, LANES))
        ones = ir.Constant(kind, [1.0] * LANES)
        store(b, b.select(bits, ones, zeros(kind)), out, size_of(kind.element))
        return context.get_dummy_value()

    return signature, codegen
