"""Small spiking networks for the engine's tests, and what their folded copies compute."""

from __future__ import annotations

import copy
from multiprocessing.connection import Connection

import numpy as np
import torch
from torch import Tensor, nn

from snnbench.engine.runtime import EventModel
from snnbench.nn.blocks import PerTimestep, SpikingBlock, conv_norm
from snnbench.nn.fold import fold_batch_norm
from snnbench.nn.neuron import IF, LIF, Neuron
from snnbench.nn.norm import ThresholdDependentBatchNorm2d


class Residual(nn.Module):
    """A user's own forward: direct encoding, a residual addition, a pool between neurons."""

    def __init__(self, timesteps: int = 3) -> None:
        super().__init__()
        self.timesteps = timesteps
        self.encode = nn.Conv2d(2, 20, 3, padding=1)
        self.first = LIF(threshold=0.5)
        self.conv = PerTimestep(nn.Conv2d(20, 20, 3, padding=1))
        self.second = IF(threshold=0.7)
        self.pool = nn.MaxPool2d(2)
        self.down = nn.Conv2d(20, 12, 3, stride=2, bias=False)
        self.third = LIF(decay=0.5, threshold=0.4)
        self.drop = nn.Dropout(0.5)
        self.hidden = nn.Linear(12 * 3 * 3, 33)
        self.fourth = LIF(threshold=0.3)
        self.readout = nn.Linear(33, 5)

    def forward(self, x: Tensor) -> Tensor:
        current = self.encode(x)
        spikes = self.first(current.unsqueeze(0).expand(self.timesteps, *current.shape))
        spikes = self.second(self.conv(spikes) + spikes)
        pooled = self.pool(spikes.flatten(0, 1))
        down = self.down(pooled)
        spikes = self.third(down.reshape(self.timesteps, -1, *down.shape[1:]))
        spikes = self.fourth(self.hidden(self.drop(spikes).flatten(2)))
        return self.readout(spikes).mean(0)


class SpikesOfSpikes(nn.Module):
    """Neurons fed by the spikes of two others, both made by event kernels, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.first = conv_norm(2, 16, 3)
        self.first_lif = LIF()
        self.second = conv_norm(16, 16, 3)
        self.second_lif = LIF()
        self.both_lif = LIF(threshold=1.5)
        self.third = conv_norm(16, 16, 3)
        self.third_lif = LIF()

    def forward(self, x: Tensor) -> Tensor:
        a = self.first_lif(self.first(x))
        b = self.second_lif(self.second(a))
        spikes: Tensor = self.third_lif(self.third(self.both_lif(a + b)))
        return spikes.flatten(2).mean(2)


def frames_net() -> nn.Sequential:
    """Frames of events in, logits of every timestep out; tdBN, blocks, average pool."""
    return nn.Sequential(
        conv_norm(2, 16, 3),
        LIF(),
        SpikingBlock("basic", 16, 24, stride=2),
        SpikingBlock("bottleneck", 24, 8, shortcut="identity"),
        PerTimestep(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(32 * 9, 7)),
    )


@torch.no_grad()
def lively(model: nn.Module, seed: int = 0) -> nn.Module:
    """Make neurons fire, the same ones on every processor.

    Weights are eighths and batch norms multiply by halves, ones and twos, so sums of inputs from
    ``quarters`` are exact in any order. Biases are eighths and a little more, which keeps membrane
    potentials away from the thresholds; see ``margin``.
    """
    drawn = np.random.default_rng(seed)

    def eighths(tensor: Tensor, std: float) -> None:
        tensor.copy_(torch.from_numpy(drawn.normal(0, 8 * std, tensor.shape).round() / 8))

    def biases(tensor: Tensor) -> None:
        tensor.copy_(torch.from_numpy(drawn.integers(0, 5, tensor.shape) / 8 + 1 / 4096))

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            eighths(module.weight, (6 / module.weight[0].numel()) ** 0.5)
            if module.bias is not None:
                biases(module.bias)
        if isinstance(module, nn.BatchNorm2d):
            biases(module.bias)
            eighths(module.running_mean, 0.1)
            powers = drawn.integers(-1, 2, module.running_var.shape)
            module.running_var.copy_(torch.from_numpy(4.0**powers))
            module.eps = 0.0
        if isinstance(module, ThresholdDependentBatchNorm2d):
            module.alpha = module.threshold = 1.0
    return model.eval()


def quarters(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 7) -> Tensor:
    """Input from 0 to 1 in quarters."""
    drawn = torch.randint(0, 5, shape, generator=torch.Generator().manual_seed(seed))
    return drawn.to(dtype) / 4


@torch.no_grad()
def margin(model: nn.Module, x: Tensor) -> float:
    """Distance of the membrane potential nearest to its neuron's threshold, in double precision.

    Spikes of two computations must be equal only where rounding does not come near it.
    """
    nearest = [torch.inf]

    def watch(neuron: LIF, inputs: tuple[Tensor]) -> None:
        v = torch.zeros(())
        for current in inputs[0]:
            u = current + neuron.decay * v
            nearest.append(float((u - neuron.threshold).abs().min()))
            v = torch.where(u > neuron.threshold, 0.0, u)

    copied = copy.deepcopy(model).double().eval()
    for module in copied.modules():
        if isinstance(module, LIF):
            module.register_forward_pre_hook(watch)
    copied(x.double())
    return min(nearest)


@torch.no_grad()
def dense_run(model: nn.Module, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Output and spikes of the folded network, by name of the neurons."""
    folded = fold_batch_norm(model).model
    spikes: dict[str, Tensor] = {}
    for name, module in folded.named_modules():
        if isinstance(module, Neuron):
            module.register_forward_hook(
                lambda _m, _x, y, name=name: spikes.__setitem__(name, y.bool())
            )
    return folded(x), spikes


def send_output(engine: EventModel, x: Tensor, results: Connection) -> None:
    """Run a network in a worker process; here, since workers must be able to import it."""
    torch.set_num_threads(1)  # PyTorch's own threads do not survive a fork
    results.send(engine(x).flatten().tolist())
