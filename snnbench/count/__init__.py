"""Exact operations and spikes of any PyTorch network.

profiler        snnbench.profile: adds hooks, removes them, gives the result
audit           the dispatch mode that sees and classifies every operation
rules           the register of operations that have a rule or are free
synapse_rules   convolutions, products, attention, LSTM
side_rules      norms, additions, pools
attribution     the row of each operation
weights_map     tensors that are weights
neurons         modules that are neurons
masks           non-zero elements of tensors, and their values
fanout          synapses per input position
clock           timestep and sample of each slice of a batch
ledger          the running sums
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
