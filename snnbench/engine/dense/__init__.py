"""Dense networks: the baseline, and steps that events do not make faster.

packed       prepacked convolutions and linear layers
lif          LIF over all T in one pass
triton_lif   the same on a GPU
"""
