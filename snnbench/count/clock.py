"""The timestep and sample of each slice of a layer's batch.

Operation totals never depend on this module. It only splits them by timestep and by sample, and
where the shapes do not say how, the split is None.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import numpy as np

from snnbench.count.masks import Counts

Layout = Literal["auto", "step", "TN", "NT"]
LAYOUTS: tuple[Layout, ...] = ("auto", "step", "TN", "NT")


class Mode(StrEnum):
    """How one call of the model relates to timesteps."""

    STEP = "step"  # the call is one timestep
    LOOP = "loop"  # layers are called once per timestep inside the call
    MULTI = "multi"  # layers see all timesteps at once


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAxes:
    """How the positions in one model call divide into timesteps and samples.

    Attributes:
        mode: How the call relates to timesteps.
        timesteps: T within this call; ``None`` if unknown.
        samples: N; ``None`` if the model's input has no dimension to read it from.
        batch_first: Whether vectors over all timesteps are ordered [N, T] instead of [T, N].
        ambiguous: Whether N equals T and the layout was guessed.
    """

    mode: Mode
    timesteps: int | None
    samples: int | None
    batch_first: bool = False
    ambiguous: bool = False

    def split(self, vectors: Sequence[Counts]) -> Counts | None:
        """Split the counts of one layer in one model call by timestep and sample.

        Args:
            vectors: One vector per call of the layer, over its leading (batch-like) positions.

        Returns:
            [T, N], or [1, N] if timesteps cannot be separated; ``None`` if samples cannot.
        """
        if not self.samples:
            return None
        if self.mode is Mode.MULTI and (matrix := self._split_multi(vectors)) is not None:
            return matrix
        steps = self._steps(vectors)
        return None if steps is None else self._group(steps)

    def orders_samples(self, shape: tuple[int, ...]) -> bool:
        """Tell whether the leading positions of this shape are known to be the samples in order.

        As long as T is unknown, a leading dimension other than N may count timesteps as well.
        """
        return self.timesteps is not None or shape[:1] in ((), (self.samples,))

    def _split_multi(self, vectors: Sequence[Counts]) -> Counts | None:
        n, t = self.samples or 0, self.timesteps or 0
        if not t or any(len(v) % (n * t) for v in vectors):
            return None
        shape = (n, t, -1) if self.batch_first else (t, n, -1)
        total: Counts = np.sum([v.reshape(shape).sum(axis=2) for v in vectors], axis=0)
        return total.T if self.batch_first else total

    def _steps(self, vectors: Sequence[Counts]) -> Counts | None:
        n = self.samples or 0
        if any(len(v) % n for v in vectors):
            return None
        return np.stack([v.reshape(n, -1).sum(axis=1) for v in vectors])

    def _group(self, steps: Counts) -> Counts:
        t = self.timesteps
        if self.mode is not Mode.STEP and t and len(steps) % t == 0:
            steps = steps.reshape(t, -1, steps.shape[1])
            return np.asarray(steps.sum(axis=1))
        return np.asarray(steps.sum(axis=0, keepdims=True))


class Split:
    """Sums of one quantity of one layer, by timestep and by sample."""

    def __init__(self) -> None:
        self.pending: list[Counts] = []
        self.by_timestep: Counts | None = None
        self.by_sample: list[Counts] = []
        self.timesteps_known = True
        self.samples_known = True

    def settle(self, axes: CallAxes, step: int) -> bool:
        """Distribute the pending counts of one model call, timestep ``step`` of its samples.

        Returns:
            Whether they could be split by sample.
        """
        if not self.pending:
            return False
        pending, self.pending = self.pending, []
        if axes.samples == 0:  # an empty batch adds nothing to any split
            return False
        matrix = axes.split(pending)
        if matrix is None:
            self.timesteps_known = self.samples_known = False
            return False
        self._settle_timesteps(matrix, axes, step)
        self._settle_samples(matrix.sum(axis=0), step)
        return True

    def _settle_timesteps(self, matrix: Counts, axes: CallAxes, step: int) -> None:
        if axes.timesteps is None or (axes.mode is not Mode.STEP and len(matrix) != axes.timesteps):
            self.timesteps_known = False
            return
        if self.by_timestep is None:
            self.by_timestep = np.zeros(axes.timesteps, dtype=np.int64)
        if axes.mode is Mode.STEP:
            self.by_timestep[step] += matrix.sum()
        else:
            self.by_timestep += matrix.sum(axis=1)

    def _settle_samples(self, per_sample: Counts, step: int) -> None:
        if step == 0:
            self.by_sample.append(per_sample)
        elif self.by_sample and len(self.by_sample[-1]) == len(per_sample):
            self.by_sample[-1] = self.by_sample[-1] + per_sample
        else:
            self.samples_known = False

    def timesteps(self) -> tuple[int, ...] | None:
        """Return the sums per timestep over all samples; ``None`` if unknown."""
        if not self.timesteps_known or self.by_timestep is None:
            return None
        return tuple(self.by_timestep.tolist())

    def samples(self, expected: int | None) -> tuple[int, ...] | None:
        """Return the sums per sample over all timesteps; ``None`` unless of ``expected`` length."""
        if not self.samples_known or not self.by_sample:
            return None
        values = tuple(np.concatenate(self.by_sample).tolist())
        return values if len(values) == expected else None


@dataclass(frozen=True, slots=True)
class LayerCalls:
    """Calls of one layer in one model call, from which the clock reads N and T.

    Attributes:
        calls: Number of calls.
        shape: Shape of its input (of its output, for neurons) in the first call.
        is_neuron: Whether it is a neuron layer; these decide before others do.
    """

    calls: int
    shape: tuple[int, ...]
    is_neuron: bool


def axes_of_call(
    layers: Sequence[LayerCalls],
    input_shape: tuple[int, ...] | None,
    timesteps: int | None,
    layout: Layout,
    batch_size: int | None = None,
) -> CallAxes:
    """Decide how one model call is to be split.

    Args:
        layers: Layers that ran in it.
        input_shape: Shape of the model's first tensor argument.
        timesteps: T as declared or known from earlier calls.
        layout: Layout that the user declared.
        batch_size: N, if the user declared it; else it is read from the shapes.
    """
    neurons = [layer for layer in layers if layer.is_neuron]
    declared = layout in {"TN", "NT"}
    if declared and (axes := _multi(layers, input_shape, timesteps, batch_size, layout)):
        return axes
    looping = neurons if timesteps is None else _deciding(layers)
    most = max((layer.calls for layer in looping), default=1)
    if most > 1 and (timesteps is None or most % timesteps == 0) and _loops(looping, most):
        timesteps = timesteps or most
        samples = batch_size or _samples_of_steps(looping, input_shape, timesteps)
        return CallAxes(mode=Mode.LOOP, timesteps=timesteps, samples=samples)
    guessed = layout == "auto" and timesteps and timesteps > 1
    if guessed and (axes := _multi(layers, input_shape, timesteps, batch_size, layout)):
        return axes
    samples = batch_size or _samples_of_steps(_deciding(layers), input_shape, timesteps)
    return CallAxes(mode=Mode.STEP, timesteps=timesteps, samples=samples)


def _loops(layers: Sequence[LayerCalls], most: int) -> bool:
    """Tell whether most layers ran a multiple of ``most`` times; one shared layer is no loop."""
    return sum(layer.calls % most == 0 for layer in layers) * 2 > len(layers)


def _samples_of_steps(
    layers: Sequence[LayerCalls], input_shape: tuple[int, ...] | None, timesteps: int | None
) -> int | None:
    """Find N where layers see one timestep at a time; the model's input may be [T, N, ...]."""
    if not input_shape:
        return None
    leading = {layer.shape[0] for layer in layers if layer.shape}
    if len(input_shape) > 1 and input_shape[0] == timesteps and leading == {input_shape[1]}:
        return input_shape[1]
    return input_shape[0]


