"""Faster training on a CPU: several layers and all timesteps as one operation."""
