"""Training and evaluation of benchmarks on labelled data.

training           a training from recipe to weights
recipe             what decides the outcome of a training; its learning rates
machine            device, processes and threads, through Lightning Fabric
batches            what a network sees of a batch
losses             losses by name
optimisers         optimisers by name, and their state by parameter
loop               steps and epochs
checkpoint         complete or not there at all; one training per folder
log                a line per epoch
progress           a progress bar
evaluation         accuracy on a whole part of a data set
evaluate_weights   accuracy of weight files, for each T
evidence           what goes with trained weights
divergence         where numbers stop being finite
fast/              faster training on a CPU
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
