"""The loops of the event engine, compiled once per weight format and cached on disk.

One call runs a sequence of neuron steps, each in two parts: event lists of every source; then,
tile by tile, the windows of a block of output channels and their neurons. Threads call the same
function on the same buffers and take tasks from shared counters; nothing here holds the
interpreter's lock.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from snnbench.core.numba_cache import njit
from snnbench.engine.kernels.vector.formats import EVENT_BYTES, LANES
from snnbench.engine.kernels.vector.memory import (
    fetch_add,
    give_way,
    load_u16,
    load_u32,
    pause,
    prefetch,
    store_u32,
)
from snnbench.engine.kernels.vector.rows import accumulate_row
from snnbench.engine.kernels.vector.spikes import append_events, expand_word, fire
from snnbench.engine.kernels.vector.windows import accumulate

_LINE_BYTES = 64
_WORD_BYTES = 2
_SPINS = 256

COUNTERS = 4
"""Shared by the threads of one step: tasks taken and finished."""
_NEXT_LIST, _LISTS_DONE, _NEXT_TILE, _TILES_DONE = (8 * i for i in range(COUNTERS))  # in bytes


@njit(nogil=True, cache=True)
def _build_list(p: Any, source: int, slot: int, out_height: int) -> None:
    """List a sample's events of a timestep by output row, input column, kernel row, channel."""
    begin = p.lists + slot * p.list_bytes
    at = begin
    height, width, words, column_bytes = p.height, p.width, p.block_words, p.column_bytes
    kernel_y, row_bytes, tap_bytes = p.kernel_y, p.row_bytes, p.tap_bytes
    column = p.columns + slot * out_height * (p.width + 1) * EVENT_BYTES
    site_bytes = p.words * _WORD_BYTES
    skips, pairs = p.stride_x > p.kernel_x, not p.by_row
    image = p.masks + source * p.height * p.width * site_bytes + p.first_word * _WORD_BYTES
    for row in range(out_height):
        top = row * p.stride_y - p.padding_y
        for x in range(width):
            store_u32(column, at - begin)
            column += EVENT_BYTES
            if skips and (x + p.padding_x) % p.stride_x >= p.kernel_x:
                continue  # between the windows
            start = at
            for ky in range(max(0, -top), min(kernel_y, height - top)):
                word = image + ((top + ky) * width + x) * site_bytes
                offset = x * column_bytes + ky * tap_bytes
                for w in range(0, words - 1, 2):
                    mask = load_u32(word + w * _WORD_BYTES)
                    at = append_events(mask, at, offset + w * LANES * row_bytes, row_bytes)
                if words & 1:
                    mask = np.uint32(load_u16(word + (words - 1) * _WORD_BYTES))
                    offset += (words - 1) * LANES * row_bytes
                    at = append_events(mask, at, offset, row_bytes)
            if (
                pairs and (at - start) & EVENT_BYTES
            ):  # windows take events in pairs: add the row of zeros
                store_u32(at, x * column_bytes + kernel_y * tap_bytes)
                at += EVENT_BYTES
        store_u32(column, at - begin)
        column += EVENT_BYTES


@njit(nogil=True, cache=True)
def _count_row(
    p: Any, events: int, columns: int, out_width: int, channels: int, counts: Any
) -> None:
    """Count the weight rows that an output row adds, times output channels: [executed, padding].

    Padding means rows of zeros, and in ``accumulate_row`` windows beyond the border.
    """
    zeros = p.kernel_y * p.tap_bytes
    for x in range(p.width):
        first = events + np.int64(load_u32(columns + x * EVENT_BYTES))
        last = events + np.int64(load_u32(columns + (x + 1) * EVENT_BYTES))
        for at in range(first, last, EVENT_BYTES):
            zero = np.int64(load_u32(at)) % p.column_bytes == zeros
            for kx in range(p.kernel_x):
                left = x + p.padding_x - kx
                window = left // p.stride_x
                inside = left % p.stride_x == 0 and 0 <= window < out_width
                if inside or p.by_row:
                    counts[np.int64(zero or not inside)] += channels


