"""The network that a configuration asks for, with its weights and where they come from."""

from __future__ import annotations

from typing import cast

from torch import nn

from snnbench.nn.blocks import Shortcut
from snnbench.results.run import RunConfig, WeightsInfo
from snnbench.zoo import shipped as trained
from snnbench.zoo import weight_files as weights
from snnbench.zoo.registry import Benchmark


def build(benchmark: Benchmark, config: RunConfig) -> nn.Module:
    """The spiking network in evaluation mode on its device, with trained weights if there are any.

    Raises:
        UsageError: An argument is out of range, or no such weights come with the benchmark.
        WeightsError: The weights cannot be read or do not fit.
    """
    network = benchmark.build(
        timesteps=config.timesteps,
        width=config.width or 1.0,
        shortcut=cast("Shortcut", config.shortcut or "paper"),
    ).eval()
    if config.weights is not None:
        load(network, benchmark, config.weights)
    return network.to(config.device)


def load(network: nn.Module, benchmark: Benchmark, source: str) -> None:
    """Put the weights of a file, or of ``shipped:NAME``, into a network.

    Raises:
        UsageError: No such weights come with the benchmark.
        WeightsError: The weights cannot be read or do not fit.
    """
    state = weights.load_state(trained.locate(benchmark, source))
    weights.apply_state(network, state, source=f"weights {source}")


def info(
    benchmark: Benchmark, network: nn.Module, source: str | None, untrained: str
) -> WeightsInfo:
    """Provenance of the weights in a network.

    Args:
        benchmark: That the network is of.
        network: Its state is hashed.
        source: File or ``shipped:NAME``; ``None`` is untrained.
        untrained: Description if so.
    """
    sha256 = weights.state_sha256(network.state_dict())
    if source is None:
        return WeightsInfo(status="untrained", description=untrained, sha256=sha256)
    path = trained.locate(benchmark, source)
    return WeightsInfo(
        status="trained",
        description=source if source.startswith(trained.SHIPPED) else path.name,
        sha256=sha256,
        evidence=trained.evidence(path),
    )
