from .core.version import __version__ as __version__
from .count import profile as profile
from .engine import EventModel as EventModel, compile as compile  # noqa: A004 - snnbench.compile
from .results import (
    LayerRecord as LayerRecord,
    OpCount as OpCount,
    Profile as Profile,
    RunResult as RunResult,
    load as load,
    save as save,
)
