"""Pass 1: count the network and its twin; an interrupted run goes on where it stopped."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import msgspec
from torch import Tensor

from snnbench.core.files import write_atomically
from snnbench.core.progress import Reporter
from snnbench.count.profiler import profile
from snnbench.nn.meters import tick, ticks
from snnbench.results.counts import Profile
from snnbench.results.run import Accuracy, RunConfig
from snnbench.run.building_pass import Prepared

FILE_NAME = ".partial.json"
_SAVE_INTERVAL_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Results of pass 1.

    Attributes:
        snn: Counts of the spiking network.
        twin: Counts of its ANN twin.
        accuracy: Accuracy of the spiking network, if the samples are labelled.
        twin_accuracy: Accuracy of the twin, if it has weights of its own: with those of the spiking
            network it cannot classify.
    """

    snn: Profile
    twin: Profile
    accuracy: Accuracy | None
    twin_accuracy: Accuracy | None


class Counts(msgspec.Struct, kw_only=True, frozen=True):
    """Counts of the first ``done`` samples.

    Attributes:
        key: Hash of all that the counts depend on; a run with another key starts anew.
        done: Number of samples counted.
        correct: How many of them the spiking network classified right.
        twin_correct: How many of them the twin classified right.
        snn: Counts of the spiking network.
        twin: Counts of the twin.
    """

    key: str
    done: int = 0
    correct: int = 0
    twin_correct: int = 0
    snn: Profile | None = None
    twin: Profile | None = None


class Partial:
    """Counts that survive the process, in a file of the output folder.

    Args:
        folder: Folder of the file; ``None`` keeps nothing.
        key: All that the counts depend on; a run with an equal key goes on from them.

    Attributes:
        counts: Counts so far.
    """

    def __init__(self, folder: Path | None, key: object) -> None:
        digest = hashlib.sha256(msgspec.json.encode(key, order="deterministic")).hexdigest()
        self._path = None if folder is None else folder / FILE_NAME
        self.counts = _read(self._path, digest)
        self._saved = self.counts
        self._saved_at = time.monotonic()

    def add(self, snn: Profile, twin: Profile, *, samples: int, correct: tuple[int, int]) -> None:
        """Add the counts of a batch, and every few seconds write them to the file.

        Args:
            snn: Counts of the spiking network.
            twin: Counts of its ANN twin.
            samples: Number of samples in the batch.
            correct: How many of them the spiking network and the twin classified right.
        """
        before = self.counts
        # in one assignment, so that Ctrl-C finds either all of the batch or nothing of it
        self.counts = Counts(
            key=before.key,
            done=before.done + samples,
            correct=before.correct + correct[0],
            twin_correct=before.twin_correct + correct[1],
            snn=snn if before.snn is None else before.snn.merge(snn),
            twin=twin if before.twin is None else before.twin.merge(twin),
        )
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


def count(
    prepared: Prepared,
    config: RunConfig,
    reporter: Reporter,
    *,
    folder: Path | None,
    context: tuple[object, ...],
) -> Counted:
    """Count the network and its twin batch by batch, on the same samples.

    Args:
        prepared: Networks and samples.
        config: What the run was asked for.
        reporter: Shows progress, and how many samples an interrupted run had counted.
        folder: Where counts are kept for a repeated run; ``None`` keeps nothing.
        context: What the counts depend on besides: the benchmark's version and the environment.

    Raises:
        UncountedOperationError: An operation has no rule, and the run is strict.
        OutputError: The counts cannot be written.
    """
    # counts depend on nothing of pass 2
    counted = replace(config, latency=False, latency_batches=None, engine=None, weights_dtype=None)
    provenance = (prepared.weights, prepared.twin_weights, prepared.samples.info)
    partial = Partial(folder, (counted, *provenance, *context))
    if done := partial.counts.done:
        reporter.note(f"resuming an interrupted run: {done} samples are counted already")
    starts = range(partial.counts.done, config.samples, config.batch_size)
    layers = ticks(prepared.network, prepared.twin)
    with (
        reporter.stage("counting", len(starts) * layers) as show,
        tick(show, prepared.network, prepared.twin),
        partial.kept(),
    ):
        for first in starts:
            _count_batch(prepared, config, partial, first)
    counts, labelled = partial.counts, prepared.samples.labels is not None
    own = labelled and prepared.twin_weights is not None
    return Counted(
        snn=cast("Profile", counts.snn),
        twin=cast("Profile", counts.twin),
        accuracy=Accuracy(correct=counts.correct, samples=counts.done) if labelled else None,
        twin_accuracy=Accuracy(correct=counts.twin_correct, samples=counts.done) if own else None,
    )


def _count_batch(prepared: Prepared, config: RunConfig, partial: Partial, first: int) -> None:
    samples, layout = prepared.samples, prepared.layout
    size = min(config.batch_size, config.samples - first)
    inputs = layout.batch(samples.inputs, first, size).to(config.device)
    labels = None if samples.labels is None else samples.labels[first : first + size]
    with profile(
        prepared.network, timesteps=config.timesteps, batch_size=size, strict=config.strict
    ) as snn:
        output = prepared.network(inputs)
    with profile(
        prepared.twin, timesteps=1, batch_size=size, strict=config.strict, dense=True
    ) as twin:
        twin_output = prepared.twin(layout.twin_input(inputs))
    correct = _correct(output, labels), _correct(twin_output, labels)
    partial.add(snn.result, twin.result, samples=size, correct=correct)


def _correct(output: Tensor, labels: Tensor | None) -> int:
    return 0 if labels is None else int((output.argmax(1).cpu() == labels).sum())


def discard(folder: Path) -> None:
    """Remove the file of counts from ``folder``, once the result is saved."""
    (folder / FILE_NAME).unlink(missing_ok=True)


def _read(path: Path | None, key: str) -> Counts:
    """Counts in the file ``path``; none if they are unreadable or for another key."""
    fresh = Counts(key=key)
    if path is None:
        return fresh
    try:
        counts = msgspec.json.decode(path.read_bytes(), type=Counts)
    except (OSError, msgspec.MsgspecError):
        return fresh
    return counts if counts.key == key else fresh
