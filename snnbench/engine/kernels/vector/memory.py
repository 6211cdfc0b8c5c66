"""Single numbers by address, prefetching, and what threads need to share tasks."""

from __future__ import annotations

import os
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from snnbench.engine.kernels.vector.emit import call_named, load, store
from snnbench.engine.kernels.vector.formats import EVENT_BYTES, I16, I32, I64


def _loader(kind: types.Integer, ir_kind: ir.Type) -> Any:
    def reader(_typing: Any, address: Any) -> Any:
        def codegen(_context: Any, b: ir.IRBuilder, _signature: Any, args: Any) -> Any:
            return load(b, args[0], ir_kind, 2)

        return kind(types.int64), codegen

    return reader


load_u16 = intrinsic(_loader(types.uint16, I16))
load_u32 = intrinsic(_loader(types.uint32, I32))


@intrinsic(prefer_literal=False)
def store_u32(_typing, address, value):  # type: ignore[no-untyped-def]
    """Write 32 bits at an address."""

    def codegen(context: Any, b: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        store(b, b.trunc(args[1], I32), args[0], EVENT_BYTES)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic(prefer_literal=False)
def prefetch(_typing, address):  # type: ignore[no-untyped-def]
    """Ask for the cache line at an address, into the second level."""

    def codegen(context: Any, b: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        pointer = b.inttoptr(args[0], ir.IntType(8).as_pointer())
        arguments = [pointer, I32(0), I32(2), I32(1)]  # read, second level, data
        call_named(b, "llvm.prefetch.p0", ir.VoidType(), arguments)
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@intrinsic(prefer_literal=False)
def fetch_add(_typing, address, count):  # type: ignore[no-untyped-def]
    """Atomically add to the int64 at an address; return its earlier value."""

    def codegen(_context: Any, b: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        pointer = b.inttoptr(args[0], I64.as_pointer())
        return b.atomic_rmw("add", pointer, args[1], "seq_cst")

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def pause(_typing):  # type: ignore[no-untyped-def]
    """Tell the processor that this is a spin loop."""

    def codegen(context: Any, b: ir.IRBuilder, _signature: Any, _args: Any) -> Any:
        if llvm.get_process_triple().startswith(("x86_64", "i686")):
            call_named(b, "llvm.x86.sse2.pause", ir.VoidType(), [])
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def give_way(_typing):  # type: ignore[no-untyped-def]
    """Let another thread have the processor, where the system has POSIX's call for that."""

    def codegen(context: Any, b: ir.IRBuilder, _signature: Any, _args: Any) -> Any:
        if os.name == "posix":
            call_named(b, "sched_yield", I32, [])
        return context.get_dummy_value()

    return types.void(), codegen
