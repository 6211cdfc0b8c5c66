"""Event-driven inference: a network compiled to few typed steps, its spikes as bit masks.

runtime       snnbench.compile, EventModel
neurons       dynamics of neurons that kernels compute
plan          values and steps: the intermediate representation
choose        event or dense execution, timed step by step
program       a plan made ready to run
execute       executables of steps, by events or dense
store         values of one call, as masks or tensors
synapses      additions that spikes cause
explain       the plan as a printed table
layer_latency latency of one layer at a chosen firing rate, event against dense
lowering/     from a module to a plan; only these files know PyTorch's modules
kernels/      compiled loops; only these files know addresses
dense/        the dense baseline, and dense steps
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
