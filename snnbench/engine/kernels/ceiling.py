"""Additions per second that this machine's loads allow: the ceiling for event kernels."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from snnbench.core.numba_cache import njit

METHOD = (
    "fastest of 20 sums of 24 KiB of float32 in the first-level cache on one thread, "
    "vectorised by LLVM"
)
_NUMBERS = 24 * 256
_REPEATS = 500
_TRIALS = 20
_SHIFTS = 8
_LANES = 16


def measure_adds_per_s() -> float:
    """Measure float32 additions per second on one thread, operands in the first-level cache."""
    line = np.zeros(_NUMBERS + (_SHIFTS + 1) * _LANES, np.float32)
    skip = -line.ctypes.data // line.itemsize % _LANES  # begin on a cache line
    numbers = line[skip:]
    _sums(numbers, 1)
    fastest = float("inf")
    for _ in range(_TRIALS):
        start = time.perf_counter()
        _sums(numbers, _REPEATS)
        fastest = min(fastest, time.perf_counter() - start)
    return _NUMBERS * _REPEATS / fastest


@njit(fastmath=True, nogil=True, cache=True)
def _sums(numbers: NDArray[np.float32], repeats: int) -> float:
    total = np.float32(0)
    for repeat in range(repeats):
        first = repeat % _SHIFTS * _LANES  # a different sum every time, or LLVM reuses the last
        part = np.float32(0)
        for i in range(_NUMBERS):
            part += numbers[first + i]
        total += part
    return float(total)
