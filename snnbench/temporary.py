"""A temporary folder that no Ctrl-C or SIGTERM leaves behind."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from snnbench.stopping import StopRequest


@contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """An empty folder, removed at the end.

    Signals wait while it is made: the first use of ``tempfile`` tries the folder with a file, and
    between the making of a folder and the ``try`` around it there is room for one too.

    Raises:
        KeyboardInterrupt: A signal came while the folder was made or removed.
    """
    folder = None
    try:
        with StopRequest() as stop:
            folder = Path(tempfile.mkdtemp(prefix=prefix))
        _grant(stop)
        yield folder
    finally:
        if folder is not None:
            with StopRequest() as stop:
                shutil.rmtree(folder, ignore_errors=True)
            _grant(stop)


def _grant(stop: StopRequest) -> None:
    if stop.asked:
        raise KeyboardInterrupt
