"""Formats of stored weights, and the processor's features that kernels use."""

from __future__ import annotations

from dataclasses import dataclass

from llvmlite import ir
from numba import types
from numba.core import config
from numba.core.codegen import get_host_cpu_features

LANES = 16
"""Channels in one word of a spike mask."""
EVENT_BYTES = 4
FIXED_POINT_LIMIT = 2047
"""Largest magnitude of an int16 weight: sixteen of them add up without overflow."""
FIXED_POINT_ROWS = 16

I1, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 16, 32, 64))
FLOAT, DOUBLE = ir.FloatType(), ir.DoubleType()

_FEATURES = get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES
HAS_COMPRESS = "+avx512f" in _FEATURES.split(",")
"""Whether the code that numba makes may use vectors of 64 bytes and compressing stores."""


@dataclass(frozen=True, slots=True)
class Format:
    """Format of one row of weights: one input channel and kernel tap, a block of outputs.

    Attributes:
        element: Type of a weight.
        lanes: Weights in one vector.
        vectors: Vectors in a row.
        total: Type of a sum.
    """

    element: ir.Type
    lanes: int
    vectors: int
    total: ir.Type

    @property
    def channels(self) -> int:
        """Output channels in a row."""
        return self.lanes * self.vectors

    @property
    def vector(self) -> ir.VectorType:
        """Type of one load."""
        return ir.VectorType(self.element, self.lanes)

    @property
    def sums(self) -> ir.VectorType:
        """Type of the sums of one word of channels."""
        return ir.VectorType(self.total, LANES)

    @property
    def vector_bytes(self) -> int:
        """Size of one load."""
        return self.lanes * size_of(self.element)


FORMATS = {
    types.float32: Format(FLOAT, 16, 2, FLOAT),
    types.float64: Format(DOUBLE, 16, 2, DOUBLE),
    types.int16: Format(I16, 32, 2, I32),
    types.uint16: Format(I16, 32, 2, FLOAT),
}


def size_of(element: ir.Type) -> int:
    """Return the bytes of one element."""
    return {FLOAT: 4, DOUBLE: 8, I16: 2, I32: 4}[element]
