"""What one run measured and where it comes from: the content of a result file.

Frozen dataclasses of the standard library; nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from msgspec import UNSET, UnsetType

from snnbench.core.units import MS_PER_S
from snnbench.results.counts import Profile
from snnbench.results.engine import EngineRun

SCHEMA_VERSION = 1
_OWN_FIELD = "shortcut"  # the option of cards that has a field of its own in ``RunConfig``

EVENT_TIMING = "snn-event"
"""``Timing.name`` of the SNN in the event engine."""
DENSE_TIMING = "snn-dense-fused"
"""``Timing.name`` of the SNN in prepacked dense kernels."""
TWIN_TIMING = "ann-twin"
"""``Timing.name`` of the ANN twin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Raw wall-clock times of one network; medians and spreads are derived.

    Attributes:
        name: Network that was timed, e.g. ``snn-dense-fused`` or ``ann-twin``.
        device: ``cpu`` or ``cuda:0``.
        batch_size: Samples per call.
        number_per_run: Calls per raw time.
        raw_seconds: One entry per run, in order.
        warmup_seconds: Times of the calls thrown away before.
        threads: Intra-operation threads of torch.
        process: Ordinal of the worker process that measured it.
        execution: How a GPU ran it, e.g. ``CUDA graph``; ``None`` on a CPU.
        other_load: Share of the machine's processor time, 0 to 1, that others took meanwhile;
            ``None`` where that is unknown.
    """

    name: str
    device: str
    batch_size: int
    number_per_run: int
    raw_seconds: tuple[float, ...]
    warmup_seconds: tuple[float, ...]
    threads: int
    process: int = 0
    execution: str | None = None
    other_load: float | None = None

    @property
    def sample_ms(self) -> tuple[float, ...]:
        """Each raw time in milliseconds per sample."""
        calls = self.number_per_run * self.batch_size
        return tuple(seconds * MS_PER_S / calls for seconds in self.raw_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyMeasurement:
    """Energy a meter read, in joules. Never mixed with an estimate.

    Attributes:
        name: Network that ran.
        joules: Reading over ``runs`` runs.
        runs: Runs in the window.
        method: The meter, e.g. ``rapl-package`` or ``nvml``.
    """

    name: str
    joules: float
    runs: int
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where a result was made. Keys in ``MUST_MATCH`` must agree before times are compared."""

    snnbench: str
    python: str
    torch: str
    numpy: str
    platform: str
    cpu: str
    cpu_count: int
    threads: int
    device: str
    commit: str | None
    dirty: bool | None
    packages: dict[str, str] = field(default_factory=dict)


MUST_MATCH = ("python", "torch", "platform", "cpu", "cpu_count", "threads", "device")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """What the user asked for, defaults filled in.

    Attributes:
        benchmark: Card name, or ``module:factory``.
        timesteps: T.
        samples: Number of samples counted.
        batch_size: Number of samples counted at once.
        seed: Seed of weights and data.
        threads: Intra-operation threads of torch.
        device: ``cpu`` or ``cuda:N``.
        width: Channel multiplier of a card's network.
        shortcut: Value of the card's option ``shortcut``, if it has one.
        other_options: Values of the card's other options by name; left out of the file if there are
            none.
        layout: How a user's model was called.
        data: Path of the data; ``None`` is the embedded data.
        weights: File of trained weights, or ``shipped:NAME`` for one that comes with the benchmark;
            ``None`` is untrained.
        twin_weights: Weights of the ANN twin, likewise; ``None`` gives it the SNN's weights.
        strict: Whether an uncounted operation stops the run.
        latency: Whether times were taken.
        latency_batches: Batch sizes that were asked for; ``None`` is 1, and more where that is
            affordable.
        engine: How the event engine ran: ``auto``, ``event``, ``dense`` or ``off``; ``None``
            where there is none.
        weights_dtype: Number format of the weights in event kernels.
    """

    benchmark: str
    timesteps: int
    samples: int
    batch_size: int
    seed: int
    threads: int
    device: str
    width: float | None = None
    shortcut: str | None = None
    other_options: dict[str, str] | UnsetType = UNSET
    layout: str | None = None
    data: str | None = None
    weights: str | None = None
    twin_weights: str | None = None
    strict: bool
    latency: bool
    latency_batches: tuple[int, ...] | None = None
    engine: str | None = None
    weights_dtype: str | None = None

    @property
    def options(self) -> dict[str, str]:
        """Values of the card's options by name."""
        shortcut = {} if self.shortcut is None else {_OWN_FIELD: self.shortcut}
        return shortcut | (self.other_options or {})


