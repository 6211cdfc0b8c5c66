"""Operations between layers as modules, so that dense steps can run them."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from snnbench.engine.lowering.trace import Slot


class Add(nn.Module):
    """Sum of tensors, static ones broadcast over time."""

    def forward(self, *tensors: Tensor) -> Tensor:
        """Add tensors [B, ...]."""
        return sum(tensors[1:], tensors[0])


class Reshape(nn.Module):
    """Gives each sample another shape, which excludes the batch."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        """Reshape [B, ...] to [B, *shape]."""
        return x.reshape(len(x), *self.shape)


class Function(nn.Module):
    """A function as the network's forward called it, with ``Slot`` for recorded tensors.

    Parameters among its arguments become buffers.
    """

    def __init__(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super().__init__()
        self.function = function
        inputs = sum(isinstance(x, Slot) for x in tree_leaves((args, kwargs)))

        def hold(x: Any) -> Any:
            if not isinstance(x, Tensor):
                return x
            slot = Slot(inputs + len(self._buffers))
            self.register_buffer(f"constant{len(self._buffers)}", x)
            return slot

        self.args, self.kwargs = tree_map(hold, args), tree_map(hold, kwargs)

    def forward(self, *tensors: Tensor) -> Tensor:
        """Call the function, on copies, since it may work in place."""
        known = [*(x.clone() for x in tensors), *self._buffers.values()]

        def fill(x: Any) -> Any:
            return known[x.position] if isinstance(x, Slot) else x

        y: Tensor = self.function(*tree_map(fill, self.args), **tree_map(fill, self.kwargs))
        return y
