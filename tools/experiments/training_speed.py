"""A training step of ResNet-19 against SpikingJelly's: speed, peak memory, and where time goes.

Run ``python tools/experiments/training_speed.py``.
Width 0.25, T = 4, 32 images, two threads, on the CPU.
All ways run in turn in every round of one process; ratios are medians over rounds, with quartiles.
Memory is that of one process each, above what it has after its imports. Where SpikingJelly is not
installed, its rows are left out.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from statistics import median

# PyTorch's threads would otherwise spin on the cores that the fused kernels' threads need
os.environ.setdefault("GOMP_SPINCOUNT", "20000")

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from snnbench.core.statistics import quartiles
from snnbench.nn.blocks import PerTimestep, SpikingBlock
from snnbench.nn.neuron import LIF
from snnbench.train.fast.optimise import optimise
from snnbench.zoo import registry

T, BATCH, WIDTH, THREADS, ROUNDS = 4, 32, 0.25, 2, 12
MIB = 2**20
OURS, PLAIN, JELLY, CONVOLUTIONS = "optimised", "plain", "SpikingJelly", "convolutions alone"
BFLOAT16 = ", bf16-mixed"
SPIKINGJELLY = importlib.util.find_spec("spikingjelly") is not None


def network() -> nn.Module:
    torch.manual_seed(0)
    return registry.get("resnet19").build(timesteps=T, width=WIDTH).train()


def batch() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(BATCH, 3, 32, 32), torch.randint(0, 10, (BATCH,))


class JellyBlock(nn.Module):
    """A spiking block of SpikingJelly's layers."""

    def __init__(self, block: SpikingBlock) -> None:
        super().__init__()
        self.first, self.second = (jelly_of(synapse) for synapse in block.synapses)
        self.first_lif, self.second_lif = (jelly_of(neuron) for neuron in block.neurons)
        self.shortcut = jelly_of(block.shortcut)

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(self.first_lif(self.first(x)))
        return self.second_lif(y + self.shortcut(x))


class JellyNetwork(nn.Module):
    def __init__(self, plain: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(jelly_of(layer) for layer in plain))

    def forward(self, x: Tensor) -> Tensor:
        from spikingjelly.activation_based import functional

        functional.reset_net(self)
        return self.layers(x.expand(T, *x.shape)).mean(0)


def jelly_of(module: nn.Module) -> nn.Module:
    """The same layer of SpikingJelly, with copies of the weights."""
    from spikingjelly.activation_based import layer, neuron, surrogate

    if isinstance(module, SpikingBlock):
        return JellyBlock(module)
    if isinstance(module, LIF):
        return neuron.LIFNode(
            tau=1 / (1 - module.decay),
            decay_input=False,
            v_threshold=module.threshold,
            v_reset=0.0,
            surrogate_function=surrogate.Rect(alpha=1 / module.surrogate_width),
            step_mode="m",
        )
    if isinstance(module, PerTimestep) and not hasattr(module, "norm"):
        return layer.SeqToANNContainer(*module)
    if isinstance(module, nn.Sequential):
        return nn.Sequential(*(jelly_of(child) for child in module))
    if isinstance(module, nn.BatchNorm2d):
        norm = layer.ThresholdDependentBatchNorm2d(
            module.alpha, module.threshold, module.num_features
        )
        norm.step_mode = "m"
        return norm
    if isinstance(module, nn.Conv2d):
        twin: nn.Module = layer.Conv2d(
            module.in_channels,
            module.out_channels,
            module.kernel_size,
            stride=module.stride,
            padding=module.padding,
            bias=False,
            step_mode="m",
        )
    else:
        twin = layer.Linear(module.in_features, module.out_features, step_mode="m")
    twin.load_state_dict(module.state_dict())
    return twin


def convolutions() -> Callable[[], None]:
    """Forward and backward of every convolution on inputs with a tenth of spikes."""
    inputs: list[tuple[nn.Conv2d, Tensor]] = []
    plain = network()

    def record(conv: nn.Conv2d, args: tuple[Tensor]) -> None:
        spikes = (torch.rand(args[0].shape) < 0.1).float()
        inputs.append((conv, spikes.contiguous(memory_format=torch.channels_last)))

    for module in plain.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_pre_hook(record)
    with torch.no_grad():
        plain(batch()[0])

    def step() -> None:
        for conv, spikes in inputs:
            y = F.conv2d(
                spikes.requires_grad_(conv.in_channels > 3),
                conv.weight,
                stride=conv.stride,
                padding=conv.padding,
            )
            y.backward(y.detach())
            spikes.grad = conv.weight.grad = None

    return step


