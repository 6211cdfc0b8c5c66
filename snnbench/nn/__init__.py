"""Spiking networks, and networks made of networks.

functional   LIF step, surrogate gradient
neuron       Neuron, the base of all neurons; LIF, IF
neuron_spec  their dynamics, by which kernels are chosen
norm         tdBN and its calibration
layout       where time and samples stand in an input
blocks       residual blocks, PerTimestep
twin         the ANN twin, and the check of its structure
fold         folding of batch norm, and what it changed
meters       hooks in a with block: spikes, firing rates, densities
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
