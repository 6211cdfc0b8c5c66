"""Networks that do not return one number for each class are refused before they are measured."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from safetensors.torch import save_file
from snnbench.models import resnet
from torch import nn

from snnbench.core.errors import StructureError
from snnbench.run.building_pass import prepare
from snnbench.run.config import configure
from snnbench.train.evaluate_weights import evaluate_weights
from snnbench.train.machine import Machine
from snnbench.train.recipe import resolve
from snnbench.train.training import train
from snnbench.zoo import registry
from snnbench.zoo.card import Card
from snnbench.zoo.registry import Benchmark

SMALL = {"timesteps": 1, "width": 0.0625}
ONE = Machine(threads=1)


def fifty(card: Card, **arguments: object) -> nn.Module:
    """Build a network whose fifty output neurons do not vote for ten classes."""
    return resnet.build(msgspec.structs.replace(card, classes=50), **arguments)  # type: ignore[arg-type]


def run_it(benchmark: Benchmark, _folder: Path) -> None:
    silent = SimpleNamespace(stage=lambda *_: nullcontext(lambda _: None), note=lambda _: None)
    prepare(benchmark, configure(benchmark, samples=1, threads=1, untrained=True, **SMALL), silent)


def train_it(benchmark: Benchmark, folder: Path) -> None:
    train(resolve(benchmark.card, epochs=1, **SMALL), ONE, folder)


def evaluate_it(benchmark: Benchmark, folder: Path) -> None:
    weights = folder / "weights.safetensors"
    save_file(benchmark.build(**SMALL).state_dict(), weights)
    evaluate_weights(benchmark, str(weights), machine=ONE, width=SMALL["width"])


@pytest.mark.parametrize("use", [run_it, train_it, evaluate_it])
def test_outputs_are_checked_before_anything_else(
    use: Callable[[Benchmark, Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark = Benchmark(path=registry.get("resnet19").path, builder=f"{__name__}:fifty")
    monkeypatch.setattr(registry, "get", lambda _: benchmark)
    with pytest.raises(StructureError, match=r"resnet19: the network returns \[1, 50\] for one"):
        use(benchmark, tmp_path)
