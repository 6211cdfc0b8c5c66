"""Benchmarks: what they are, who provides them, with which weights."""
