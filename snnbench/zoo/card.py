"""Benchmark cards: what a benchmark is, as data (TOML), validated by msgspec."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from snnbench.core.errors import UsageError
from snnbench.results.run import Published

Positive = Annotated[int, msgspec.Meta(ge=1)]
PositiveFloat = Annotated[float, msgspec.Meta(gt=0)]


class InputSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one sample looks like.

    Attributes:
        kind: Static ``image`` shown at every timestep, or ``events`` framed per timestep.
        shape: (channels, height, width) of one frame.
        dataset: The data set of the paper, e.g. ``CIFAR-10``.
        embedded: The embedded data used by default.
        mean: Per channel, for normalisation of images in [0, 1].
        std: Per channel.
        slice_us: Length of one frame of events in microseconds.
    """

    kind: Literal["image", "events"]
    shape: tuple[Positive, Positive, Positive]
    dataset: str
    embedded: Literal["photos", "digits", "digit-saccades"]
    mean: tuple[float, ...] = ()
    std: tuple[PositiveFloat, ...] = ()
    slice_us: Positive | None = None


class NeuronSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Iterative LIF constants (ZH21 eq. 1-3 and 16)."""

    decay: float = 0.25
    threshold: float = 1.0
    surrogate_width: float = 1.0


class StageSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A series of equal blocks; the first one has the stride."""

    block: Literal["basic", "bottleneck", "plain"]
    blocks: Positive
    channels: Positive
    stride: Positive = 1


class ArchitectureSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows of ZH21 table 4.

    Attributes:
        stem_kernel: Of the encoding convolution (padding keeps the size).
        stem_channels: Its output channels.
        stem_stride: Its stride.
        stages: Series of blocks.
        pool: Average pool window and stride before the head; ``None`` is global.
        hidden: Width of the spiking fully connected layer, if there is one.
    """

    stem_kernel: Positive
    stem_channels: Positive
    stem_stride: Positive
    stages: tuple[StageSpec, ...]
    pool: Positive | None = None
    hidden: Positive | None = None


class TrainingSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The paper's recipe (ZH21 supplement C and table 5)."""

    optimizer: str = "SGD"
    lr: float = 0.1
    momentum: float = 0.9
    lr_step_epochs: int
    lr_factor: float = 0.1
    batch_size_per_gpu: int
    gpus: int


class Expected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Closed-form numbers at width 1, each worked out in the card's comments.

    Attributes:
        parameters: Of the spiking network with the paper's shortcuts.
        twin_dense_macs: Dense MACs of the ANN twin for one sample, shortcut convolutions included.
        spiking_layers: LIF layers, the head's included.
    """

    parameters: int
    twin_dense_macs: int
    spiking_layers: int


class Card(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One benchmark."""

    name: str
    title: str
    source: str
    timesteps: Positive
    classes: Positive
    input: InputSpec
    neuron: NeuronSpec
    architecture: ArchitectureSpec
    training: TrainingSpec | None = None
    expected: Expected | None = None
    published: tuple[Published, ...] = ()


def load_card(path: Path) -> Card:
    """Read and validate a card.

    Args:
        path: A TOML file with the fields of ``Card``.

    Raises:
        UsageError: The file is missing, no TOML, or does not fit; says where.
    """
    try:
        return msgspec.convert(read_table(path), Card)
    except msgspec.ValidationError as error:
        msg = f"card {path} is not valid: {error}"
        raise UsageError(msg) from error


def read_table(path: Path) -> dict[str, Any]:
    """What a card's file says, before anything is checked.

    Raises:
        UsageError: The file is missing or not TOML.
    """
    try:
        return msgspec.toml.decode(path.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        msg = f"card {path} does not exist"
        raise UsageError(msg) from None
    except (msgspec.MsgspecError, ValueError) as error:
        msg = f"card {path} is not valid: {error}"
        raise UsageError(msg) from error
