"""What a network sees of a batch, and whether it has an output for every class."""

from __future__ import annotations

import torch
from torch import Tensor

from snnbench.core.errors import DataError
from snnbench.data.dataset import DataSet, normalise
from snnbench.nn.layout import layout_of
from snnbench.zoo.registry import Benchmark


def network_input(values: Tensor, data: DataSet, device: torch.device, *, twin: bool) -> Tensor:
    """What a network sees of a batch, normalised on its device.

    Args:
        values: Images, uint8 [N, C, H, W], or frames of events [T, N, C, H, W].
        data: Where they come from.
        device: The network's.
        twin: Whether the network is an ANN twin, which takes the mean over time.

    Returns:
        float32, images in channels_last.
    """
    inputs = normalise(values.to(device, non_blocking=True), data)
    inputs = layout_of(inputs).twin_input(inputs) if twin else inputs
    if inputs.ndim == 4:
        return inputs.contiguous(memory_format=torch.channels_last)
    return inputs


def check_classes(benchmark: Benchmark, data: DataSet) -> None:
    """Prove that a network has an output for every class.

    Raises:
        DataError: It has too few.
    """
    outputs = benchmark.card.classes
    if data.classes > outputs:
        msg = (
            f"{data.info.name} has {data.classes} classes, but {benchmark.card.name} has {outputs} "
            "outputs; choose other data or another benchmark"
        )
        raise DataError(msg)
