"""snnbench: energy and sparsity profiler and benchmark suite for spiking neural networks.

The public names load on first use (PEP 562), so importing snnbench is quick and torch-free.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from snnbench.core.version import __version__ as __version__

if TYPE_CHECKING:
    from snnbench.count.profiler import profile
    from snnbench.engine.runtime import EventModel, compile  # noqa: A004 - snnbench.compile
    from snnbench.results.counts import LayerRecord, OpCount, Profile
    from snnbench.results.files import load, save
    from snnbench.results.run import RunResult

_PUBLIC = {
    "profile": "snnbench.count.profiler",
    "compile": "snnbench.engine.runtime",
    "EventModel": "snnbench.engine.runtime",
    "LayerRecord": "snnbench.results.counts",
    "OpCount": "snnbench.results.counts",
    "Profile": "snnbench.results.counts",
    "RunResult": "snnbench.results.run",
    "load": "snnbench.results.files",
    "save": "snnbench.results.files",
}

__all__ = [
    "profile",
    "compile",
    "EventModel",
    "Profile",
    "LayerRecord",
    "OpCount",
    "RunResult",
    "load",
    "save",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        msg = f"module 'snnbench' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*_PUBLIC, "__version__"])
