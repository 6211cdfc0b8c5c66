"""Compiled kernels and their arguments; everything that knows addresses."""
