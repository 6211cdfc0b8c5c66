"""Faces of rooms: names that load on first use (PEP 562).

A face that loaded them at once would load the whole run into each timing process, and torch into
``snnbench --help``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any


def lazy(
    package: str, **names: str
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Make ``__getattr__``, ``__dir__`` and ``__all__`` of a face.

    Args:
        package: ``__name__`` of the face.
        names: By the file that has them: public names, separated by spaces.
    """
    homes = {name: f"{package}.{file}" for file, of in names.items() for name in of.split()}

    def load(name: str) -> Any:
        if name not in homes:
            msg = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(msg)
        return getattr(import_module(homes[name]), name)

    return load, lambda: sorted({*vars(sys.modules[package]), *homes}), list(homes)
