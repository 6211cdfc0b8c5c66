"""Faster training on a CPU: several layers and all timesteps as one operation.

optimise   faster views of networks
fused      tdBN and LIF over all T as one operation
kernels    the loops of fused
sync       tdBN over several processes
"""
