"""A small labelled set, a small network, and a script that trains it in one or more processes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from snnbench.core.process import seed_everything
from snnbench.nn.blocks import SpikingBlock, conv_norm
from snnbench.nn.neuron import LIF
from snnbench.results.run import DataInfo
from snnbench.train.checkpoint import State, Sums
from snnbench.train.loop import Job, Loop
from snnbench.train.machine import Machine, launch
from snnbench.train.progress import TrainingProgress
from snnbench.train.recipe import Recipe
from snnbench.train.training import make_job
from snnbench.zoo import networks, registry


class Patches:
    """Images whose class is the place of a bright patch, ten classes in turn."""

    classes = 10
    mean = (0.25, 0.25, 0.25)
    std = (0.25, 0.25, 0.25)
    peak = 255.0

    def __init__(self, samples: int = 48) -> None:
        self.info = DataInfo(
            name="patches",
            description="bright patches on noise",
            sha256="5" * 64,
            samples=samples,
            labelled=True,
        )
        generator = torch.Generator().manual_seed(7)
        self.images = torch.randint(
            0, 128, (samples, 3, 32, 32), generator=generator, dtype=torch.uint8
        )
        self.labels = torch.arange(samples) % 10
        for image, label in zip(self.images, self.labels.tolist(), strict=True):
            row, column = divmod(label, 5)
            image[:, row * 16 : row * 16 + 12, column * 6 : column * 6 + 6] = 255

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: Sequence[int], views: Tensor | None) -> tuple[Tensor, Tensor]:
        chosen = self.images[list(indices)]
        if views is not None:
            moved = views[:, 2] < 0.5
            chosen[moved] = chosen[moved].roll(1, -1)
        return chosen, self.labels[list(indices)]


def small_recipe(**changes: object) -> Recipe:
    values = {
        "benchmark": "resnet19",
        "timesteps": 2,
        "width": 0.0625,
        "epochs": 2,
        "batch_size": 8,
        "lr": 0.1,
        **changes,
    }
    return Recipe(**values)  # type: ignore[arg-type]


def small_network(*, twin: bool = False, seed: int = 0, width: float = 0.0625) -> nn.Module:
    seed_everything(seed)
    return networks.build(
        registry.get("resnet19"),
        timesteps=2,
        width=width,
        options={"shortcut": "paper"},
        twin=twin,
        channels_last=True,
    )


class _Repeated(nn.Sequential):
    """Images [N, C, H, W] to the logits [N, classes] of two timesteps, averaged."""

    in_order = True

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.expand(2, *x.shape)).mean(0)


def shallow_network(*, seed: int = 0) -> nn.Module:
    """One block of a spiking ResNet, which learns surely and fast."""
    seed_everything(seed)
    return _Repeated(
        conv_norm(3, 8, 3, stride=2),
        LIF(),
        SpikingBlock("basic", 8, 16, stride=2),
        nn.Flatten(2),
        nn.Linear(16 * 8 * 8, 10),
    )


def first_state(recipe: Recipe, processes: int = 1) -> State:
    return State(
        recipe=recipe,
        benchmark_version="1" * 64,
        train_sha256="5" * 64,
        test_sha256="5" * 64,
        processes=processes,
        epoch=0,
        step=0,
        sums=Sums(),
        history=(),
        best=None,
    )


def make_loop(
    folder: Path,
    recipe: Recipe,
    *,
    machine: Machine | None = None,
    train: Patches | None = None,
    test: Patches | None = None,
    state: State | None = None,
    network: nn.Module | None = None,
    every_s: float = 300.0,
) -> tuple[Job, Loop]:
    folder.mkdir(exist_ok=True)
    fabric = launch(machine or Machine(threads=1), recipe.precision)
    train = train or Patches()
    job = make_job(
        recipe,
        fabric,
        network or small_network(twin=recipe.twin),
        train=train,
        test=test,
        checkpoints=folder,
        checkpoint_every_s=every_s,
    )
    progress = TrainingProgress(epochs=recipe.epochs, samples=len(train), shown=False)
    state = state or first_state(recipe, fabric.world_size)
    return job, Loop(job, state, progress, lambda _: None)


def main() -> None:
    """Train for one epoch and write the weights and the log of the first process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--devices", type=int)
    parser.add_argument("--batch-size", type=int)
    asked = parser.parse_args()
    recipe = small_recipe(epochs=1, batch_size=asked.batch_size, precision="64-true")
    machine = Machine(devices=asked.devices, threads=1)
    job, loop = make_loop(asked.folder, recipe, machine=machine, test=Patches(21))
    assert loop.run()
    if job.fabric.is_global_zero:
        state = {name: value.contiguous() for name, value in job.network.state_dict().items()}
        (record,) = loop.state.history
        told = {
            "loss": repr(record.loss),
            "correct": str(record.test_correct),
            "tested": str(record.test_samples),
            "firing_rate": repr(record.test_firing_rate),
        }
        save_file(state, asked.folder / "final.safetensors", told)


if __name__ == "__main__":
    main()
