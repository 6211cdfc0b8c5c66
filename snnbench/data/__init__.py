"""Input: embedded real data, image folders, CIFAR-10, event recordings."""

from snnbench.data.load import Samples, load_samples

__all__ = ["Samples", "load_samples"]
