"""The training loop: steps, epochs, and what is saved when."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, cast

import msgspec
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from snnbench.core.errors import SnnbenchError
from snnbench.core.signals import StopRequest
from snnbench.data.dataset import DataSet
from snnbench.data.feed import Feed, batches
from snnbench.nn.layout import layout_of
from snnbench.nn.meters import firing_rate
from snnbench.train import checkpoint
from snnbench.train.batches import network_input
from snnbench.train.checkpoint import State, Sums
from snnbench.train.divergence import bad_gradient, first_not_finite
from snnbench.train.evaluation import Scores, evaluate
from snnbench.train.log import EpochRecord
from snnbench.train.losses import LOSSES
from snnbench.train.optimisers import state_of
from snnbench.train.progress import TrainingProgress
from snnbench.train.recipe import learning_rate
from snnbench.zoo import weight_files

BEST = "best.safetensors"
# an eighth of a batch, forward only, at every sixteenth step: under one percent of the time
_PROBE_STEPS = 16
_PROBE_SHARE = 8
_FETCHING_THREADS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Network, optimiser and data of a training, on their device.

    Attributes:
        fabric: Device, precision and processes.
        network: The plain network, which is saved and tested.
        model: The network that trains: ``network``, made fast, and wrapped by ``fabric``.
        plain_optimizer: Optimiser of the network's parameters.
        optimizer: The same optimiser, wrapped by ``fabric``.
        train: Training part of the data.
        indices: Indices of the training samples in it.
        test: Test part, if there is one.
        folder: Folder of checkpoints.
        checkpoint_every_s: Seconds between checkpoints within an epoch.
    """

    fabric: Fabric
    network: nn.Module
    model: nn.Module
    plain_optimizer: torch.optim.Optimizer
    optimizer: torch.optim.Optimizer
    train: DataSet
    indices: Sequence[int]
    test: DataSet | None
    folder: Path
    checkpoint_every_s: float


