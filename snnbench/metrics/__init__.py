"""What follows from a result: the metrics, and tables for machines; never torch.

metric       what a metric is
catalogue    the list of metrics, and their values in a result
operations   additions and multiplications, as ZH21 counts them
dataframes   a result as pandas DataFrames
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
