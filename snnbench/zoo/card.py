"""Benchmark cards: what a benchmark is, as data (TOML), validated by msgspec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from snnbench.core.errors import UsageError
from snnbench.results.run import Published, RunConfig

Positive = Annotated[int, msgspec.Meta(ge=1)]
PositiveFloat = Annotated[float, msgspec.Meta(gt=0)]
OptionName = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9]*$")]
Spec = TypeVar("Spec", bound=msgspec.Struct)

_FIELDS = RunConfig.__dataclass_fields__.keys() - {"shortcut"}
_OTHERS = {
    *("card", "self"),  # arguments of what is called with options
    # beside options in the files of trained weights and evaluations
    *("command", "environment", "log", "neuron", "processes", "recipe", "results", "status"),
    # and in recipes
    *("epochs", "loss", "lr", "momentum", "optimizer", "options", "precision", "schedule"),
    *("test", "twin"),
}
"""What options cannot be called; the tests hold that nothing is missing."""


class InputSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Format of a sample.

    Attributes:
        kind: Static ``image`` shown at every timestep, or ``events`` framed per timestep.
        shape: (channels, height, width) of one frame.
        dataset: The data set of the paper, e.g. ``CIFAR-10``.
        embedded: The embedded data used by default.
        mean: Mean of each channel, which normalises images in [0, 1].
        std: Standard deviation of each channel, which normalises them too.
        slice_us: Length of one frame of events in microseconds.
    """

    kind: Literal["image", "events"]
    shape: tuple[Positive, Positive, Positive]
    dataset: str
    embedded: Literal["photos", "digits", "digit-saccades"]
    mean: tuple[float, ...] = ()
    std: tuple[PositiveFloat, ...] = ()
    slice_us: Positive | None = None


class OptionSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A choice between variants of a network, on the command line ``--NAME``.

    Attributes:
        choices: Possible values; the first is the default.
        help: Text for ``--help``.
    """

    choices: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    help: str


class TrainingSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The paper's recipe; its defaults are those of ZH21 (supplement C and table 5).

    Attributes:
        loss: Name of the loss, see ``train.recipe.Recipe``; it belongs to the network's read-out.
        optimizer: Name of the optimiser.
        lr: First learning rate.
        momentum: Momentum of SGD, or beta_1 of Adam.
        lr_step_epochs: Epochs until the rate falls; ``None`` if the paper does not say.
        lr_factor: Factor by which it falls.
        batch_size_per_gpu: Samples per process and step; ``None`` if the paper does not say.
        gpus: Number of GPUs; ``None`` if the paper does not say.
    """

    loss: str = "cross-entropy"
    optimizer: str = "SGD"
    lr: float = 0.1
    momentum: float = 0.9
    lr_step_epochs: int | None = None
    lr_factor: float = 0.1
    batch_size_per_gpu: int | None = None
    gpus: int | None = None


class Expected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Closed-form numbers at width 1 and default options, worked out in the card's comments.

    Attributes:
        parameters: Parameters of the spiking network.
        twin_dense_macs: Dense MACs of the ANN twin for one sample.
        spiking_layers: Layers of neurons, the head's included.
    """

    parameters: int
    twin_dense_macs: int
    spiking_layers: int


class Card(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Definition of a benchmark.

    Attributes:
        name: Name on the command line.
        title: Title in reports.
        source: Publication of the network.
        timesteps: Default T.
        classes: Number of outputs of the network.
        input: Format of a sample.
        neuron: ``class`` of the neurons and their constants; see ``networks.neurons_of``.
        architecture: Table for the builder; see ``architecture_as``.
        options: Variants by name.
        training: The paper's recipe.
        expected: Closed-form numbers.
        published: Published numbers to compare with.
    """

    name: str
    title: str
    source: str
    timesteps: Positive
    classes: Positive
    input: InputSpec
    neuron: dict[str, Any] = {}
    architecture: dict[str, Any] = {}
    options: dict[OptionName, OptionSpec] = {}
    training: TrainingSpec | None = None
    expected: Expected | None = None
    published: tuple[Published, ...] = ()

    def __post_init__(self) -> None:
        for name in self.options.keys() & (_FIELDS | _OTHERS):
            msg = f"option {name!r} is a field of every run or training; give it another name"
            raise ValueError(msg)

    def architecture_as(self, spec: type[Spec]) -> Spec:
        """The table ``architecture`` as the builder's own struct.

        Args:
            spec: A ``msgspec.Struct`` with ``forbid_unknown_fields=True``.

        Raises:
            UsageError: A value is missing, unknown or of another type; says where.
        """
        try:
            return msgspec.convert(self.architecture, spec)
        except msgspec.ValidationError as error:
            msg = f"architecture of card {self.name} is not valid: {error}"
            raise UsageError(msg) from error

    def fill_options(self, asked: Mapping[str, str]) -> dict[str, str]:
        """The value of every option: what is asked, else the first of its choices.

        Raises:
            UsageError: There is no such option, or no such choice.
        """
        for name, value in asked.items():
            if name not in self.options:
                known = ", ".join(f"--{option}" for option in self.options) or "none"
                msg = f"{self.name} has no option --{name}; it has: {known}"
                raise UsageError(msg)
            choices = self.options[name].choices
            if value not in choices:
                msg = f"{self.name}: --{name} must be {' or '.join(choices)}, got {value!r}"
                raise UsageError(msg)
        return {name: asked.get(name, spec.choices[0]) for name, spec in self.options.items()}
