"""What an interrupted run has counted, so that repeating the command goes on from there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from snnbench.files import write_atomically
from snnbench.records import Profile

FILE_NAME = ".partial.json"


class Partial(msgspec.Struct, kw_only=True):
    """Counts of the first ``done`` samples.

    Attributes:
        key: Hash of all that the counts depend on; another run does not resume from them.
        done: Samples counted.
        correct: Of those, samples classified right.
        snn: Counts of the spiking network.
        twin: Counts of the twin.
        folder: Where the file is; ``None`` keeps nothing.
    """

    key: str
    done: int = 0
    correct: int = 0
    snn: Profile | None = None
    twin: Profile | None = None
    folder: str | None = None

    @classmethod
    def resume(cls, folder: Path | None, key: object) -> Partial:
        """Counts left in ``folder`` by an interrupted run with equal ``key``, else none."""
        digest = hashlib.sha256(msgspec.json.encode(key, order="deterministic")).hexdigest()
        fresh = cls(key=digest, folder=None if folder is None else str(folder))
        if folder is None:
            return fresh
        try:
            found = msgspec.json.decode((folder / FILE_NAME).read_bytes(), type=cls)
        except (OSError, msgspec.MsgspecError):
            return fresh  # nothing there, or nothing usable: count from the start
        return found if (found.key, found.folder) == (digest, str(folder)) else fresh

    def add(self, snn: Profile, twin: Profile, *, samples: int, correct: int) -> None:
        """Add the counts of further samples."""
        merged_snn = snn if self.snn is None else self.snn.merge(snn)
        merged_twin = twin if self.twin is None else self.twin.merge(twin)
        # together, so that Ctrl-C finds either all of the batch or nothing of it
        self.snn, self.twin, self.done, self.correct = (
            merged_snn,
            merged_twin,
            self.done + samples,
            self.correct + correct,
        )

    @contextmanager
    def kept_on_exit(self, total: int) -> Iterator[None]:
        """Write the counts if the block ends, however it ends, before ``total`` samples."""
        before = self.done
        try:
            yield
        finally:
            if self.folder is not None and before < self.done < total:
                write_atomically(Path(self.folder) / FILE_NAME, msgspec.json.encode(self))

    def discard(self) -> None:
        """Remove the file: the run is complete."""
        if self.folder is not None:
            (Path(self.folder) / FILE_NAME).unlink(missing_ok=True)
