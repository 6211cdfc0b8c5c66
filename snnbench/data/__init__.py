"""Input: embedded real data, image folders, CIFAR-10, event recordings."""
