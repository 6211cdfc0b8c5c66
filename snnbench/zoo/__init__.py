"""Benchmarks: their cards, their providers and their weights.

card           benchmark cards, in TOML
registry       benchmarks by name, from entry points
weight_files   safe reading and writing of weights, and hashes
shipped        weights shipped with a benchmark
networks       building a benchmark's network or its ANN twin
choice         choice of a network: by arguments, else by its weights, else by the card
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