class Loop:
    """A training from a given state on; what is random in a step depends on its place alone.

    Args:
        job: Network, optimiser and data.
        state: State to start from.
        progress: Shows steps, tests and epochs.
        epoch_done: Called with all records after every epoch, on the process that writes.
    """

    def __init__(
        self,
        job: Job,
        state: State,
        progress: TrainingProgress,
        epoch_done: Callable[[Sequence[EpochRecord]], None],
    ) -> None:
        self._job = job
        self._progress = progress
        self._epoch_done = epoch_done
        self.state = state
        self._saved_s = time.monotonic()

    def run(self) -> bool:
        """Train to the last epoch, or to the first Ctrl-C or SIGTERM.

        Returns:
            Whether the last epoch is done. If not, a checkpoint was made.

        Raises:
            SnnbenchError: The loss is not finite; the message says what became infinite first.
            OutputError: A checkpoint cannot be written.
            DataError: A sample cannot be read.
        """
        with StopRequest() as stop:
            while not self.state.finished:
                complete, stopping = self._steps(stop)
                if complete:
                    self._end_epoch()
                if stopping:
                    break
        return self.state.finished

    def _steps(self, stop: StopRequest) -> tuple[bool, bool]:
        """Do the remaining steps of an epoch.

        Returns:
            Whether the epoch is complete, and whether any process was asked to stop.
        """
        job, recipe, fabric = self._job, self.state.recipe, self._job.fabric
        epoch, first = self.state.epoch, self.state.step
        plan = batches(
            len(job.indices),
            recipe.batch_size,
            seed=recipe.seed,
            epoch=epoch,
            rank=fabric.global_rank,
            world=fabric.world_size,
            shuffle=True,
            drop_last=True,
        )
        chosen = [([job.indices[i] for i in indices], views) for indices, views in plan[first:]]
        sums = msgspec.structs.replace(self.state.sums)
        earlier, started_s = self.state.sums, time.monotonic()
        job.network.train()
        job.model.train()
        stream = Feed(job.train, chosen, threads=_FETCHING_THREADS)
        probed = min(_PROBE_STEPS, len(plan)) - 1
        for step, (values, labels) in enumerate(stream, start=first):
            rate = learning_rate(recipe, epoch, step, len(plan))
            due = time.monotonic() - self._saved_s > job.checkpoint_every_s
            inputs = network_input(values, job.train, fabric.device, twin=recipe.twin)
            stopping, due = self._step(inputs, labels, rate, sums, flags=(stop.asked, due))
            if step % _PROBE_STEPS == probed:
                self._probe(inputs, sums)
            sums.seconds = earlier.seconds + time.monotonic() - started_s
            deliverable = (stream.samples_per_s or math.inf) * fabric.world_size
            sums.loading_s = earlier.loading_s + (sums.samples - earlier.samples) / deliverable
            self._progress.training(epoch, sums)
            complete = step + 1 == len(plan)
            self.state = msgspec.structs.replace(self.state, step=step + 1, sums=sums)
            if (stopping or due) and not complete:
                self._save()
            if stopping:
                return complete, True
        return True, False

    def _step(
        self,
        inputs: Tensor,
        labels: Tensor,
        rate: float,
        sums: Sums,
        flags: tuple[bool, bool],
    ) -> list[bool]:
        """Do one step; return each flag as set if any process has set it."""
        job, fabric = self._job, self._job.fabric
        labels = labels.to(fabric.device, non_blocking=True)
        for group in job.plain_optimizer.param_groups:
            group["lr"] = rate
        job.optimizer.zero_grad()
        outputs = job.model(inputs).float()
        loss = LOSSES[self.state.recipe.loss](outputs, labels)
        fabric.backward(loss)
        correct = (outputs.detach().argmax(1) == labels).sum()
        total, hits, norm, *flagged = self._numbers(loss.detach(), correct, flags)
        if not (math.isfinite(total) and math.isfinite(norm)):
            self._explain_divergence(inputs, total / fabric.world_size)
        job.optimizer.step()
        size = len(labels) * fabric.world_size
        sums.loss += total / fabric.world_size * size
        sums.correct += int(hits)
        sums.samples += size
        return [flag > 0 for flag in flagged]

    def _numbers(self, loss: Tensor, correct: Tensor, flags: tuple[bool, bool]) -> list[float]:
        """Loss, correct answers, the gradient's norm and flags, summed over processes.

        A neuron whose potential is not a number does not fire, so the loss may stay finite when
        weights are not; the gradient does not.
        """
        fabric = self._job.fabric
        norm = torch.zeros_like(loss)
        if self.state.recipe.precision != "16-mixed":  # there infinite gradients are skipped
            gradients = [p.grad for p in self._job.network.parameters() if p.grad is not None]
            norm = torch.nn.utils.get_total_norm(gradients)
        flagged = torch.tensor(flags, dtype=torch.float64).to(fabric.device)
        numbers = torch.cat([torch.stack([x.double() for x in (loss, correct, norm)]), flagged])
        if fabric.world_size > 1:
            numbers = cast("Tensor", fabric.all_reduce(numbers, reduce_op="sum"))
        values: list[float] = numbers.tolist()
        return values

    def _probe(self, inputs: Tensor, sums: Sums) -> None:
        """Sample the firing rate on a few images; each process has its own, the first reports."""
        layout = layout_of(inputs)
        few = layout.first_samples(inputs, max(1, layout.samples(inputs) // _PROBE_SHARE))
        rate = firing_rate(self._job.network, self._cast(few))
        if rate is not None:
            sums.rate += rate
            sums.rates += 1

    def _cast(self, inputs: Tensor) -> Tensor:
        return inputs.to(next(self._job.network.parameters()).dtype)

    def _end_epoch(self) -> None:
        state = self.state
        scores = self._test()
        rate = learning_rate(state.recipe, state.epoch, state.step - 1, state.step)
        record = _record(state, rate, scores)
        value = -record.loss if record.test_accuracy is None else record.test_accuracy
        better = state.best is None or value > state.best
        self.state = msgspec.structs.replace(
            state,
            epoch=state.epoch + 1,
            step=0,
            sums=Sums(),
            history=(*state.history, record),
            best=value if better else state.best,
        )
        if self._job.fabric.is_global_zero:
            if better:
                weight_files.save_state(
                    self._job.network,
                    self._job.folder / BEST,
                    {"epoch": str(record.epoch), "test_accuracy": str(record.test_accuracy)},
                )
            self._epoch_done(self.state.history)
        self._progress.epoch_done(record)
        self._save()

    def _test(self) -> Scores | None:
        job, recipe = self._job, self.state.recipe
        if job.test is None:
            return None
        return evaluate(
            job.network,
            job.test,
            job.fabric,
            batch_size=recipe.batch_size,
            threads=_FETCHING_THREADS,
            twin=recipe.twin,
            show=self._progress.testing,
        )

    def _save(self) -> None:
        """Save a checkpoint; the other processes wait, so that none goes on without one."""
        job = self._job
        if job.fabric.is_global_zero:
            scaler = job.fabric.strategy.precision.state_dict()
            self.state = msgspec.structs.replace(self.state, scaler=scaler)
            optimiser = state_of(job.plain_optimizer, job.network)
            checkpoint.save(job.folder, self.state, job.network, optimiser)
        job.fabric.barrier()
        self._saved_s = time.monotonic()

    def _explain_divergence(self, inputs: Tensor, loss: float) -> NoReturn:
        network = self._job.network
        where = first_not_finite(network, self._cast(inputs)) or bad_gradient(network)
        place = f"epoch {self.state.epoch + 1}, step {self.state.step + 1}"
        first = (
            f"the first value that is not finite is {where}"
            if where
            else "it began in another process"
        )
        msg = f"training diverged at {place} (loss {loss:.4g}): {first}; choose a smaller --lr"
        raise SnnbenchError(msg)


def _record(state: State, rate: float, scores: Scores | None) -> EpochRecord:
    sums = state.sums
    return EpochRecord(
        epoch=state.epoch + 1,
        lr=rate,
        loss=sums.loss / sums.samples,
        train_accuracy=sums.correct / sums.samples,
        firing_rate=sums.rate / sums.rates if sums.rates else None,
        samples=sums.samples,
        seconds=sums.seconds,
        images_per_s=sums.samples / sums.seconds,
        pipeline_images_per_s=sums.samples / sums.loading_s if sums.loading_s else None,
        test_correct=None if scores is None else scores.correct,
        test_samples=None if scores is None else scores.samples,
        test_accuracy=None if scores is None else scores.accuracy,
        test_firing_rate=None if scores is None else scores.firing_rate,
    )
