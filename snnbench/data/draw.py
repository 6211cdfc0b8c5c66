"""A seeded draw of test samples, as the networks take them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from snnbench.core.errors import DataError
from snnbench.data.dataset import ENDLESS, DataSet, Draw, normalise, sha256_of
from snnbench.data.folders import generator
from snnbench.data.open import open_set
from snnbench.results.run import DataInfo
from snnbench.zoo.card import InputSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Input of a network.

    Attributes:
        inputs: ``float32``; normalised images [S, C, H, W] or frames of events [T, S, 2, H, W].
        labels: Class of each sample, ``int64`` [S]; ``None`` unless they are the network's classes.
        info: Provenance of the samples.
    """

    inputs: Tensor
    labels: Tensor | None
    info: DataInfo


def draw_samples(
    spec: InputSpec,
    *,
    data: str | None,
    samples: int,
    timesteps: int,
    seed: int = 0,
    classes: int | None = None,
) -> Samples:
    """Draw samples for counting; the same arguments give the same bytes.

    Args:
        spec: Input of the network.
        data: ``KIND=PATH``, a bare path or ``None``, as for ``open_set``. Samples are drawn from
            the test part, or from the whole of a folder without parts.
        samples: Number of samples.
        timesteps: Frames of ``spec.slice_us`` per recording; images do not use it.
        seed: The same seed draws the same samples.
        classes: Outputs of the network. A set with more classes gives no labels; subfolders of a
            folder without parts are classes only if there are exactly as many.

    Raises:
        DataError: Data is missing, broken, too little, or does not fit ``spec``.
    """
    if samples < 1 or timesteps < 1 or not 0 <= seed < 2**32:
        msg = (
            f"samples and timesteps must be at least 1 and the seed within 0 and 2**32 - 1, "
            f"not {samples}, {timesteps} and {seed}"
        )
        raise DataError(msg)
    draw = Draw(samples=samples, seed=seed, outputs=classes)
    test = open_set(spec, data=data, part="test", timesteps=timesteps, draw=draw)
    indices = choose(test, draw)
    inputs = normalise(test.values(indices, None), test)
    labels = None
    if test.labels is not None and (classes is None or test.classes <= classes):
        labels = test.labels[indices]
    info = DataInfo(
        name=test.name,
        description=test.description + _empty_frames(inputs),
        sha256=sha256_of({"inputs": inputs, "labels": labels}),
        samples=samples,
        labelled=labels is not None,
    )
    return Samples(inputs=inputs, labels=labels, info=info)


def choose(data: DataSet, draw: Draw) -> list[int]:
    """Draw indices without replacement; of an endless set, take the first samples.

    Raises:
        DataError: More samples are asked for than there are.
    """
    if data.samples == ENDLESS:
        return list(range(draw.samples))
    if draw.samples > data.samples:
        msg = (
            f"the test part of {data.name} holds {data.samples} samples, {draw.samples} were asked "
            f"for; ask for at most {data.samples} or add data"
        )
        raise DataError(msg)
    order: list[int] = generator(draw.seed).permutation(data.samples)[: draw.samples].tolist()
    return order


def _empty_frames(inputs: Tensor) -> str:
    """Describe how many frames hold events, if recordings are shorter than the run."""
    if inputs.ndim != 5:
        return ""
    filled = int(torch.count_nonzero(inputs.flatten(1).any(dim=1)))
    return "" if filled == len(inputs) else f", {filled} of {len(inputs)} frames with events"
