"""Exact operations and spikes of any PyTorch network.

profiler        snnbench.profile: hooks in, hooks out, the result
audit           the dispatch mode: sees every operation and judges it
rules           the register: what is counted by a rule, and what is free
synapse_rules   convolutions, products, attention, LSTM
side_rules      norms, additions, pools
attribution     which row an operation belongs to
weights_map     which tensors are weights
neurons         which modules are neurons
masks           which elements are non-zero, which values they take
fanout          synapses per input position
clock           which slice is which timestep and sample
ledger          the running sums
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
