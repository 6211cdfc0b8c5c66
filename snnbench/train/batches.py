"""Labelled data for a network: opened for training or testing, and batches as it takes them."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from snnbench.core.errors import DataError
from snnbench.data.dataset import DataSet, Part, normalise
from snnbench.data.open import open_set
from snnbench.nn.layout import layout_of
from snnbench.zoo import networks
from snnbench.zoo.registry import Benchmark


def network_input(values: Tensor, data: DataSet, device: torch.device, *, twin: bool) -> Tensor:
    """A batch as a network takes it, normalised on its device.

    Args:
        values: Images, uint8 [N, C, H, W], or frames of events [T, N, C, H, W].
        data: Data set that the batch is from.
        device: Device of the network.
        twin: Whether the network is an ANN twin, which takes the mean over time.

    Returns:
        float32 of the same shape, or [N, C, H, W] for a twin; images in channels_last.
    """
    inputs = normalise(values.to(device, non_blocking=True), data)
    inputs = layout_of(inputs).twin_input(inputs) if twin else inputs
    if inputs.ndim == 4:
        return inputs.contiguous(memory_format=torch.channels_last)
    return inputs


def check_outputs(network: nn.Module, benchmark: Benchmark, data: DataSet, *, twin: bool) -> None:
    """Prove on the first sample that a network returns one number for each class.

    Raises:
        DataError: The sample cannot be read.
        StructureError: The network returns something else.
    """
    weight = next(network.parameters())
    values, _ = data.batch([0], None)
    one = network_input(values, data, weight.device, twin=twin).to(weight.dtype)
    networks.check_outputs(network, benchmark.card, one)


def open_labelled(
    benchmark: Benchmark, data: str | None, part: Part, timesteps: int, cache: Path | None
) -> DataSet:
    """Open a part of a labelled data set, each class of which is an output of the network.

    Raises:
        DataError: The data is missing, damaged or unlabelled, or has too many classes.
    """
    card = benchmark.card
    opened = open_set(card.input, data=data, part=part, timesteps=timesteps, cache=cache)
    if opened.classes > card.classes:
        msg = (
            f"{opened.info.name} has {opened.classes} classes, but {card.name} has {card.classes} "
            "outputs; choose other data or another benchmark"
        )
        raise DataError(msg)
    return opened
