"""Result files and folders of them, read for a comparison."""

from __future__ import annotations

from pathlib import Path

from snnbench.compare.compare import Source
from snnbench.core.errors import ResultError
from snnbench.results.files import load

_RESULT = "result.json"
OTHER_FILES = frozenset({"speedup_curves.json", ".partial.json", "training.json", "state.json"})
"""JSON files that ``snnbench`` writes beside results and that are none."""


def read(path: Path) -> Source:
    """The result in a file, or all results in a folder.

    Of a folder: every ``*.json`` directly in it but those of another kind, and every
    ``result.json`` in the folders below. A file that is damaged is refused, never left out.

    Raises:
        ResultError: A file is no valid result, or a folder has none.
    """
    if not path.is_dir():
        return Source(label=str(path), results=(load(path),), single=True)
    direct = {entry for entry in path.glob("*.json") if entry.name not in OTHER_FILES}
    files = sorted(direct | set(path.rglob(_RESULT)))
    if not files:
        msg = f"folder {path} holds no result: no *.json directly in it, and no {_RESULT} below it"
        raise ResultError(msg)
    return Source(label=str(path), results=tuple(map(load, files)), single=False)
