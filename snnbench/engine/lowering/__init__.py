"""From a module to a plan; the only files of the engine that know PyTorch's modules."""
