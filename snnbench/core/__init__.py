"""What every other room stands on; knows no network and no result.

errors         the error tree and its exit codes; each message is one line
version        the version of snnbench
units          unit factors; the only file with powers of ten
statistics     confidence intervals of proportions, and quartiles
files          written completely or not at all, named safely; temporary folders
signals        Ctrl-C and SIGTERM, granted when harmless
progress       where long work says how far it is
process        load by others; seeds, threads, cores, memory
threads        one call on several threads
numba_cache    kernels that numba compiled, on disk
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