def training_step(way: str) -> Callable[[], float]:
    """One step; gives the loss."""
    name = way.removesuffix(BFLOAT16)
    if name == CONVOLUTIONS:
        return convolutions()
    model = network()
    if name == JELLY:
        model = JellyNetwork(model).train()
    elif name == OURS:
        model = optimise(model)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    x, labels = batch()

    def step() -> float:
        mixed = torch.autocast("cpu", torch.bfloat16) if way.endswith(BFLOAT16) else nullcontext()
        with mixed:
            loss = F.cross_entropy(model(x), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return float(loss.detach())

    return step


def ways() -> list[str]:
    full = [OURS, PLAIN, *([JELLY] if SPIKINGJELLY else [])]
    return [*full, CONVOLUTIONS, *(f"{way}{BFLOAT16}" for way in full)]


def speeds(names: list[str], rounds: int, warmup: int = 2) -> dict[str, list[float]]:
    """Images per second of every way in every round, in random order."""
    steps = {way: training_step(way) for way in names}
    order = random.Random(0)
    found: dict[str, list[float]] = {way: [] for way in names}
    for _ in range(warmup + rounds):
        for way in order.sample(names, len(names)):
            start = time.perf_counter()
            steps[way]()
            found[way].append(BATCH / (time.perf_counter() - start))
    return {way: values[warmup:] for way, values in found.items()}


def told(values: list[float]) -> str:
    """Median and quartiles."""
    low, high = quartiles(values)
    return f"{median(values):.3g} ({low:.3g}-{high:.3g})"


def memory(way: str) -> dict[str, float]:
    """Peak of a fresh process in MiB: above that after its imports, and in all."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, "--child", way],
        capture_output=True,
        check=True,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def memory_here(way: str) -> dict[str, float]:
    if way.startswith(JELLY):
        from spikingjelly.activation_based import layer, neuron  # noqa: F401
    before = resident("VmRSS")
    step = training_step(way)
    for _ in range(3):
        step()
    peak = resident("VmHWM")
    return {"above imports": (peak - before) / MIB, "in all": peak / MIB}


def resident(field: str) -> int:
    """``VmRSS`` (now) or ``VmHWM`` (peak) of this process, in bytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024


def shares(way: str) -> dict[str, float]:
    """Milliseconds of a step by what they go into."""
    step = training_step(way)
    step()
    with torch.profiler.profile() as profile:
        step()
    found: dict[str, float] = {}
    for event in profile.key_averages():
        kind = kind_of(event.key)
        found[kind] = found.get(kind, 0) + event.self_cpu_time_total / 1e3
    return found


def kind_of(operation: str) -> str:
    if "conv" in operation and "convert" not in operation:
        return "convolutions"
    if "_Fused" in operation:
        return "tdBN and LIF"
    return "tdBN" if "batch_norm" in operation else "all else"


def main(arguments: list[str]) -> None:
    torch.set_num_threads(THREADS)
    warnings.simplefilter("ignore")  # SpikingJelly's own deprecations
    if arguments[:1] == ["--child"]:
        print(json.dumps(memory_here(arguments[1])))
        return
    if not SPIKINGJELLY:
        print("SpikingJelly is not installed: its rows are left out")
    found = speeds(ways(), ROUNDS)
    for way, values in found.items():
        print(f"{way + ', images/s':<50} {told(values)}")
    for way in found:
        rival = JELLY + BFLOAT16 if way.endswith(BFLOAT16) else JELLY
        if rival in found and way != rival:
            ratio = [a / b for a, b in zip(found[way], found[rival], strict=True)]
            print(f"{way + ' / ' + rival:<50} {told(ratio)}")
    for way in found:
        rows = memory(way)
        print(
            f"{way + ', peak MiB above imports (in all)':<50} "
            f"{rows['above imports']:.0f} ({rows['in all']:.0f})"
        )
    for way in (PLAIN, OURS):
        told_shares = ", ".join(f"{kind} {ms:.0f}" for kind, ms in shares(way).items())
        print(f"{way + ', ms of a step':<50} {told_shares}")


if __name__ == "__main__":
    main(sys.argv[1:])
