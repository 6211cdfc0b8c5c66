"""The built-in benchmarks, one per card; nothing here loads torch."""

from pathlib import Path

from snnbench.zoo import Benchmark

_HERE = Path(__file__).parent


def _resnet(name: str) -> Benchmark:
    return Benchmark(
        path=_HERE / "cards" / f"{name}.toml",
        builder="snnbench.models.resnet:build",
        weights=_HERE / "weights" / name,
    )


resnet17 = _resnet("resnet17")
resnet17_nmnist = _resnet("resnet17-nmnist")
resnet19 = _resnet("resnet19")
resnet34 = _resnet("resnet34")
resnet34_large = _resnet("resnet34-large")
resnet50 = _resnet("resnet50")
plain20 = _resnet("plain20")
