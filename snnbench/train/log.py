"""The record of every epoch: ``log.jsonl``, ``log.csv`` and, on demand, TensorBoard's files."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import msgspec

from snnbench.core.errors import UsageError
from snnbench.core.files import write_atomically


class EpochRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The measurements of one epoch; those of the test are ``None`` without a test part.

    Attributes:
        epoch: Number of the epoch, from 1.
        lr: Learning rate of the last step.
        loss: Mean loss over the training samples, each with the weights of its own step.
        train_accuracy: Share of training samples classified right, likewise.
        firing_rate: Spikes per neuron and timestep, sampled; ``None`` for an ANN.
        samples: Number of training samples.
        seconds: Time of training, without the test.
        images_per_s: Samples per second of training.
        pipeline_images_per_s: Samples per second that the input pipeline could have delivered.
        test_correct: Number of test samples classified right.
        test_samples: Number of test samples.
        test_accuracy: Share of test samples classified right.
        test_firing_rate: Spikes per neuron and timestep, over the whole test part.
    """

    epoch: int
    lr: float
    loss: float
    train_accuracy: float
    firing_rate: float | None
    samples: int
    seconds: float
    images_per_s: float
    pipeline_images_per_s: float | None
    test_correct: int | None = None
    test_samples: int | None = None
    test_accuracy: float | None = None
    test_firing_rate: float | None = None


def write_log(history: Sequence[EpochRecord], folder: Path) -> None:
    """Write the records of all epochs so far.

    Whole files are written, so that a resumed training leaves no line twice.

    Raises:
        OutputError: A file cannot be written.
    """
    lines = b"".join(msgspec.json.encode(record) + b"\n" for record in history)
    write_atomically(folder / "log.jsonl", lines)
    table = io.StringIO()
    writer = csv.DictWriter(table, EpochRecord.__struct_fields__, lineterminator="\n")
    writer.writeheader()
    writer.writerows(msgspec.to_builtins(record) for record in history)
    write_atomically(folder / "log.csv", table.getvalue().encode())


def check_tensorboard() -> None:
    """Check that TensorBoard is installed.

    Raises:
        UsageError: TensorBoard is not installed.
    """
    if find_spec("tensorboard") is None:
        msg = "--tensorboard needs the package tensorboard; install it: pip install tensorboard"
        raise UsageError(msg)


@contextmanager
def tensorboard(folder: Path, start: int) -> Iterator[Callable[[EpochRecord], None]]:
    """Write epochs to ``folder/tensorboard``, each by a call of what is yielded.

    Args:
        folder: Folder of the training.
        start: Epochs already there that stay; later ones of an earlier attempt are hidden.
    """
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder / "tensorboard"), purge_step=start + 1) as writer:

        def add(record: EpochRecord) -> None:
            for name, value in msgspec.to_builtins(record).items():
                if name != "epoch" and value is not None:
                    writer.add_scalar(name, value, record.epoch)
            writer.flush()

        yield add
