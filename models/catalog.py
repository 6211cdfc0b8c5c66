"""The built-in benchmarks, one per card; nothing here loads torch."""

from pathlib import Path

from snnbench.zoo import Benchmark

_CARDS = Path(__file__).parent / "cards"


def _resnet(name: str) -> Benchmark:
    return Benchmark(path=_CARDS / f"{name}.toml", builder="snnbench.models.resnet:build")


resnet17 = _resnet("resnet17")
resnet17_nmnist = _resnet("resnet17-nmnist")
resnet19 = _resnet("resnet19")
resnet34 = _resnet("resnet34")
resnet34_large = _resnet("resnet34-large")
resnet50 = _resnet("resnet50")
plain20 = _resnet("plain20")
