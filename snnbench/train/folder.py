"""A training's folder, which is one training's at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from snnbench.core.errors import UsageError


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Context in which no other training has ``folder``; it ends with the process at the latest.

    Raises:
        UsageError: Another one has it.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(FileLock(folder / ".training.lock", blocking=False))
        except Timeout:
            msg = f"another training is writing to {folder}; wait for it or choose another --out"
            raise UsageError(msg) from None
        except (OSError, NotImplementedError):
            pass  # a file system without locks, as clusters have
        yield
