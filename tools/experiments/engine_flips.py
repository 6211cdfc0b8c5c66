"""What rounding does to a trained network: flipped spikes, and accuracy with rounded weights.

Run ``python tools/experiments/engine_flips.py``:
the digits network that comes with snnbench, on all
1,797 digits for flips, on the 300 test digits for accuracy. One flipped spike changes the inputs of
the neurons behind it, so what matters is the number of images in which any spike flipped: in each
it begins with a potential at the threshold.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import snnbench
from snnbench.data.dataset import Part
from snnbench.data.open import open_set
from snnbench.engine.dense.lif import FusedLIF
from snnbench.engine.dense.packed import prepack
from snnbench.engine.runtime import WeightsDtype
from snnbench.nn.fold import fold_batch_norm
from snnbench.nn.neuron import LIF
from snnbench.run.config import configure
from snnbench.train.batches import network_input
from snnbench.zoo import networks, registry

BATCH = 25
FORMATS: tuple[WeightsDtype, ...] = ("float32", "int16", "bfloat16")
PAIRS = (
    ("plain PyTorch", "float64"),
    ("prepacked", "float64"),
    ("events", "float64"),
    ("events", "plain PyTorch"),
    ("events", "prepacked"),
    ("events in float64", "float64"),
)
Spikes = list[Tensor]


@dataclass
class Flips:
    """What differs between two ways to compute."""

    spikes: int = 0
    flipped: int = 0
    images: int = 0

    def add(self, ours: Spikes, theirs: Spikes) -> None:
        """Compare the spikes of a batch, per layer [T, N, ...]."""
        pairs = zip(ours, theirs, strict=True)
        per_image = sum((a != b).transpose(0, 1).flatten(1).sum(1) for a, b in pairs)
        assert isinstance(per_image, Tensor)
        self.spikes += sum(spikes.numel() for spikes in ours)
        self.flipped += int(per_image.sum())
        self.images += int((per_image > 0).sum())


def dense_spikes(network: nn.Module, x: Tensor) -> Spikes:
    """Spikes of every layer of neurons, in order of execution."""
    found: Spikes = []
    handles = [
        module.register_forward_hook(lambda _m, _args, out: found.append(out != 0))
        for module in network.modules()
        if isinstance(module, LIF | FusedLIF)
    ]
    network(x)
    for handle in handles:
        handle.remove()
    return found


def digits(*parts: Part) -> Iterator[tuple[Tensor, Tensor]]:
    """Digits as the network sees them, and their classes, in batches."""
    spec = registry.get("resnet19").card.input
    for part in parts:
        data = open_set(spec, data=None, part=part, timesteps=1)
        for first in range(0, len(data), BATCH):
            images, classes = data.batch(range(first, min(first + BATCH, len(data))), None)
            x = network_input(images, data, torch.device("cpu"), twin=False)
            yield x.contiguous(), classes


def print_accuracies(network: nn.Module, example: Tensor) -> None:
    """Correct answers of event kernels per format of the weights, and spikes unlike float32's."""
    correct, unlike = dict.fromkeys(FORMATS, 0), {name: Flips() for name in FORMATS}
    models = {
        name: snnbench.compile(network, example, mode="event", weights_dtype=name)
        for name in FORMATS
    }
    for x, classes in digits("test"):
        exact = list(models["float32"].spikes(x).values())
        for name, model in models.items():
            correct[name] += int((model(x).argmax(1) == classes).sum())
            unlike[name].add(list(model.spikes(x).values()), exact)
    for name, right in correct.items():
        share = 100 * unlike[name].flipped / unlike[name].spikes
        print(f"{name:<32} {right} of the test digits right, {share:.2g} % of spikes are others")


@torch.inference_mode()
def main() -> None:
    benchmark = registry.get("resnet19")
    config = configure(benchmark, width=0.125, samples=1, with_latency=False)
    network = networks.configured(benchmark, config)
    plain = fold_batch_norm(network).model
    exact, packed = copy.deepcopy(plain).double(), prepack(plain)
    example = next(digits("test"))[0][:1]
    print_accuracies(network, example)
    events = snnbench.compile(network, example, mode="event")
    events64 = snnbench.compile(network, example, mode="event", weights_dtype="float64")
    ways: dict[str, Callable[[Tensor], Spikes]] = {
        "float64": lambda x: dense_spikes(exact, x.double()),
        "plain PyTorch": lambda x: dense_spikes(plain, x),
        "prepacked": lambda x: dense_spikes(packed, x),
        "events": lambda x: list(events.spikes(x).values()),
        "events in float64": lambda x: list(events64.spikes(x.double()).values()),
    }
    pairs = {pair: Flips() for pair in PAIRS}
    for x, _ in digits("test", "train"):
        spikes = {name: way(x) for name, way in ways.items()}
        for (a, b), flips in pairs.items():
            flips.add(spikes[a], spikes[b])
    for (a, b), flips in pairs.items():
        share = f"{flips.flipped:,} of {flips.spikes:,} ({flips.flipped / flips.spikes:.2e})"
        print(f"{f'{a} against {b}':<32} {share}, in {flips.images} images")


if __name__ == "__main__":
    main()
