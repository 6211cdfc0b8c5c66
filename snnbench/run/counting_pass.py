"""What an interrupted run has counted, so that repeating the command goes on from there."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from snnbench.core.files import write_atomically
from snnbench.results.counts import Profile

FILE_NAME = ".partial.json"
_SAVE_INTERVAL_S = 5.0


class Counts(msgspec.Struct, kw_only=True, frozen=True):
    """Counts of the first ``done`` samples.

    Attributes:
        key: Hash of all that the counts depend on; another run does not resume from them.
        done: Samples counted.
        correct: Of those, samples that the spiking network classified right.
        twin_correct: And its twin.
        snn: Counts of the spiking network.
        twin: Counts of the twin.
    """

    key: str
    done: int = 0
    correct: int = 0
    twin_correct: int = 0
    snn: Profile | None = None
    twin: Profile | None = None

    def plus(
        self, snn: Profile, twin: Profile, *, samples: int, correct: tuple[int, int]
    ) -> Counts:
        """These counts and those of further samples, ``correct`` by the SNN and its twin."""
        return Counts(
            key=self.key,
            done=self.done + samples,
            correct=self.correct + correct[0],
            twin_correct=self.twin_correct + correct[1],
            snn=snn if self.snn is None else self.snn.merge(snn),
            twin=twin if self.twin is None else self.twin.merge(twin),
        )


class Partial:
    """Counts that survive the process, in a file of the output folder.

    Args:
        folder: Where the file is; ``None`` keeps nothing.
        key: All that the counts depend on; counts that a run with an equal key left are taken up.

    Attributes:
        counts: So far.
    """

    def __init__(self, folder: Path | None, key: object) -> None:
        digest = hashlib.sha256(msgspec.json.encode(key, order="deterministic")).hexdigest()
        self._path = None if folder is None else folder / FILE_NAME
        self.counts = _read(self._path, digest)
        self._saved = self.counts
        self._saved_at = time.monotonic()

    def add(self, snn: Profile, twin: Profile, *, samples: int, correct: tuple[int, int]) -> None:
        """Add the counts of further samples; every few seconds they reach the disk."""
        # in one assignment, so that Ctrl-C finds either all of the batch or nothing of it
        self.counts = self.counts.plus(snn, twin, samples=samples, correct=correct)
        if time.monotonic() - self._saved_at > _SAVE_INTERVAL_S:
            self._save()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Write the counts when the block ends, however it ends."""
        try:
            yield
        finally:
            self._save()

    def _save(self) -> None:
        if self._path is not None and self.counts is not self._saved:
            write_atomically(self._path, msgspec.json.encode(self.counts))
            self._saved = self.counts
            self._saved_at = time.monotonic()


def discard(folder: Path) -> None:
    """Remove the file from ``folder``: the result is safe."""
    (folder / FILE_NAME).unlink(missing_ok=True)


def _read(path: Path | None, key: str) -> Counts:
    """What ``path`` holds for ``key``; nothing there, or nothing usable, counts from the start."""
    fresh = Counts(key=key)
    if path is None:
        return fresh
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Counts)
    except (OSError, msgspec.MsgspecError):
        return fresh
    return found if found.key == key else fresh
