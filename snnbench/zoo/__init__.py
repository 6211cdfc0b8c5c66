"""Benchmarks: what they are, who provides them, with which weights.

card           benchmark cards: TOML, validated
registry       benchmarks by name, from entry points
weight_files   safe reading and writing of weights, hashes
shipped        weights that come with a benchmark
networks       a benchmark's network or its ANN twin: the one builder
choice         which network is meant: asked, else the weights', else the card's
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
