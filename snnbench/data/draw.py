"""A seeded draw of test samples, as the networks take them."""

from __future__ import annotations

from pathlib import Path

from snnbench.data.cifar import find_batches
from snnbench.data.dataset import normalise
from snnbench.data.folders import Draw, choose
from snnbench.data.load import Samples, load_samples, sha256_of
from snnbench.data.open import EVENT_KINDS, IMAGE_KINDS, open_set
from snnbench.results.run import DataInfo
from snnbench.zoo.card import InputSpec


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
        spec: What one sample looks like.
        data: ``KIND=PATH`` takes labelled samples of the test part of a set (``open_set``); a bare
            path any samples of a folder, and ``None`` those of the embedded data
            (``load_samples``).
        samples: How many.
        timesteps: Frames of ``spec.slice_us`` per recording; images do not use it.
        seed: Of the draw.
        classes: Outputs of the network; a set with more classes gives no labels.

    Raises:
        DataError: Data is missing, broken, too little, or does not fit ``spec``.
    """
    if data is None or _named_kind(data) is None:
        path = None if data is None else Path(data)
        return load_samples(
            spec, samples=samples, timesteps=timesteps, path=path, seed=seed, classes=classes
        )
    test = open_set(spec, data=data, part="test", timesteps=timesteps)
    draw = Draw(samples=samples, seed=seed)
    indices = choose(len(test), draw, f"the test part of {test.info.name}", separate=True)
    values, found = test.batch(indices.tolist(), None)
    inputs = normalise(values, test)
    labels = found if classes is None or test.classes <= classes else None
    info = DataInfo(
        name=test.info.name,
        description=test.info.description,
        sha256=sha256_of({"inputs": inputs, "labels": labels}),
        samples=samples,
        labelled=labels is not None,
    )
    return Samples(inputs=inputs, labels=labels, info=info)


def kind_of(spec: InputSpec, data: str | None) -> str | None:
    """The kind of data a run is fed, as far as a glance tells: what shipped weights are named by.

    Args:
        spec: Names the embedded data.
        data: As for ``draw_samples``.

    Returns:
        The name of the embedded data, the kind in ``KIND=PATH``, ``cifar10`` for a folder of its
        files; ``None`` for any other path.

    Raises:
        DataError: The path does not exist or may not be read.
    """
    if data is None:
        return spec.embedded
    kind = _named_kind(data)
    if kind is None and spec.kind == "image" and find_batches(Path(data), "test") is not None:
        return "cifar10"
    return kind


def _named_kind(data: str) -> str | None:
    kind, _, path = data.partition("=")
    return kind if path and kind in (*IMAGE_KINDS, *EVENT_KINDS) else None
