"""What is written about every epoch: log.jsonl, log.csv and, if wanted, TensorBoard's files."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from snnbench.core.errors import UsageError
from snnbench.core.files import write_atomically

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class EpochRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One epoch.

    Attributes:
        epoch: From 1.
        lr: Learning rate of its last step.
        loss: Mean over the samples, each with the weights of its own step.
        train_accuracy: Likewise, a share.
        firing_rate: Spikes per neuron and timestep, sampled; ``None`` for an ANN.
        samples: Trained on.
        seconds: Time of training, without the test.
        images_per_s: Samples per second of training.
        pipeline_images_per_s: Samples per second that the input pipeline could have delivered.
        test_correct: ``None`` without a test.
        test_samples: Likewise.
        test_accuracy: A share.
        test_firing_rate: Over the whole test part.
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
    """Write all epochs so far. Whole files, so that a resumed training leaves no line twice.

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
    """Prove that TensorBoard is there.

    Raises:
        UsageError: It is not installed.
    """
    if find_spec("tensorboard") is None:
        msg = "--tensorboard needs the package tensorboard; install it: pip install tensorboard"
        raise UsageError(msg)


class Board:
    """TensorBoard's view of the epochs, in ``folder/tensorboard``.

    Args:
        folder: Folder of the training.
        start: Epochs already there that stay; later ones of an earlier attempt are hidden.
    """

    def __init__(self, folder: Path, start: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: SummaryWriter = SummaryWriter(
            str(folder / "tensorboard"), purge_step=start + 1
        )

    def add(self, record: EpochRecord) -> None:
        """Write one epoch."""
        for name, value in msgspec.to_builtins(record).items():
            if name != "epoch" and value is not None:
                self._writer.add_scalar(name, value, record.epoch)
        self._writer.flush()

    def close(self) -> None:
        """Close the files."""
        self._writer.close()
