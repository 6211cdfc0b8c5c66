"""Faster training on a CPU: several layers and all timesteps as one operation.

optimise   a network's faster view
fused      tdBN and LIF over all T as one operation
kernels    its loops
sync       tdBN over processes
"""
