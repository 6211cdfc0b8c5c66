"""Hooks in a ``with`` block: the spikes, firing rates and densities of a running network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn

from snnbench.core.errors import StructureError
from snnbench.nn.neuron import neurons_in

Hook = Callable[[str, nn.Module, tuple[Any, ...], Any], Tensor | None]


@contextmanager
def hooked(modules: Iterable[tuple[str, nn.Module]], hook: Hook) -> Iterator[None]:
    """Call ``hook(name, module, args, output)`` after every call of some modules.

    Args:
        modules: Modules with their names, as ``named_modules`` gives them.
        hook: Function whose result, if it is a tensor, replaces the output.
    """
    with ExitStack() as undo:
        for name, module in modules:
            undo.callback(module.register_forward_hook(partial(hook, name)).remove)
        yield


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode; every module gets its own mode back."""
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


class Tally:
    """Number of elements of tensors that are not zero; adding does not wait for the device.

    Attributes:
        total: Number of elements so far.
    """

    def __init__(self) -> None:
        self._nonzero: Tensor | int = 0
        self.total = 0

    def add(self, x: Tensor) -> None:
        """Count the elements of one more tensor."""
        self._nonzero = self._nonzero + torch.count_nonzero(x.detach())
        self.total += x.numel()

    @property
    def nonzero(self) -> int:
        """Number of elements so far that are not zero; waits for the device."""
        return int(self._nonzero)

    @property
    def share(self) -> float | None:
        """Share of elements that are not zero; ``None`` if there are no elements."""
        return self.nonzero / self.total if self.total else None


@contextmanager
def record_spikes(
    network: nn.Module, replaced: Mapping[str, Tensor] | None = None
) -> Iterator[dict[str, Tensor]]:
    """Record which neurons fire, in the order of calls.

    Args:
        network: Any network.
        replaced: Outputs that replace those of some calls.

    Yields:
        A mask of [T, N, ...] for every call of a layer of neurons, by the layer's name; ``#2`` is
        appended for the second call, and so on.

    Raises:
        StructureError: Neurons return something else than a tensor.
    """
    fired: dict[str, Tensor] = {}
    calls: Counter[str] = Counter()

    def record(name: str, spikes: Tensor) -> Tensor | None:
        calls[name] += 1
        call = name if calls[name] == 1 else f"{name}#{calls[name]}"
        fired[call] = spikes != 0
        return None if replaced is None else replaced.get(call)

    with _watched(network, record):
        yield fired


@contextmanager
def measure_firing(network: nn.Module) -> Iterator[Tally]:
    """Count the spikes of all neurons; ``share`` is the firing rate, per neuron and timestep.

    Raises:
        StructureError: Neurons return something else than a tensor.
    """
    tally = Tally()
    with _watched(network, lambda _name, spikes: tally.add(spikes)):
        yield tally


@contextmanager
def measure_inputs(network: nn.Module, names: Iterable[str]) -> Iterator[dict[str, Tally]]:
    """Count the elements that are not zero in the first argument of modules, by name."""
    tallies = {name: Tally() for name in names}
    modules = [(name, module) for name, module in network.named_modules() if name in tallies]
    with hooked(modules, lambda name, _module, args, _output: tallies[name].add(args[0])):
        yield tallies


@contextmanager
def tick(show: Callable[[int], None], *networks: nn.Module) -> Iterator[None]:
    """Show the number of layers with weights that have run, of the ``ticks`` of each call."""
    done = count(1)
    modules = [("", module) for network in networks for module in _weighted(network)]
    with hooked(modules, lambda *_: show(next(done))):
        yield


def ticks(*networks: nn.Module) -> int:
    """Number of layers with weights that run if each network is called once."""
    return sum(len(_weighted(network)) for network in networks)


@torch.no_grad()
def firing_rate(network: nn.Module, inputs: Tensor) -> float | None:
    """Spikes per neuron and timestep in evaluation mode; ``None`` if no neuron runs."""
    with evaluating(network), measure_firing(network) as firing:
        network(inputs)
    return firing.share


@contextmanager
def _watched(network: nn.Module, watch: Callable[[str, Tensor], Tensor | None]) -> Iterator[None]:
    """Let ``watch(name, spikes)`` see every call of a layer of neurons."""

    def hook(name: str, _module: object, _args: object, spikes: Any) -> Tensor | None:
        if not isinstance(spikes, Tensor):
            msg = f"'{name}' returns a {type(spikes).__name__}: a Neuron returns its spikes alone"
            raise StructureError(msg)
        return watch(name, spikes)

    with hooked(neurons_in(network).items(), hook):
        yield


def _weighted(network: nn.Module) -> list[nn.Module]:
    return [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
