"""Progress of a training on the terminal; in a pipe, one line per epoch."""

from __future__ import annotations

from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from snnbench.train.checkpoint import Sums
from snnbench.train.log import EpochRecord


class TrainingProgress(Progress):
    """A progress bar per epoch, with loss, accuracy, firing rate, speed and time left.

    Args:
        epochs: Number of epochs in all.
        samples: Samples per epoch.
        shown: Whether this process prints; one of several does.
    """

    def __init__(self, *, epochs: int, samples: int, shown: bool = True) -> None:
        self._epochs = epochs
        self._samples = samples
        console = Console(stderr=True, quiet=not shown)
        super().__init__(
            TextColumn("{task.description:14}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %  {task.fields[words]}"),
            console=console,
            disable=not (shown and console.is_terminal),
            transient=True,
        )
        self._task = self.add_task("", total=samples, words="")

    def training(self, epoch: int, sums: Sums) -> None:
        """Show the epoch (from 0) after a step."""
        speed = sums.samples / sums.seconds if sums.seconds else 0.0
        left = (self._epochs - epoch) * self._samples - sums.samples
        words = [
            f"loss {sums.loss / sums.samples:.4f}",
            f"accuracy {sums.correct / sums.samples:.2%}",
            *([f"firing rate {sums.rate / sums.rates:.3f}"] if sums.rates else []),
            f"{speed:.1f} images/s",
            *([f"{timedelta(seconds=round(left / speed))} left"] if speed else []),
        ]
        self.update(
            self._task,
            description=f"epoch {epoch + 1}/{self._epochs}",
            total=self._samples,
            completed=sums.samples,
            words="  ".join(words),
        )

    def testing(self, done: int, total: int) -> None:
        """Show how many of the test samples are done."""
        self.update(self._task, description="test", total=total, completed=done, words="")

    def epoch_done(self, record: EpochRecord) -> None:
        """Print the summary of an epoch, a line that stays."""
        words = [
            f"epoch {record.epoch}/{self._epochs}: loss {record.loss:.4f}",
            f"accuracy {record.train_accuracy:.2%}",
        ]
        if record.test_accuracy is not None:
            words.append(f"test {record.test_accuracy:.2%}")
        if record.firing_rate is not None:
            words.append(f"firing rate {record.firing_rate:.3f}")
        words.append(f"{record.images_per_s:.1f} images/s")
        if record.pipeline_images_per_s is not None:
            words.append(f"the input pipeline could deliver {record.pipeline_images_per_s:.0f}")
        words.append(f"{record.seconds:.1f} s")
        self.console.print(", ".join(words), highlight=False, soft_wrap=True)
