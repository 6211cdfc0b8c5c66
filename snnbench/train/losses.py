"""Losses, by the names that cards and recipes give them."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from snnbench.train.recipe import Loss


def mean_squared_error(outputs: Tensor, labels: Tensor) -> Tensor:
    """Mean over samples and classes of the squared distance to 1 for the class, 0 for others.

    For outputs that are rates, such as votes of groups of neurons (WU19).

    Args:
        outputs: Outputs of the network, [N, classes].
        labels: Indices of the classes, [N].
    """
    targets = F.one_hot(labels, outputs.shape[1]).to(outputs.dtype)
    return F.mse_loss(outputs, targets)


LOSSES: dict[Loss, Callable[[Tensor, Tensor], Tensor]] = {
    "cross-entropy": F.cross_entropy,
    "mse": mean_squared_error,
}
"""Name -> function of outputs [N, classes] and labels [N], which returns the mean loss."""
