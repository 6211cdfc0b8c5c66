"""Counting: exact operations and spikes of any PyTorch network."""
