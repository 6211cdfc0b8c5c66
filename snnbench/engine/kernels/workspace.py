"""Scratch memory of a compiled network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from snnbench.engine.kernels.pack import aligned

_ZEROS_BYTES = 1024
_BYTES = np.dtype(np.uint8)


class Workspace:
    """Scratch memory that the steps of one model share, since they run one after another."""

    def __init__(self) -> None:
        self._buffers: dict[str, NDArray[np.generic]] = {}
        self._zeros = aligned(_ZEROS_BYTES, _BYTES)
        self._zeros[:] = 0
        self.version = 0

    def zeros(self) -> int:
        """Return the address of zeros, read in place of absent currents."""
        return int(self._zeros.ctypes.data)

    def address(self, name: str, size_bytes: int) -> int:
        """Return the address of a buffer of at least this size, on a cache line.

        A larger size than before moves the buffer and raises ``version``.
        """
        buffer = self._buffers.get(name)
        if buffer is None or buffer.nbytes < size_bytes:
            buffer = self._buffers[name] = aligned(size_bytes, _BYTES)
            self.version += 1
        return int(buffer.ctypes.data)
