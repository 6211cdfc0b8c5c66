"""Loops of tdBN and LIF over all timesteps, forward and backward, compiled and cached on disk.

Tensors are rows of C channels: [T, M], M = N*H*W*C, the channel fastest; [1, M] if equal at every
timestep. A tile is a stretch of whole rows that stays in the first-level cache; what is per channel
is repeated to its length. bfloat16 comes as its bits, and is computed in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from snnbench.core.numba_cache import njit

Elements = NDArray[Any]
Reals = NDArray[np.floating[Any]]
Sums = NDArray[np.float64]

_BITS = ir.IntType(32)
_COMPILED: dict[str, Any] = {"fastmath": {"contract"}, "nogil": True, "cache": True}


@intrinsic  # type: ignore[untyped-decorator]
def _real(_context: Any, element: Any) -> Any:
    """The value of an element."""
    if isinstance(element, types.Float):
        return element(element), lambda _c, _b, _signature, args: args[0]

    def widen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        bits = builder.shl(builder.zext(args[0], _BITS), _BITS(16))
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(element), widen


@intrinsic  # type: ignore[untyped-decorator]
def _element(_context: Any, value: Any, array: Any) -> Any:
    """A value as an element of an array: for bfloat16 the nearest, ties to even."""
    if isinstance(array.dtype, types.Float):
        return value(value, array), lambda _c, _b, _signature, args: args[0]

    def narrow(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        bits = builder.bitcast(args[0], _BITS)
        half = builder.add(_BITS(0x7FFF), builder.and_(builder.lshr(bits, _BITS(16)), _BITS(1)))
        rounded = builder.lshr(builder.add(bits, half), _BITS(16))
        is_nan = builder.fcmp_unordered("uno", args[0], args[0])
        return builder.trunc(builder.select(is_nan, _BITS(0x7FC0), rounded), ir.IntType(16))

    return array.dtype(value, array), narrow


@njit(**_COMPILED)
def _share(size: int, tile: int, thread: int, threads: int) -> tuple[int, int]:
    """Range of elements of one thread: whole tiles, equally many for each."""
    tiles = (size + tile - 1) // tile
    return tiles * thread // threads * tile, min(size, tiles * (thread + 1) // threads * tile)


@njit(**_COMPILED)
def moments(x: Elements, sums: Sums, thread: int, threads: int) -> None:
    """Sums and sums of squares of [T, M], into this thread's share of [threads, 2, tile]."""
    tile = sums.shape[2]
    first, last = _share(x.shape[1], tile, thread, threads)
    own = sums[thread]
    for start in range(first, last, tile):
        n = min(tile, last - start)
        for t in range(x.shape[0]):
            _add_moments(x[t, start : start + n], own[0], own[1])


@njit(**_COMPILED)
def _add_moments(x: Elements, total: Sums, squares: Sums) -> None:
    for i in range(x.size):
        value = np.float64(_real(x[i]))
        total[i] += value
        squares[i] += value * value


@njit(**_COMPILED)
def _current(x: Elements, scale: Reals, shift: Reals, y: Reals) -> None:
    for i in range(y.size):
        y[i] = _real(x[i]) * scale[i] + shift[i]


@njit(**_COMPILED)
def _add_current(x: Elements, scale: Reals, shift: Reals, y: Reals) -> None:
    for i in range(y.size):
        y[i] += _real(x[i]) * scale[i] + shift[i]


@njit(**_COMPILED)
def _integrate(u: Reals, v: Reals, decay: float, threshold: float) -> None:
    """Turn currents ``u`` into potentials in place; ``v`` becomes the potentials after reset."""
    one, zero = u.dtype.type(1), u.dtype.type(0)
    for i in range(u.size):
        u[i] += decay * v[i]
        # as the plain neuron computes it: an infinite potential leaves NaN, not 0
        v[i] = u[i] - u[i] * (one if u[i] > threshold else zero)


@njit(**_COMPILED)
def _fire(u: Reals, threshold: float, spikes: Elements) -> None:
    one, zero = u.dtype.type(1), u.dtype.type(0)
    for i in range(u.size):
        spikes[i] = _element(one if u[i] > threshold else zero, spikes)


@njit(**_COMPILED)
def _potential(
    x: Elements,
    other: Elements,
    affine: Reals,
    neuron: Reals,
    t: int,
    start: int,
    u: Reals,
    v: Reals,
) -> None:
    """Potentials ``u`` of one timestep of a tile; ``v`` is left by the timestep before."""
    n = u.size
    here = 0 if x.shape[0] == 1 else t
    _current(x[here, start : start + n], affine[0], affine[1], u)
    if other.shape[0] > 0:
        _add_current(other[t, start : start + n], affine[2], affine[3], u)
    _integrate(u, v, neuron[0], neuron[1])


@njit(**_COMPILED)
def forward(
    x: Elements,
    other: Elements,
    affine: Reals,
    neuron: Reals,
    spikes: Elements,
    thread: int,
    threads: int,
) -> None:
    """Spikes of ``scale * x + shift``, plus the same of a second branch.

    Args:
        x: [T, M], or [1, M] for the same at every timestep.
        other: The second branch, [T, M]; [0, 0] without.
        affine: Scale and shift of the first, then of the second branch, [4, tile].
        neuron: Decay, threshold, width of the surrogate's window.
        spikes: Written, [T, M].
        thread: Number of this thread among those that share the call.
        threads: How many they are.
    """
    tile = affine.shape[1]
    first, last = _share(spikes.shape[1], tile, thread, threads)
    u, v = np.empty(tile, affine.dtype), np.empty(tile, affine.dtype)
    for start in range(first, last, tile):
        n = min(tile, last - start)
        v[:] = 0
        for t in range(spikes.shape[0]):
            _potential(x, other, affine, neuron, t, start, u[:n], v[:n])
            _fire(u[:n], neuron[1], spikes[t, start : start + n])


