"""snnbench: energy and sparsity profiler and benchmark suite for spiking neural networks.

The public names load on first use, so importing snnbench is quick and torch-free.
"""

from typing import TYPE_CHECKING

from snnbench.core.lazy import lazy
from snnbench.core.version import __version__ as __version__

if TYPE_CHECKING:
    from snnbench.count import profile as profile
    from snnbench.engine import (
        EventModel as EventModel,
    )
    from snnbench.engine import (
        compile as compile,  # noqa: A004 - snnbench.compile
    )
    from snnbench.results import (
        LayerRecord as LayerRecord,
    )
    from snnbench.results import (
        OpCount as OpCount,
    )
    from snnbench.results import (
        Profile as Profile,
    )
    from snnbench.results import (
        RunResult as RunResult,
    )
    from snnbench.results import (
        load as load,
    )
    from snnbench.results import (
        save as save,
    )
else:
    __getattr__, __dir__, __all__ = lazy(
        __name__,
        count="profile",
        engine="compile EventModel",
        results="LayerRecord OpCount Profile RunResult load save",
    )
