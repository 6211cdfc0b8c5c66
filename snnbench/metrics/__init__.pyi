from .dataframes import (
    checks_dataframe as checks_dataframe,
    energy_dataframe as energy_dataframe,
    engine_dataframe as engine_dataframe,
    layer_dataframe as layer_dataframe,
    operations_dataframe as operations_dataframe,
    timestep_dataframe as timestep_dataframe,
    timing_dataframe as timing_dataframe,
)
