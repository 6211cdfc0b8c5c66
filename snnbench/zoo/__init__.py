"""Benchmarks: what they are, who provides them, with which weights.

card           benchmark cards: TOML, validated
registry       benchmarks by name, from entry points
weight_files   safe reading and writing of weights, hashes
shipped        weights that come with a benchmark
networks       a benchmark's network with its weights
"""

from typing import TYPE_CHECKING

from snnbench.core.lazy import lazy

if TYPE_CHECKING:
    from snnbench.zoo.card import ArchitectureSpec as ArchitectureSpec
    from snnbench.zoo.card import Card as Card
    from snnbench.zoo.registry import Benchmark as Benchmark
    from snnbench.zoo.registry import get as get
    from snnbench.zoo.registry import names as names
else:
    __getattr__, __dir__, __all__ = lazy(
        __name__, card="ArchitectureSpec Card", registry="Benchmark get names"
    )
