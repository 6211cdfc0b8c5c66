"""What follows from a result: the metrics, and tables for machines; never torch.

metric              what a metric is
catalogue           the list of metrics, and their values in a result
operations          additions and multiplications, as ZH21 counts them
dataframes          a result as pandas DataFrames
engine_dataframes   the engine's steps as one
"""

from typing import TYPE_CHECKING

from snnbench.core.lazy import lazy

if TYPE_CHECKING:
    from snnbench.metrics.dataframes import checks_dataframe as checks_dataframe
    from snnbench.metrics.dataframes import energy_dataframe as energy_dataframe
    from snnbench.metrics.dataframes import layer_dataframe as layer_dataframe
    from snnbench.metrics.dataframes import operations_dataframe as operations_dataframe
    from snnbench.metrics.dataframes import timestep_dataframe as timestep_dataframe
    from snnbench.metrics.dataframes import timing_dataframe as timing_dataframe
    from snnbench.metrics.engine_dataframes import engine_dataframe as engine_dataframe
else:
    __getattr__, __dir__, __all__ = lazy(
        __name__,
        engine_dataframes="engine_dataframe",
        dataframes="checks_dataframe energy_dataframe layer_dataframe operations_dataframe "
        "timestep_dataframe timing_dataframe",
    )
