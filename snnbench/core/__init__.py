"""What every other room stands on; knows no network and no result.

errors         the error tree and its exit codes; each message is one line
version        the version of snnbench
lazy           faces of rooms: names that load on first use
units          unit factors; the only file with powers of ten
statistics     confidence intervals of proportions, and quartiles
files          written completely or not at all, named safely; temporary folders
signals        Ctrl-C and SIGTERM, granted when harmless
progress       where long work says how far it is
process        load by others; seeds, threads, cores, memory
threads        one call on several threads
kernel_cache   numba builds on disk
"""

from typing import TYPE_CHECKING

from snnbench.core.lazy import lazy

if TYPE_CHECKING:
    from snnbench.core.errors import DataError as DataError
    from snnbench.core.errors import OutputError as OutputError
    from snnbench.core.errors import ResultError as ResultError
    from snnbench.core.errors import SnnbenchError as SnnbenchError
    from snnbench.core.errors import StructureError as StructureError
    from snnbench.core.errors import UncountedOperationError as UncountedOperationError
    from snnbench.core.errors import UsageError as UsageError
    from snnbench.core.errors import WeightsError as WeightsError
else:
    __getattr__, __dir__, __all__ = lazy(
        __name__,
        errors=(
            "DataError OutputError ResultError SnnbenchError StructureError "
            "UncountedOperationError UsageError WeightsError"
        ),
    )
