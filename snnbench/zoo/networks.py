"""Building a benchmark's network or its ANN twin, with fresh or trained weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module

import torch
from torch import Tensor, nn

from snnbench.core.errors import StructureError, UsageError
from snnbench.nn import neuron as neurons
from snnbench.nn.meters import evaluating
from snnbench.nn.neuron import LIF, Neuron
from snnbench.nn.twin import ann_twin
from snnbench.results.run import RunConfig, WeightsInfo
from snnbench.zoo import shipped, weight_files
from snnbench.zoo.card import Card
from snnbench.zoo.choice import WIDTH
from snnbench.zoo.registry import Benchmark


def build(
    benchmark: Benchmark,
    *,
    timesteps: int,
    width: float,
    options: Mapping[str, str],
    twin: bool = False,
    channels_last: bool = False,
) -> nn.Module:
    """Build a network with fresh weights, drawn from torch's generator, or its ANN twin.

    The twin's linear layers start from PyTorch's own, smaller weights. Those of the spiking network
    are so large that its hidden neurons fire; they drive ReLUs so far that the first steps silence
    them for good. Measured on digits, three epochs: 22 % with them, 94 % without.

    Raises:
        UsageError: An argument is out of range.
    """
    network = benchmark.build(timesteps=timesteps, width=width, **options)
    if twin:
        network = ann_twin(network)
        for module in network.modules():
            if isinstance(module, nn.Linear):
                module.reset_parameters()
    if channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def configured(benchmark: Benchmark, config: RunConfig) -> nn.Module:
    """Build the spiking network of a run, with its weights, in evaluation mode on its device.

    Raises:
        UsageError: An argument is out of range, or no such weights come with the benchmark.
        WeightsError: The weights cannot be read or do not fit.
    """
    network = build(
        benchmark,
        timesteps=config.timesteps,
        width=WIDTH if config.width is None else config.width,
        options=config.options,
    ).eval()
    if config.weights is not None:
        load(network, benchmark, config.weights)
    return network.to(config.device)


@torch.no_grad()
def check_outputs(network: nn.Module, card: Card, one: Tensor) -> None:
    """Prove that a network returns one number for each class, by running it once.

    Args:
        network: The network of a card, or its twin.
        card: Says how many classes there are.
        one: Input of one sample.

    Raises:
        StructureError: It returns something else, such as outputs that were not averaged over time.
    """
    with evaluating(network):
        outputs = network(one)
    shape = list(getattr(outputs, "shape", ()))
    if shape != [1, card.classes]:
        found = shape if isinstance(outputs, Tensor) else f"a {type(outputs).__name__}"
        msg = f"{card.name}: the network returns {found} for one sample, not [1, {card.classes}]"
        raise StructureError(msg)


def neurons_of(card: Card) -> Callable[[], Neuron]:
    """Return a function that makes the layers of neurons that a card names.

    ``class`` is a class of ``snnbench.nn.neuron`` (``LIF`` by default) or, as ``module:Class``, one
    of your own; the other entries of the table are its constants.

    Raises:
        UsageError: There is no such class, it does not take these constants, or has no threshold.
    """
    constants = dict(card.neuron)
    name = constants.pop("class", LIF.__name__)
    module, separator, own = str(name).partition(":")
    try:
        kind = getattr(import_module(module) if separator else neurons, own or module, None)
    except (ImportError, SyntaxError, TypeError, ValueError) as error:  # names such as ":X", ".x:X"
        msg = f"card {card.name}: neuron class {name} cannot be loaded: {error}"
        raise UsageError(msg) from error
    if not (isinstance(kind, type) and issubclass(kind, Neuron)):
        msg = f"card {card.name}: {name} is not a class of neurons; use one such as LIF"
        raise UsageError(msg)
    make = partial(kind, **constants)
    try:
        made = make()
    except (TypeError, ValueError) as error:
        msg = f"card {card.name}: {name} does not take the constants of the card: {error}"
        raise UsageError(msg) from error
    if not hasattr(made, "threshold"):
        msg = f"card {card.name}: neurons of class {name} have no threshold; set it in the class"
        raise UsageError(msg)
    return make


def load(network: nn.Module, benchmark: Benchmark, source: str) -> None:
    """Put the weights of a file, or of ``shipped:NAME``, into a network.

    Raises:
        UsageError: No such weights come with the benchmark.
        WeightsError: The weights cannot be read or do not fit.
    """
    state = weight_files.load_state(shipped.locate(benchmark, source))
    weight_files.apply_state(network, state, source=f"weights {source}")


def info(
    benchmark: Benchmark, network: nn.Module, source: str | None, untrained: str
) -> WeightsInfo:
    """Record the provenance of the weights in a network.

    Args:
        benchmark: Benchmark of the network.
        network: Network whose state is hashed.
        source: File or ``shipped:NAME``; ``None`` for untrained weights.
        untrained: Description of untrained weights.
    """
    sha256 = weight_files.state_sha256(network.state_dict())
    if source is None:
        return WeightsInfo(status="untrained", description=untrained, sha256=sha256)
    path = shipped.locate(benchmark, source)
    return WeightsInfo(
        status="trained",
        description=source if source.startswith(shipped.SHIPPED) else path.name,
        sha256=sha256,
        evidence=shipped.evidence(path),
    )
