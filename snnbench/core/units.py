"""Unit factors. The only file in which a power of ten stands for a unit."""

MS_PER_S = 1e3
PJ_PER = {"pJ": 1.0, "nJ": 1e3, "µJ": 1e6, "mJ": 1e9, "J": 1e12}
"""Picojoules in each unit estimates are shown in."""
SI_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
