"""Inputs of small networks, and data sets as a user would have them on disk."""

from pathlib import Path

import numpy as np
import torch

from snnbench.data.open import open_set
from snnbench.zoo.card import InputSpec

SMALL = InputSpec(
    kind="image",
    shape=(3, 32, 32),
    dataset="CIFAR-10",
    embedded="digits",
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
)
LARGE = InputSpec(kind="image", shape=(3, 96, 96), dataset="ImageNet", embedded="photos")
EVENTS = InputSpec(
    kind="events", shape=(2, 20, 24), dataset="x", embedded="digit-saccades", slice_us=5_000
)


def opened(data, part="train", spec=SMALL, timesteps=1, **options):
    return open_set(spec, data=data, part=part, timesteps=timesteps, **options)


def views_of(count, seed=0):
    return torch.rand(count, 3, generator=torch.Generator().manual_seed(seed))


def shifted_slowly(images, views):
    """``augment.shifted``, pixel by pixel."""
    found = []
    for image, (across, down, _) in zip(images, views.tolist(), strict=True):
        _, height, width = image.shape
        x = int(across * (2 * (width // 8) + 1)) - width // 8
        y = int(down * (2 * (height // 8) + 1)) - height // 8
        moved = torch.zeros_like(image)
        for row in range(height):
            for column in range(width):
                if 0 <= row + y < height and 0 <= column + x < width:
                    moved[:, row, column] = image[:, row + y, column + x]
        found.append(moved)
    return torch.stack(found)


def write_cifar(folder: Path, counts=(4, 3, 3, 3, 3), tests=5) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]
    for seed, (name, count) in enumerate(zip(names, (*counts, tests), strict=True)):
        random = np.random.RandomState(seed)
        records = random.randint(0, 256, (count, 3073)).astype(np.uint8)
        records[:, 0] %= 10
        (folder / name).write_bytes(records.tobytes())
    return folder