@njit(**_COMPILED)
def _through_neuron(
    x: Elements,
    other: Elements,
    affine: Reals,
    neuron: Reals,
    grad: Elements,
    start: int,
    u: Reals,
    v: Reals,
) -> None:
    """Gradients of a tile's currents, written to ``u`` (ZH21 eq. 14-16)."""
    T, n = len(u), v.size
    v[:] = 0
    for t in range(T):
        _potential(x, other, affine, neuron, t, start, u[t, :n], v)
    v[:] = 0  # from here on the gradient of what the reset leaves
    for t in range(T - 1, -1, -1):
        _back(u[t, :n], grad[t, start : start + n], v, neuron[0], neuron[1], neuron[2])


@njit(**_COMPILED)
def _back(u: Reals, grad: Elements, v: Reals, decay: float, threshold: float, width: float) -> None:
    one, zero = u.dtype.type(1), u.dtype.type(0)
    half, slope = width / u.dtype.type(2), one / width
    for i in range(u.size):
        potential = u[i]
        kept = zero if potential > threshold else one
        window = slope if abs(potential - threshold) < half else zero
        # the spike leaves the layer, and resets the potential
        current = (_real(grad[i]) - v[i] * potential) * window + v[i] * kept
        u[i] = current
        v[i] = decay * current


@njit(**_COMPILED)
def backward(
    x: Elements,
    other: Elements,
    affine: Reals,
    neuron: Reals,
    grad: Elements,
    centre: Reals,
    current_grad: Elements,
    sums: Sums,
    thread: int,
    threads: int,
) -> None:
    """Gradients of the currents, and their sums, alone and times each branch's centred input.

    ``x`` to ``neuron`` and the threads are as in ``forward``. ``grad`` is that of the spikes,
    [T, M], and ``centre`` the mean of each branch, [2, tile]. Written are ``current_grad``, shaped
    like ``x`` (if that is [1, M], the sum over time), and ``sums``, [threads, 3, tile].
    """
    tile, T = affine.shape[1], grad.shape[0]
    first, last = _share(grad.shape[1], tile, thread, threads)
    u, v = np.empty((T, tile), affine.dtype), np.empty(tile, affine.dtype)
    own = sums[thread]
    for start in range(first, last, tile):
        n = min(tile, last - start)
        end = start + n
        _through_neuron(x, other, affine, neuron, grad, start, u, v[:n])
        if x.shape[0] == 1:
            for t in range(1, T):
                _add(u[0, :n], u[t, :n])
        for t in range(x.shape[0]):
            _add_products(u[t, :n], x[t, start:end], centre[0], own[0], own[1])
            _store(u[t, :n], current_grad[t, start:end])
        for t in range(other.shape[0]):
            _add_other(u[t, :n], other[t, start:end], centre[1], own[2])


@njit(**_COMPILED)
def _add(u: Reals, other: Reals) -> None:
    for i in range(u.size):
        u[i] += other[i]


@njit(**_COMPILED)
def _store(u: Reals, out: Elements) -> None:
    for i in range(u.size):
        out[i] = _element(u[i], out)


@njit(**_COMPILED)
def _add_products(gradient: Reals, x: Elements, centre: Reals, total: Sums, products: Sums) -> None:
    for i in range(gradient.size):
        total[i] += np.float64(gradient[i])
        products[i] += np.float64(gradient[i] * (_real(x[i]) - centre[i]))


@njit(**_COMPILED)
def _add_other(gradient: Reals, x: Elements, centre: Reals, products: Sums) -> None:
    for i in range(gradient.size):
        products[i] += np.float64(gradient[i] * (_real(x[i]) - centre[i]))


@njit(**_COMPILED)
def through_norms(
    x: Elements,
    other: Elements,
    linear: Reals,
    x_grad: Elements,
    other_grad: Elements,
    thread: int,
    threads: int,
) -> None:
    """Gradients of both inputs, ``p * (gradient of the current) + q * input + r``.

    ``x``, ``other`` and the threads are as in ``forward``. ``linear`` holds p, q, r of the first,
    then of the second branch, [6, tile]. ``x_grad`` comes as ``current_grad`` of ``backward``, and
    is overwritten; ``other_grad`` is written, shaped like ``other``.
    """
    tile = linear.shape[1]
    first, last = _share(x.shape[1], tile, thread, threads)
    for start in range(first, last, tile):
        end = min(start + tile, last)
        for t in range(other.shape[0]):
            current_grad, into = x_grad[t, start:end], other_grad[t, start:end]
            _combine(current_grad, other[t, start:end], linear[3], linear[4], linear[5], into)
        for t in range(x.shape[0]):
            into = x_grad[t, start:end]
            _combine_in_place(into, x[t, start:end], linear[0], linear[1], linear[2])


@njit(**_COMPILED)
def _combine(gradient: Elements, x: Elements, p: Reals, q: Reals, r: Reals, out: Elements) -> None:
    for i in range(gradient.size):
        out[i] = _element(p[i] * _real(gradient[i]) + q[i] * _real(x[i]) + r[i], out)


@njit(**_COMPILED)
def _combine_in_place(gradient: Elements, x: Elements, p: Reals, q: Reals, r: Reals) -> None:
    # one name for what is read and written, or LLVM would not vectorise
    for i in range(gradient.size):
        gradient[i] = _element(p[i] * _real(gradient[i]) + q[i] * _real(x[i]) + r[i], gradient)
