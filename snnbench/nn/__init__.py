"""Spiking building blocks: neurons, threshold-dependent batch norm, residual blocks."""
