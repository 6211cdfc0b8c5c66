"""Vector instructions that numba's loops cannot express, emitted as LLVM IR.

Plain numba loops leave the accumulators in memory. These intrinsics keep them in registers, write
event lists with compressing stores where the processor has them, and work on addresses (int64),
since the kernels walk several buffers of different element types at once. LLVM splits the vectors
on processors with narrower registers, so nothing here depends on one instruction set.

The type of a *witness* argument selects the weight format: float32, float64, int16 (fixed point)
or uint16 (the bits of bfloat16).

formats   formats of weights
windows   sums by window
rows      sums by row
spikes    lists of events, neurons
memory    loads, stores, counters
emit      small pieces of LLVM IR, loaded weights as words
"""
