"""A temporary folder that Ctrl-C does not leave behind."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from snnbench.core.signals import StopRequest


@contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """An empty folder, removed at the end.

    A signal waits while the folder is made or removed: the first use of ``tempfile`` tries the
    place with a file, and between the making of a folder and the ``try`` around it there is room
    for one too. Then its handler is called; one that raises, as Python's for Ctrl-C and those of
    the command line do, leaves nothing behind.
    """
    folder = None
    try:
        with StopRequest() as stop:
            folder = tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)
        stop.grant()
        yield Path(folder.name)
    finally:
        if folder is not None:
            with StopRequest() as stop:
                folder.cleanup()
            stop.grant()
