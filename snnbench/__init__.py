"""snnbench: energy and sparsity profiler and benchmark suite for spiking neural networks.

The public names load on first use, so importing snnbench is quick and torch-free.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
