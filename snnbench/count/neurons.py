"""Recognise spiking neurons by the qualified names of their classes, importing no framework."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

# (top-level package, class name) of a base class -> its instances are neurons
_BASE = ("snnbench", "Neuron")
NEURON_BASES = frozenset(
    {
        _BASE,
        ("spikingjelly", "BaseNode"),
        ("snntorch", "SpikingNeuron"),
        ("norse", "SNN"),
        ("norse", "SNNCell"),
        ("norse", "SNNRecurrent"),
        ("norse", "SNNRecurrentCell"),
        ("sinabs", "StatefulLayer"),
    }
)

_LIBRARIES = frozenset(package for package, _ in NEURON_BASES)


def is_neuron(module: nn.Module, extra: tuple[type[nn.Module], ...] = ()) -> bool:
    """Tell whether ``module`` is a spiking neuron, of a known or of a further (extra) class."""
    return isinstance(module, extra) or not NEURON_BASES.isdisjoint(_bases(module))


def _bases(module: nn.Module) -> set[tuple[str, str]]:
    """Top-level package and name of the classes of ``module``."""
    return {(base.__module__.partition(".")[0], base.__name__) for base in type(module).__mro__}


def is_known_elementwise(module: nn.Module) -> bool:
    """Tell whether a neuron is a known library's own class and holds no weight matrix."""
    package = type(module).__module__.partition(".")[0]
    return package in _LIBRARIES and all(p.dim() < 2 for p in module.parameters())


def neuron_names(
    modules: Mapping[str, nn.Module], extra: tuple[type[nn.Module], ...]
) -> frozenset[str]:
    """Name the neuron layers among ``modules``.

    A neuron of snnbench is one layer, whatever it consists of. A module of another library that
    wraps neurons is not one.
    """
    names = {name for name, module in modules.items() if is_neuron(module, extra)}
    whole = {name for name in names if _BASE in _bases(modules[name])}
    names = {name for name in names if not any(_within(name, outer) for outer in whole)}
    return frozenset(
        name for name in names if name in whole or not any(_within(x, name) for x in names)
    )


def _within(name: str, outer: str) -> bool:
    return name != outer and name.startswith(f"{outer}." if outer else "")


def spikes_of(output: Any) -> Tensor | None:
    """Find the spikes in a neuron's output: the output itself, or the first tensor of a tuple.

    Norse cells return (spikes, state), snnTorch neurons (spikes, membrane potential, ...).
    """
    if isinstance(output, Tensor):
        return output
    if isinstance(output, tuple | list) and output:
        return spikes_of(output[0])
    return None
