"""From a benchmark's input specification to tensors with provenance."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from snnbench.core.errors import DataError
from snnbench.data.cifar import cifar_images, find_batches
from snnbench.data.embedded import digits, photos
from snnbench.data.events import FrameValues, Framing, digit_saccades, folder_events
from snnbench.data.folders import Draw, Drawn, Split
from snnbench.data.images import folder_images
from snnbench.results.run import DataInfo
from snnbench.zoo.card import InputSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Input of a network.

    Attributes:
        inputs: ``float32``; normalised images [S, C, H, W] or frames of events [T, S, 2, H, W].
        labels: Class of each sample, ``int64`` [S]; ``None`` unless they are the network's classes.
        info: Provenance.
    """

    inputs: torch.Tensor
    labels: torch.Tensor | None
    info: DataInfo


def load_samples(
    spec: InputSpec,
    *,
    samples: int,
    timesteps: int,
    path: Path | None = None,
    seed: int = 0,
    split: Split = "test",
    classes: int | None = None,
    frame_values: FrameValues = "binary",
) -> Samples:
    """Draw samples of the embedded data or of a folder; the same arguments give the same bytes.

    Args:
        spec: What one sample looks like.
        samples: How many.
        timesteps: Frames of ``spec.slice_us`` per recording; images do not use it.
        path: A folder of images, of CIFAR-10 (binary or Python version) or, for events, of N-MNIST
            recordings; ``None`` draws the embedded data ``spec.embedded``.
        seed: Of the draw.
        split: ``test`` for counting, ``calibration`` for a second draw. Data with parts of its own
            (digits 300 and 1,497; CIFAR-10's test and training batches; ``test`` or ``val`` and
            ``train`` folders) keeps them apart; a single folder is drawn from its two ends; photos
            get other crops.
        classes: Outputs of the network. Class folders give labels only if there are as many;
            digits need ten or more, CIFAR-10 exactly ten. ``None`` trusts digits and CIFAR-10.
        frame_values: Frames of events as ``binary`` spikes or ``counts``.

    Raises:
        DataError: Data is missing, broken, too little, or does not fit ``spec``.
    """
    if samples < 1 or timesteps < 1 or not 0 <= seed < 2**32:
        msg = (
            f"samples and timesteps must be at least 1 and the seed within 0 and 2**32 - 1, "
            f"not {samples}, {timesteps} and {seed}"
        )
        raise DataError(msg)
    draw = Draw(samples=samples, seed=seed, split=split, classes=classes)
    if spec.kind == "events":
        drawn = _draw_events(spec, path, framing_of(spec, timesteps, frame_values), draw)
        inputs = torch.from_numpy(drawn.values)
    else:
        drawn = _draw_images(spec, path, draw)
        inputs = _normalised(drawn, spec)
    labels = None if drawn.labels is None else torch.from_numpy(drawn.labels)
    info = DataInfo(
        name=drawn.name,
        description=drawn.description,
        sha256=sha256_of({"inputs": inputs, "labels": labels}),
        samples=samples,
        labelled=labels is not None,
    )
    return Samples(inputs=inputs, labels=labels, info=info)


def _draw_images(spec: InputSpec, path: Path | None, draw: Draw) -> Drawn:
    if path is not None:
        batches = find_batches(path, draw.split)
        if batches is not None:
            return cifar_images(batches, spec.shape, draw)
        return folder_images(path, spec.shape, draw)
    if spec.embedded == "photos":
        return photos(spec.shape, draw)
    if spec.embedded == "digits":
        return digits(spec.shape, draw)
    msg = f"embedded data {spec.embedded} are events, but the benchmark's input is an image"
    raise DataError(msg)


def _draw_events(spec: InputSpec, path: Path | None, framing: Framing, draw: Draw) -> Drawn:
    if path is not None:
        return folder_events(path, framing, draw)
    if spec.embedded == "digit-saccades":
        return digit_saccades(framing, draw)
    msg = f"embedded data {spec.embedded} are images, but the benchmark's input is events"
    raise DataError(msg)


def framing_of(spec: InputSpec, timesteps: int, values: FrameValues = "binary") -> Framing:
    """How a benchmark of events cuts recordings.

    Raises:
        DataError: The card gives no length of a frame, or other than two channels.
    """
    channels, height, width = spec.shape
    if spec.slice_us is None or spec.slice_us < 1:
        msg = "the benchmark's input is events; its card must give slice_us, at least 1"
        raise DataError(msg)
    if channels != 2:
        msg = f"events have 2 channels (OFF, ON), but the benchmark's input has {channels}"
        raise DataError(msg)
    return Framing(
        sensor=(height, width), timesteps=timesteps, slice_us=spec.slice_us, values=values
    )


def check_statistics(spec: InputSpec) -> None:
    """Refuse a card whose mean and std do not fit its channels.

    Raises:
        DataError: Not one value each per channel, or none.
    """
    channels = spec.shape[0]
    if {len(spec.mean), len(spec.std)} - {0, channels} or len(spec.mean) != len(spec.std):
        msg = (
            f"the card's mean and std have {len(spec.mean)} and {len(spec.std)} values "
            f"for {channels} channels; give one per channel or none"
        )
        raise DataError(msg)


def _normalised(drawn: Drawn, spec: InputSpec) -> torch.Tensor:
    check_statistics(spec)
    images = drawn.values.astype(np.float32) / np.float32(255)
    if spec.mean:
        column = (spec.shape[0], 1, 1)
        images -= np.array(spec.mean, dtype=np.float32).reshape(column)
        images /= np.array(spec.std, dtype=np.float32).reshape(column)
    return torch.from_numpy(images)


def sha256_of(tensors: Mapping[str, torch.Tensor | None]) -> str:
    """Digest over names, types, shapes and values; ``None`` is left out."""
    digest = hashlib.sha256()
    for name, tensor in tensors.items():
        if tensor is not None:
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(np.ascontiguousarray(tensor.numpy()).data)
    return digest.hexdigest()