def _multi(
    layers: Sequence[LayerCalls],
    input_shape: tuple[int, ...] | None,
    timesteps: int | None,
    batch_size: int | None,
    layout: Layout,
) -> CallAxes | None:
    """Read a call whose layers see all timesteps, with the N that most deciding layers agree with.

    Without a declared layout this is a guess, time first, and ``None`` if no layer agrees.
    """
    if not input_shape:
        return None
    declared, batch_first = layout != "auto", layout == "NT"
    time_axis = 1 if batch_first and len(input_shape) > 1 else 0
    t = timesteps or input_shape[time_axis]
    candidates = [batch_size or input_shape[0]]
    if not batch_size and len(input_shape) > 1 and input_shape[time_axis] == t:
        candidates.insert(0, input_shape[1 - time_axis])
    if not batch_size and declared and t and input_shape[0] % t == 0:
        candidates.append(input_shape[0] // t)  # flat, [T*N, ...]
    deciding = _deciding(layers)

    def agreeing(n: int) -> int:
        pair = (n, t) if batch_first else (t, n)
        return sum(layer.shape[:1] == (t * n,) or layer.shape[:2] == pair for layer in deciding)

    candidates = [n for n in candidates if declared or agreeing(n)]
    if not candidates:
        return None
    return CallAxes(
        mode=Mode.MULTI,
        timesteps=t,
        samples=max(candidates, key=agreeing),
        batch_first=batch_first,
        ambiguous=not declared and input_shape[0] == t and len(candidates) > 1,
    )


def _deciding(layers: Sequence[LayerCalls]) -> Sequence[LayerCalls]:
    """Select the layers whose shapes show T and N: neurons, or all if there are none."""
    return [layer for layer in layers if layer.is_neuron] or layers
