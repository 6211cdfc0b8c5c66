"""Spiking networks, and networks made of networks.

functional   LIF step, surrogate gradient
neuron       Neuron, the base of all neurons; LIF, IF
neuron_spec  dynamics of neurons, by which kernels are chosen
norm         tdBN and its calibration
layout       axes of time and samples in an input
blocks       residual blocks, PerTimestep
twin         the ANN twin, and the check of its structure
fold         folding of batch norm, and the change that it makes
meters       hooks in a with block: spikes, firing rates, densities
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
