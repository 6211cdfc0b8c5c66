"""A training from recipe to weights: builds everything, runs the loop, writes the results."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from importlib import metadata
from pathlib import Path

import msgspec
from lightning_fabric import Fabric
from torch import nn

from snnbench.core.errors import UsageError
from snnbench.core.files import write_atomically
from snnbench.core.process import memory_shortage_explained, seed_everything
from snnbench.core.version import __version__
from snnbench.data.dataset import DataSet, Part
from snnbench.train import checkpoint, evidence
from snnbench.train.batches import check_outputs, open_labelled
from snnbench.train.checkpoint import State, Sums, alone
from snnbench.train.evaluation import spread
from snnbench.train.fast.optimise import optimise
from snnbench.train.fast.sync import synchronise
from snnbench.train.log import EpochRecord, tensorboard, write_log
from snnbench.train.loop import Job, Loop
from snnbench.train.machine import Machine, launch, lost_processes_explained
from snnbench.train.optimisers import make_optimiser, set_state
from snnbench.train.progress import TrainingProgress
from snnbench.train.recipe import FILE, Recipe, as_toml
from snnbench.zoo import networks, registry, weight_files
from snnbench.zoo.registry import Benchmark


@memory_shortage_explained("--batch-size, --timesteps or --width")
@lost_processes_explained()
def train(
    recipe: Recipe,
    machine: Machine,
    folder: Path,
    *,
    resume: bool = False,
    checkpoint_every_s: float = 300.0,
    with_tensorboard: bool = False,
    cache: Path | None = None,
    command: Sequence[str] = (),
) -> State | None:
    """Train a benchmark, or continue its training.

    Leaves in ``folder``: ``recipe.toml``, ``log.jsonl`` and ``log.csv``, ``checkpoints/``, and when
    the last epoch is done ``weights.safetensors`` and ``training.json``. On one machine and with
    the same number of threads a resumed training arrives at the same weights, bit by bit, as an
    uninterrupted one.

    Args:
        recipe: Everything that decides the result.
        machine: Hardware to run on.
        folder: Folder for what the training writes; it must exist.
        resume: Continue from the newest checkpoint in ``folder``.
        checkpoint_every_s: Seconds between checkpoints within an epoch.
        with_tensorboard: Write TensorBoard's files too.
        cache: Folder in which framed events are kept.
        command: Command line to record in ``training.json``.

    Returns:
        The state after the last step; if it is not ``finished``, there is a checkpoint of it.
        ``None`` in processes that write nothing, which are all but the first.

    Raises:
        UsageError: An argument does not fit the data, the machine or the checkpoint.
        StructureError: The network does not return one number for each class.
        SnnbenchError: The loss is not finite.
    """
    checkpoints = folder / checkpoint.FOLDER
    if checkpoint.exists(checkpoints) and not resume:
        msg = f"{folder} already holds a training; continue it with --resume or change --out"
        raise UsageError(msg)
    benchmark = registry.get(recipe.benchmark)
    parts: tuple[Part, ...] = ("train", "test") if recipe.test else ("train",)
    opened = {
        part: open_labelled(benchmark, recipe.data, part, recipe.timesteps, cache) for part in parts
    }
    fabric = launch(machine, recipe.precision)
    with alone(folder) if fabric.is_global_zero else nullcontext():
        seed_everything(recipe.seed)
        network = networks.build(
            benchmark,
            timesteps=recipe.timesteps,
            width=recipe.width,
            options=recipe.options,
            twin=recipe.twin,
            channels_last=True,
        )
        job = make_job(
            recipe,
            fabric,
            network,
            train=opened["train"],
            test=opened.get("test"),
            checkpoints=checkpoints,
            checkpoint_every_s=checkpoint_every_s,
        )
        check_outputs(job.network, benchmark, job.train, twin=recipe.twin)
        state = _state(benchmark, recipe, job)
        if resume:
            state = _resumed(job, state)
        fabric.barrier()  # every process has looked at the folder before one writes to it
        if fabric.is_global_zero:
            checkpoints.mkdir(exist_ok=True)
            write_atomically(folder / FILE, as_toml(recipe))
        state = _run(job, state, folder, with_tensorboard=with_tensorboard)
        if state.finished and fabric.is_global_zero:
            evidence.write(folder, job, state, benchmark.card, command)
        fabric.barrier()
    return state if fabric.is_global_zero else None


def make_job(
    recipe: Recipe,
    fabric: Fabric,
    network: nn.Module,
    *,
    train: DataSet,
    test: DataSet | None,
    checkpoints: Path,
    checkpoint_every_s: float = 300.0,
) -> Job:
    """Put a network on the device, with the optimiser of a recipe.

    Raises:
        UsageError: There are fewer samples than a batch needs, or a twin is to be trained in
            several processes.
    """
    indices = spread(len(train), recipe.limit_train)
    together = recipe.batch_size * fabric.world_size
    if together > len(indices):
        msg = (
            f"--batch-size {recipe.batch_size} in {fabric.world_size} processes is more than the "
            f"{len(indices)} training samples; choose at most {len(indices) // fabric.world_size}"
        )
        raise UsageError(msg)
    if recipe.twin and fabric.world_size > 1:
        msg = "--twin trains in one process: the batch norm of an ANN twin is not synchronised"
        raise UsageError(msg)
    # before anything shares its tensors: moving replaces buffers
    network = fabric.strategy.precision.convert_module(network.to(fabric.device))
    if fabric.world_size > 1:
        network = synchronise(network)
    plain = make_optimiser(recipe, network)
    model, optimizer = fabric.setup(optimise(network), plain)
    return Job(
        fabric=fabric,
        network=network,
        model=model,
        plain_optimizer=plain,
        optimizer=optimizer,
        train=train,
        indices=indices,
        test=test,
        folder=checkpoints,
        checkpoint_every_s=checkpoint_every_s,
    )


def _state(benchmark: Benchmark, recipe: Recipe, job: Job) -> State:
    return State(
        recipe=recipe,
        benchmark_version=benchmark.version,
        train_sha256=job.train.info.sha256,
        test_sha256=None if job.test is None else job.test.info.sha256,
        processes=job.fabric.world_size,
        epoch=0,
        step=0,
        sums=Sums(),
        history=(),
        best=None,
        versions={"snnbench": __version__, "torch": metadata.version("torch")},
    )


def _resumed(job: Job, ours: State) -> State:
    state, tensors, optimiser = checkpoint.load(job.folder)
    checkpoint.check_same(state, ours)
    weight_files.apply_state(job.network, tensors, source=f"checkpoint {job.folder}")
    set_state(job.plain_optimizer, job.network, optimiser)
    job.fabric.strategy.precision.load_state_dict(dict(state.scaler))
    return msgspec.structs.replace(state, recipe=ours.recipe, versions=ours.versions, files={})


def _run(job: Job, state: State, folder: Path, *, with_tensorboard: bool) -> State:
    writes = job.fabric.is_global_zero
    size = state.recipe.batch_size * state.processes
    samples = len(job.indices) // size * size

    def epoch_done(history: Sequence[EpochRecord]) -> None:
        write_log(history, folder)
        if add is not None:
            add(history[-1])

    board = tensorboard(folder, state.epoch) if with_tensorboard and writes else nullcontext()
    progress = TrainingProgress(epochs=state.recipe.epochs, samples=samples, shown=writes)
    with board as add, progress:
        loop = Loop(job, state, progress, epoch_done)
        loop.run()
    return loop.state
