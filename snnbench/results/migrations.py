"""Result files of earlier versions, turned into ones of the current version.

A migration adds what an earlier snnbench could not know as ``None``; it never guesses a number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Tree = dict[str, Any]

DRAFT = 0
"""Version of drafts of 0.1.0 before the event engine, whose files say that they are version 1."""

_NEW_IN_1 = ("engine", "twin_weights")
_NEW_IN_TIMING_1 = ("execution", "other_load")
_NEW_IN_CONFIG_1 = ("twin_weights", "latency_batches", "engine", "weights_dtype")


def version_of(tree: Tree) -> object:
    """Return the version that a decoded file states, and ``DRAFT`` for a draft.

    A draft lacks every field of the engine. A file that lacks only some of them is damaged.
    """
    version, config = tree.get("schema_version"), tree.get("config")
    if version == DRAFT:  # no file states it
        return None
    if version != 1 or isinstance(version, bool) or not isinstance(config, dict):
        return version
    newer = [name in tree for name in _NEW_IN_1] + [name in config for name in _NEW_IN_CONFIG_1]
    return version if any(newer) else DRAFT


def from_draft(tree: Tree) -> Tree:
    """Migrate version 0 to 1: no engine ran, no batch sizes were given, only a CPU was timed."""
    config = tree["config"] | dict.fromkeys(_NEW_IN_CONFIG_1)
    migrated = tree | dict.fromkeys(_NEW_IN_1) | {"schema_version": 1, "config": config}
    timings = tree.get("timings")
    if isinstance(timings, list):
        migrated["timings"] = [
            dict.fromkeys(_NEW_IN_TIMING_1) | timing if isinstance(timing, dict) else timing
            for timing in timings
        ]
    return migrated


MIGRATIONS: dict[int, Callable[[Tree], Tree]] = {DRAFT: from_draft}
"""By version: the function that turns a document of that version into one of the next."""
