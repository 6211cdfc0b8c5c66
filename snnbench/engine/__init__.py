"""Event-driven inference: a network compiled to few typed steps, its spikes as bit masks.

runtime       snnbench.compile, EventModel
neurons       which dynamics of neurons kernels know
plan          values and steps: the intermediate representation
choose        event or dense, timed step by step
program       a plan made ready to run
execute       ways to run a step
store         values of one call, as masks or tensors
synapses      how many additions spikes cause
explain       the plan for people
layer_latency one layer at a chosen firing rate, event against dense
lowering/     from a module to a plan; nothing else here knows PyTorch's modules
kernels/      compiled loops; nothing else here knows addresses
dense/        the dense baseline, and dense steps
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
