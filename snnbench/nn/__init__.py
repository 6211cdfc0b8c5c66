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

from typing import TYPE_CHECKING

from snnbench.core.lazy import lazy

if TYPE_CHECKING:
    from snnbench.nn.blocks import BlockKind as BlockKind
    from snnbench.nn.blocks import PerTimestep as PerTimestep
    from snnbench.nn.blocks import Shortcut as Shortcut
    from snnbench.nn.blocks import SpikingBlock as SpikingBlock
    from snnbench.nn.blocks import conv_norm as conv_norm
    from snnbench.nn.blocks import output_channels as output_channels
    from snnbench.nn.fold import fold_batch_norm as fold_batch_norm
    from snnbench.nn.functional import spike as spike
    from snnbench.nn.neuron import IF as IF
    from snnbench.nn.neuron import LIF as LIF
    from snnbench.nn.neuron import Neuron as Neuron
    from snnbench.nn.neuron_spec import NeuronSpec as NeuronSpec
    from snnbench.nn.twin import ann_twin as ann_twin
else:
    __getattr__, __dir__, __all__ = lazy(
        __name__,
        blocks="BlockKind PerTimestep Shortcut SpikingBlock conv_norm output_channels",
        fold="fold_batch_norm",
        functional="spike",
        neuron="IF LIF Neuron",
        neuron_spec="NeuronSpec",
        twin="ann_twin",
    )
