"""Values of one call, as tensors or as masks, as their readers need them."""

from __future__ import annotations

import torch
from torch import Tensor

from snnbench.core.errors import StructureError
from snnbench.engine.kernels import masks as spike_masks
from snnbench.engine.kernels.masks import Masks
from snnbench.engine.plan import Value


class Store:
    """Holds a plan's values during one call; spikes are converted once, when first needed."""

    def __init__(self, values: tuple[Value, ...], timesteps: int, dtype: torch.dtype) -> None:
        self._values = values
        self._timesteps = timesteps
        self._dtype = dtype
        self._tensors: dict[int, Tensor] = {}
        self._masks: dict[int, Masks] = {}
        self._samples: int | None = None

    def put(self, index: int, value: Tensor | Masks) -> None:
        """Store a step's output: [T, N, ...], or [N, ...] if static, or masks.

        Raises:
            StructureError: A tensor has another shape. Kernels work on addresses, so this is where
                a module that mixes time and batch must stop.
        """
        if isinstance(value, Tensor):
            self._check(index, value)
            self._tensors[index] = value
        else:
            self._masks[index] = value

    def _check(self, index: int, tensor: Tensor) -> None:
        value = self._values[index]
        time = () if value.static else (self._timesteps,)
        if self._samples is None:  # the input comes first
            self._samples = tensor.shape[len(time)]
        expected = (*time, self._samples, *value.shape)
        if tensor.shape != expected:
            msg = (
                f"'{value.name}' made {list(tensor.shape)} instead of {list(expected)}: "
                "keep time and batch in front, [T, N, ...]"
            )
            raise StructureError(msg)

    def tensor(self, index: int) -> Tensor:
        """Return a value as a tensor, [T, N, ...], or [N, ...] if static."""
        if index not in self._tensors:
            masks, shape = self._masks[index], self._values[index].shape
            spikes = spike_masks.unpack(masks, shape[0], self._dtype)
            self._tensors[index] = spikes.reshape(*spikes.shape[:2], *shape)
        return self._tensors[index]

    def over_time(self, index: int) -> Tensor:
        """Return a value as a tensor [T, N, ...], expanded if static."""
        x = self.tensor(index)
        return x.expand(self._timesteps, *x.shape) if self._values[index].static else x

    def source(self, index: int) -> Masks | Tensor:
        """Return a value as event kernels take it: spikes as masks, others as tensors."""
        if self._values[index].kind == "dense":
            return self.tensor(index)
        if index not in self._masks:
            self._masks[index] = spike_masks.pack(self._tensors[index])
        return self._masks[index]

    def free(self, index: int) -> None:
        """Forget a value."""
        self._tensors.pop(index, None)
        self._masks.pop(index, None)


def as_images(x: Tensor) -> Tensor:
    """View [T, N, C, H, W] or [T, N, F] as [T, N, C, H, W]."""
    return x if x.ndim == 5 else x[..., None, None]
