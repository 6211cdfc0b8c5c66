"""Spiking neurons as modules on [T, N, ...] pre-activations, without state between calls."""

from __future__ import annotations

from torch import Tensor, nn

from snnbench.core.errors import UsageError
from snnbench.nn.functional import lif_sequence


class LIF(nn.Module):
    """Leaky integrate-and-fire layer with hard reset (ZH21 eq. 1-3).

    Every call starts from a potential of zero and runs all timesteps, so inference leaves the
    module untouched and batches never leak into each other.

    Attributes:
        decay: tau_decay in [0, 1].
        threshold: V_th > 0; fires where the potential is strictly above it.
        surrogate_width: Window ``a`` > 0 of the surrogate derivative (eq. 16).

    Raises:
        UsageError: A constant is out of its range.
    """

    def __init__(
        self, *, decay: float = 0.25, threshold: float = 1.0, surrogate_width: float = 1.0
    ) -> None:
        super().__init__()
        if not 0 <= decay <= 1:
            msg = f"LIF: decay must lie in [0, 1], got {decay}"
            raise UsageError(msg)
        if not (threshold > 0 and surrogate_width > 0):
            msg = (
                "LIF: threshold and surrogate_width must be positive, "
                f"got {threshold} and {surrogate_width}"
            )
            raise UsageError(msg)
        self.decay = decay
        self.threshold = threshold
        self.surrogate_width = surrogate_width

    def forward(self, x: Tensor) -> Tensor:
        """Spikes (0.0 or 1.0) of pre-activations, [T, N, ...] -> [T, N, ...]."""
        return lif_sequence(
            x,
            decay=self.decay,
            threshold=self.threshold,
            surrogate_width=self.surrogate_width,
        )

    def extra_repr(self) -> str:
        """Constants for ``repr``."""
        return (
            f"decay={self.decay}, threshold={self.threshold}, "
            f"surrogate_width={self.surrogate_width}"
        )


class IF(LIF):
    """Integrate-and-fire layer with hard reset: an ``LIF`` whose potential does not decay."""

    def __init__(self, *, threshold: float = 1.0, surrogate_width: float = 1.0) -> None:
        super().__init__(decay=1.0, threshold=threshold, surrogate_width=surrogate_width)
