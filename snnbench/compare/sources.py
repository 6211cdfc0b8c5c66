"""The sides of a comparison, read from result files and folders of them."""

from __future__ import annotations

from pathlib import Path

from snnbench.compare.compare import Source
from snnbench.core.errors import ResultError
from snnbench.results.files import load

_RESULT = "result.json"
OTHER_FILES = frozenset({"speedup_curves.json", ".partial.json", "training.json", "state.json"})
"""JSON files beside results that ``snnbench`` writes too and that hold no result."""


def read(path: Path) -> Source:
    """Read the result in a file, or all results in a folder.

    From a folder come every ``*.json`` directly in it, except files that never hold results, and
    every ``result.json`` in the folders below. A damaged file is an error, never left out.

    Raises:
        ResultError: A file is not a valid result, or a folder has no result.
    """
    if not path.is_dir():
        return Source(label=str(path), results=(load(path),), single=True)
    direct = {entry for entry in path.glob("*.json") if entry.name not in OTHER_FILES}
    files = sorted(direct | set(path.rglob(_RESULT)))
    if not files:
        msg = f"folder {path} holds no result: no *.json directly in it, and no {_RESULT} below it"
        raise ResultError(msg)
    return Source(label=str(path), results=tuple(map(load, files)), single=False)
