from .blocks import (
    BlockKind as BlockKind,
    PerTimestep as PerTimestep,
    Shortcut as Shortcut,
    SpikingBlock as SpikingBlock,
    conv_norm as conv_norm,
    output_channels as output_channels,
)
from .fold import fold_batch_norm as fold_batch_norm
from .functional import spike as spike
from .neuron import IF as IF, LIF as LIF, Neuron as Neuron
from .neuron_spec import NeuronSpec as NeuronSpec
from .twin import ann_twin as ann_twin
