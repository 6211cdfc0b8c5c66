"""Unit factors. The only file in which a power of ten stands for a unit."""

PJ_PER_J = 1e12
MJ_PER_PJ = 1e-9
"""Millijoules in one picojoule."""
MS_PER_S = 1e3
BYTES_PER_MIB = 2**20