@njit(nogil=True, cache=True)
def _clip(value: int, low: int, high: int) -> int:
    return min(max(value, low), high)


@njit(nogil=True, cache=True)
def _accumulate_windows(
    witness: Any, p: Any, weights: int, events: int, columns: int, out_width: int,
    start: int, start_step: int, sums: int, sums_step: int,
) -> None:  # fmt: skip
    """Sum all windows of one output row, one after another, for any kernel and stride."""
    width, kernel_x, column_bytes = p.width, p.kernel_x, p.column_bytes
    stride, padding = p.stride_x, p.padding_x
    for x in range(out_width):
        left = x * stride - padding
        first = _clip(left, 0, width)
        last = _clip(left + kernel_x, first, width)
        begin = events + np.int64(load_u32(columns + first * EVENT_BYTES))
        end = events + np.int64(load_u32(columns + last * EVENT_BYTES))
        accumulate(witness, weights - left * column_bytes, begin, end, start, sums)
        start += start_step
        sums += sums_step


@njit(nogil=True, cache=True)
def _convolve(
    witness: Any, passes: Any, step: Any, sums: int, block: int, n: int, y0: int, y1: int,
    thread: int, counts: Any,
) -> None:  # fmt: skip
    """Sum one tile: rows [y0, y1) of one sample at all timesteps, one block of outputs."""
    channels = min(step.block_words * LANES, step.channels - block * step.block_words * LANES)
    block_bytes = step.block_words * step.word_bytes
    row_bytes = step.out_width * block_bytes
    rows = step.timesteps * (y1 - y0)
    for k in range(len(passes)):
        p = passes[k]
        weights = p.weights + block * p.weights_step
        ahead = weights + p.block_bytes
        stop = ahead + p.block_bytes if step.prefetch else ahead
        ahead_bytes = _LINE_BYTES * -(-p.block_bytes // (_LINE_BYTES * rows))
        start_step = block_bytes if k else 0
        for t in range(step.timesteps):
            slot = t * step.call_samples + n
            events = p.lists + slot * p.list_bytes
            for y in range(y0, y1):
                columns = p.columns + (slot * step.out_height + y) * (p.width + 1) * EVENT_BYTES
                total = sums + (t * step.tile_rows + y - y0) * row_bytes
                start = total if k else step.zeros
                if p.by_row:
                    accumulate_row(
                        witness, weights, p.column_bytes, events, columns, p.width, p.padding_x,
                        start, start_step, total, block_bytes,
                    )  # fmt: skip
                else:
                    _accumulate_windows(
                        witness, p, weights, events, columns, step.out_width,
                        start, start_step, total, block_bytes,
                    )  # fmt: skip
                if counts is not None:  # decided when numba compiles
                    own = counts[thread, step.first_pass + k]
                    _count_row(p, events, columns, step.out_width, channels, own)
                for line in range(ahead, min(ahead + ahead_bytes, stop), _LINE_BYTES):
                    prefetch(line)
                ahead += ahead_bytes


@njit(nogil=True, cache=True)
def _fire_tile(
    witness: Any, real: Any, step: Any, sums: int, block: int, n: int, y0: int, y1: int,
    decay: Any, threshold: Any, has_sums: bool,
) -> None:  # fmt: skip
    """Compute the spikes of one tile's neurons."""
    block_bytes = step.block_words * step.word_bytes
    sums_step = step.tile_rows * step.out_width * block_bytes
    sample = step.first_sample + n
    site_bytes = step.out_words * _WORD_BYTES
    sites = step.out_height * step.out_width
    out_step = step.samples * sites * site_bytes
    first_word = block * step.block_words
    words = min(step.block_words, step.out_words - first_word)
    for y in range(y0, y1):
        for x in range(step.out_width):
            site = y * step.out_width + x
            total = sums + ((y - y0) * step.out_width + x) * block_bytes
            for w in range(words):
                word = first_word + w
                fire(
                    witness,
                    real,
                    total + w * step.word_bytes if has_sums else step.zeros,
                    sums_step if has_sums else 0,
                    step.dense
                    + sample * step.dense_n
                    + site * step.dense_site
                    + word * step.dense_word,
                    step.dense_t,
                    step.mask
                    + sample * step.mask_n
                    + site * step.mask_site
                    + word * step.mask_word,
                    step.mask_t,
                    step.out + (sample * sites + site) * site_bytes + word * _WORD_BYTES,
                    out_step,
                    step.timesteps,
                    step.constants + word * step.constants_word,
                    decay,
                    threshold,
                )


@njit(nogil=True, cache=True)
def run_steps(
    witness: Any, real: Any, neurons: Any, passes: Any, steps: Any, counters: Any, thread: int,
    counts: Any,
) -> None:  # fmt: skip
    """Do one thread's share of neuron steps, each finished before the next begins.

    Args:
        witness: A number of the weights' type, see ``vector``.
        real: A number of the currents' type.
        neurons: [steps, 2] decay and threshold, of the currents' type.
        passes: [all passes] of ``PASS``; a step without any has dense currents only.
        steps: [steps] of ``STEP``.
        counters: [steps, COUNTERS] int64, zeros when the first thread starts.
        thread: Ordinal of this thread.
        counts: [threads, passes, 2] int64, to which an instrumented build of the same loops adds
            executed additions and those of padding rows; ``None`` builds without it.
    """
    for i in range(len(steps)):
        first = steps[i].first_pass
        own = passes[first : first + steps[i].passes]
        shared = counters[i].ctypes.data
        _build_lists(own, steps[i], shared)
        _run_tiles(
            witness, real, neurons[i, 0], neurons[i, 1], own, steps[i], shared, thread, counts
        )


@njit(nogil=True, cache=True)
def _build_lists(passes: Any, step: Any, counters: int) -> None:
    """Take lists to build until all threads together have built them all."""
    slots = step.timesteps * step.call_samples
    lists = len(passes) * slots
    task = fetch_add(counters + _NEXT_LIST, 1)
    while task < lists:
        slot = task % slots
        t, n = slot // step.call_samples, slot % step.call_samples
        source = t * step.samples + step.first_sample + n
        _build_list(passes[task // slots], source, slot, step.out_height)
        fetch_add(counters + _LISTS_DONE, 1)
        task = fetch_add(counters + _NEXT_LIST, 1)
    _wait(counters + _LISTS_DONE, lists)


@njit(nogil=True, cache=True)
def _run_tiles(
    witness: Any, real: Any, decay: Any, threshold: Any, passes: Any, step: Any, counters: int,
    thread: int, counts: Any,
) -> None:  # fmt: skip
    """Take tiles until all threads together have finished them all."""
    row_tiles = -(-step.out_height // step.tile_rows)
    tiles = step.call_samples * row_tiles
    sums = step.sums + thread * step.sums_bytes
    task = fetch_add(counters + _NEXT_TILE, 1)
    while task < step.blocks * tiles:
        block, tile = task // tiles, task % tiles
        n, y0 = tile // row_tiles, tile % row_tiles * step.tile_rows
        y1 = min(y0 + step.tile_rows, step.out_height)
        _convolve(witness, passes, step, sums, block, n, y0, y1, thread, counts)
        _fire_tile(witness, real, step, sums, block, n, y0, y1, decay, threshold, len(passes) > 0)
        fetch_add(counters + _TILES_DONE, 1)
        task = fetch_add(counters + _NEXT_TILE, 1)
    _wait(counters + _TILES_DONE, step.blocks * tiles)


@njit(nogil=True, cache=True)
def _wait(counter: int, total: int) -> None:
    """Spin until other threads have finished the tasks they took, which are short."""
    spins = 0
    while fetch_add(counter, 0) < total:
        pause()
        spins += 1
        if spins % _SPINS == 0:  # it may be waiting for this very processor
            give_way()


@njit(nogil=True, cache=True)
def unpack_words(real: Any, masks: Any, out: Any) -> None:
    """Expand flat words of spikes, [words] uint16, to numbers, [words * 16]."""
    address = out.ctypes.data
    for i in range(masks.size):
        expand_word(real, masks[i], address + i * LANES * out.itemsize)