def option_fields(options: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a ``RunConfig`` that hold a card's options."""
    others = {name: value for name, value in options.items() if name != _OWN_FIELD}
    return {_OWN_FIELD: options.get(_OWN_FIELD), "other_options": others or UNSET}


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsInfo:
    """Provenance of the weights.

    Attributes:
        status: ``untrained`` weights say nothing about a trained network's firing rates;
            ``unknown`` ones came with a user's model.
        description: E.g. the initialisation, or the file's name.
        sha256: Hash of the weights as used (untrained ones too): names, shapes and bytes.
        evidence: Accuracy, data and command they were trained with, if known.
    """

    status: Literal["untrained", "trained", "unknown"]
    description: str
    sha256: str
    evidence: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataInfo:
    """Provenance of the input.

    Attributes:
        name: ``photos``, ``digits``, ``digit-saccades``, or the path's last part.
        description: One sentence on what the samples are.
        sha256: Hash of the tensors fed, labels included.
        samples: Number of samples.
        labelled: Whether labels belong to the network's own classes.
    """

    name: str
    description: str
    sha256: str
    samples: int
    labelled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Correct answers of a network on labelled samples."""

    correct: int
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A cross-check against an independent source.

    Attributes:
        name: E.g. ``twin dense MACs, fvcore``.
        expected: Number of the other source.
        measured: Number of this run.
        ok: Whether they agree.
        note: Why they may differ, or what the numbers mean.
    """

    name: str
    expected: float | None
    measured: float | None
    ok: bool
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folding:
    """Effect of folding tdBN into the convolutions (ZH21 eq. 9-10).

    Attributes:
        folded: Normalisation layers folded.
        remaining: Normalisation layers that could not be folded.
        output_max_abs_difference: Largest difference of the network's outputs.
        output_max_abs: Largest output, to read the difference against.
        flipped_spikes: Spikes that differ between the two networks over the batch.
        spike_sites: Neurons x timesteps x samples compared.
    """

    folded: int
    remaining: int
    output_max_abs_difference: float
    output_max_abs: float
    flipped_spikes: int
    spike_sites: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A number somebody printed; shown beside ours and always marked published.

    Attributes:
        quantity: One of ``snn_additions``, ``snn_multiplications``, ``ann_additions``,
            ``ann_multiplications``, ``top1_percent``.
        value: The number as printed.
        timesteps: T it was printed for.
        source: Paper and table.
    """

    quantity: str
    value: float
    timesteps: int | None
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """Everything one ``snnbench run`` or ``snnbench profile`` measured.

    Attributes:
        schema_version: Version of the file format.
        benchmark: Card name, or ``module:factory`` of a user's model.
        benchmark_version: Hash of the card and the model's source; ``None`` for a user's model.
        title: Human-readable name.
        input_shape: Shape of one sample without time.
        config: What the user asked for, defaults filled in.
        environment: Machine and versions it ran on.
        weights: Provenance of the weights.
        twin_weights: Provenance of the twin's own weights; ``None`` if it has the SNN's, or there
            is no twin.
        data: Provenance of the input.
        snn: Counts of the spiking network.
        twin: Counts of the ANN twin.
        accuracy: Accuracy of the spiking network on the counted samples, if they are labelled.
        twin_accuracy: Accuracy of the ANN twin on the same samples.
        paper_multiplication_layers: Rows whose dense operations the paper counts as
            multiplications (encoding layer and the whole head).
        published: Reference numbers of the card.
        checks: Cross-checks of structure and counts.
        folding: Measured effect of folding the batch norm.
        timings: Raw times.
        engine: What the event engine executed, if it ran.
        energy_measured: Meter readings, if a meter exists.
        created_utc: ISO 8601.
    """

    schema_version: int = SCHEMA_VERSION
    benchmark: str
    benchmark_version: str | None
    title: str
    input_shape: tuple[int, ...]
    config: RunConfig
    environment: Environment
    weights: WeightsInfo
    twin_weights: WeightsInfo | None = None
    data: DataInfo
    snn: Profile
    twin: Profile | None = None
    accuracy: Accuracy | None = None
    twin_accuracy: Accuracy | None = None
    paper_multiplication_layers: tuple[str, ...] = ()
    published: tuple[Published, ...] = ()
    checks: tuple[Check, ...] = ()
    folding: Folding | None = None
    timings: tuple[Timing, ...] = ()
    engine: EngineRun | None = None
    energy_measured: tuple[EnergyMeasurement, ...] = ()
    created_utc: str
