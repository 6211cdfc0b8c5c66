"""How often neurons fire."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import torch
from torch import Tensor, nn

from snnbench.nn.neuron import LIF


class FiringMeter:
    """Context in which the spikes of a network's LIF layers are counted.

    Args:
        network: One without an LIF has no firing rate.
    """

    def __init__(self, network: nn.Module) -> None:
        self._neurons = [module for module in network.modules() if isinstance(module, LIF)]
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        self._spikes: Tensor | None = None
        self.sites = 0

    def __enter__(self) -> Self:
        self._handles = [module.register_forward_hook(self._add) for module in self._neurons]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for handle in self._handles:
            handle.remove()

    @property
    def spikes(self) -> int:
        """Spikes so far; waits for the device."""
        return 0 if self._spikes is None else int(self._spikes)

    @property
    def rate(self) -> float | None:
        """Spikes per neuron and timestep over all layers; ``None`` if no neuron has run."""
        return self.spikes / self.sites if self.sites else None

    def _add(self, _module: nn.Module, _inputs: object, spikes: Tensor) -> None:
        count = torch.count_nonzero(spikes.detach())
        self._spikes = count if self._spikes is None else self._spikes + count
        self.sites += spikes.numel()


@torch.no_grad()
def probe(network: nn.Module, inputs: Tensor) -> float | None:
    """Firing rate of a network in evaluation mode on a few samples; modes stay as they were."""
    modes = {module: module.training for module in network.modules()}
    try:
        with FiringMeter(network.eval()) as meter:
            network(inputs)
    finally:
        for module, training in modes.items():
            module.training = training
    return meter.rate
