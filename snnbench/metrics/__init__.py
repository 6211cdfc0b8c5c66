"""What follows from a result: the metrics, and tables for machines; never torch.

metric          what a metric is
catalogue       the list of metrics, and their values in a result
operations      additions and multiplications, as ZH21 counts them
frames          results as tidy pandas tables
engine_frames   the engine's steps as a table
"""

from typing import TYPE_CHECKING

from snnbench.core.lazy import lazy

if TYPE_CHECKING:
    from snnbench.metrics.engine_frames import engine_frame as engine_frame
    from snnbench.metrics.frames import checks_frame as checks_frame
    from snnbench.metrics.frames import energy_frame as energy_frame
    from snnbench.metrics.frames import layer_frame as layer_frame
    from snnbench.metrics.frames import operations_frame as operations_frame
    from snnbench.metrics.frames import timestep_frame as timestep_frame
    from snnbench.metrics.frames import timing_frame as timing_frame
else:
    __getattr__, __dir__, __all__ = lazy(
        __name__,
        engine_frames="engine_frame",
        frames="checks_frame energy_frame layer_frame operations_frame timestep_frame timing_frame",
    )
