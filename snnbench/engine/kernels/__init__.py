"""Compiled kernels and their arguments; everything that knows addresses.

loops           the compiled loops
arguments       what the loops are given
neuron_kernel   arguments for one neuron step
segment         neuron steps in one call of the loops
pack            weights in blocks
masks           spikes as bits
workspace       scratch memory
ceiling         additions per second that loads allow
vector/         vector instructions that numba's loops cannot express
"""
