"""Benchmarks: what they are, who provides them, with which weights.

card           benchmark cards: TOML, validated
registry       benchmarks by name, from entry points
weight_files   safe reading and writing of weights, hashes
shipped        weights that come with a benchmark
networks       a benchmark's network or its ANN twin: the one builder
choice         which network is meant: asked, else the weights', else the card's
"""

from typing import TYPE_CHECKING

from snnbench.core.lazy import lazy

if TYPE_CHECKING:
    from snnbench.zoo.card import Card as Card
    from snnbench.zoo.networks import neurons_of as neurons_of
    from snnbench.zoo.registry import Benchmark as Benchmark
    from snnbench.zoo.registry import get as get
    from snnbench.zoo.registry import names as names
else:
    __getattr__, __dir__, __all__ = lazy(
        __name__, card="Card", networks="neurons_of", registry="Benchmark get names"
    )
