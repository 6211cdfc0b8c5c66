"""Training and evaluation of benchmarks on labelled data.

training           a training from recipe to weights
recipe             what decides the outcome of a training; its learning rates
machine            device, processes and threads, through Lightning Fabric
batches            labelled data, and batches of it as networks take them
losses             losses by name
optimisers         optimisers by name, and their state by parameter
loop               steps and epochs
checkpoint         saving and resuming; one training per folder
log                the record of every epoch
progress           a progress bar
evaluation         accuracy on a whole part of a data set
evaluate_weights   accuracy of a file of weights, for each T
evidence           trained weights, and the record of their training
divergence         search for the first value that is not finite
fast/              faster training on a CPU
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
