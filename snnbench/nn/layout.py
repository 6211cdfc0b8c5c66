"""Axes of time and samples in the input of a network, and how the network is called."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Axes of an input.

    Attributes:
        sample: Axis of the samples.
        time: Axis of the timesteps; ``None`` if every timestep sees the same input.
        stepwise: Whether the network is called once per timestep, not once for all of them.
    """

    sample: int
    time: int | None = None
    stepwise: bool = False

    def samples(self, inputs: Tensor) -> int:
        """Number of samples in an input."""
        return inputs.shape[self.sample]

    def batch(self, inputs: Tensor, first: int, samples: int) -> Tensor:
        """The samples from ``first`` on, as a view."""
        return inputs.narrow(self.sample, first, samples)

    def first_samples(self, inputs: Tensor, samples: int) -> Tensor:
        """The first samples; if there are fewer, they repeat from the first on."""
        available = self.samples(inputs)
        if samples <= available:
            return self.batch(inputs, 0, samples)
        repeated = torch.arange(samples, device=inputs.device) % available
        return inputs.index_select(self.sample, repeated)

    def first_timestep(self, inputs: Tensor) -> Tensor:
        """Input of the first timestep alone, with the same number of axes."""
        return inputs if self.time is None else inputs.narrow(self.time, 0, 1)

    def twin_input(self, inputs: Tensor) -> Tensor:
        """The input of the ANN twin: the mean over time, [N, ...]."""
        return inputs if self.time is None else inputs.mean(dim=self.time)

    def arrange(self, steps: Tensor) -> Tensor:
        """Timesteps, [T, N, ...], in this layout; the first one alone if it has no time."""
        return steps[0] if self.time is None else steps.movedim(0, self.time)

    def calls(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Inputs of the calls of the network, in order."""
        if self.stepwise and self.time is not None:
            return inputs.unbind(self.time)
        return (inputs,)


IMAGES = Layout(sample=0)
"""[N, C, H, W], the same at every timestep."""
FRAMES = Layout(time=0, sample=1)
"""[T, N, C, H, W]."""
LAYOUTS = {
    "step": Layout(time=0, sample=1, stepwise=True),
    "loop": IMAGES,
    "TN": FRAMES,
    "NT": Layout(time=1, sample=0),
}
"""Layouts by the names that users give them."""


def layout_of(inputs: Tensor) -> Layout:
    """The layout of a benchmark's input: frames of events have five axes, images have four."""
    return FRAMES if inputs.ndim == 5 else IMAGES
