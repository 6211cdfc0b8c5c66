"""Benchmark cards: TOML data, one file per network."""
