"""What is counted, as frozen dataclasses of the standard library.

Nothing here imports torch, so that result files load anywhere. Records hold what was measured;
rates, ratios, estimates and energies are derived from them (properties here, functions in
``snnbench.energy`` and ``snnbench.render``), never stored. Unknown is ``None``, never 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


class AlphabetKind(StrEnum):
    """Which values a tensor carries; the order of declaration is the order of the lattice."""

    ZERO = "zero"
    BINARY = "binary"
    TERNARY = "ternary"
    DENSE = "dense"

    @property
    def rank(self) -> int:
        """Height in the lattice ZERO < BINARY < TERNARY < DENSE."""
        return list(AlphabetKind).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alphabet:
    """The set of values seen: ``{0}``, ``{0, c}``, ``{-c, 0, c}`` or anything else.

    Attributes:
        kind: Position in the lattice.
        scale: ``c`` for BINARY (signed) and TERNARY (positive), ``None`` otherwise.
    """

    kind: AlphabetKind = AlphabetKind.ZERO
    scale: float | None = None

    def join(self, other: Alphabet) -> Alphabet:
        """Smallest alphabet that contains both; two different spike heights make DENSE."""
        low, high = sorted((self, other), key=lambda a: a.kind.rank)
        if low.kind is AlphabetKind.ZERO or high.kind is AlphabetKind.DENSE or low == high:
            return high
        if low.scale is None or high.scale is None or abs(low.scale) != abs(high.scale):
            return Alphabet(kind=AlphabetKind.DENSE)
        return Alphabet(kind=AlphabetKind.TERNARY, scale=abs(high.scale))

    @property
    def is_spikes(self) -> bool:
        """Whether an operation on these values is an accumulate (``c`` folds into the weights)."""
        return self.kind is not AlphabetKind.DENSE


DENSE = Alphabet(kind=AlphabetKind.DENSE)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpCount:
    """Exact numbers of multiply-accumulates and of accumulates."""

    macs: int = 0
    acs: int = 0

    def __add__(self, other: OpCount) -> OpCount:
        return OpCount(macs=self.macs + other.macs, acs=self.acs + other.acs)

    @property
    def synops(self) -> int:
        """Synaptic operations of either kind."""
        return self.macs + self.acs


@dataclass(frozen=True, slots=True, kw_only=True)
class SideOps:
    """Work that is not a synaptic operation, in units of its own; never added to an ``OpCount``.

    Attributes:
        bias_adds: Additions of a bias to an output element.
        residual_adds: Elementwise additions of two activation tensors (shortcuts, sums over time).
        pool_ops: Window taps of pools and elements entering sums and means.
        norm_ops: Elements that pass an unfolded normalisation (one scale and shift each).
        elementwise_muls: Elementwise products of two tensors outside neurons and norms.
        membrane_updates: Neuron updates, one per neuron and timestep whatever the neuron's code.
    """

    bias_adds: int = 0
    residual_adds: int = 0
    pool_ops: int = 0
    norm_ops: int = 0
    elementwise_muls: int = 0
    membrane_updates: int = 0

    def __add__(self, other: SideOps) -> SideOps:
        return SideOps(**{k: n + getattr(other, k) for k, n in asdict(self).items()})


class Role(StrEnum):
    """What a row of the layer table is, decided by what ran in it."""

    SYNAPSE = "synapse"
    NEURON = "neuron"
    READOUT = "readout"
    NORM = "norm"
    POOL = "pool"
    ADD = "add"


def _add_vectors(a: tuple[int, ...] | None, b: tuple[int, ...] | None) -> tuple[int, ...] | None:
    if a is None or b is None or len(a) != len(b):
        return None
    return tuple(x + y for x, y in zip(a, b, strict=True))


def _join_vectors(a: tuple[int, ...] | None, b: tuple[int, ...] | None) -> tuple[int, ...] | None:
    return None if a is None or b is None else a + b


def _add_known(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a + b


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRecord:
    """One row: a layer's synaptic operations, spikes and side work, over all samples and steps.

    Attributes:
        name: Qualified module name; functional operations get ``module::parameter`` or
            ``module::operation``.
        type_name: Class of the module, or the operation's name.
        role: Kind of the row.
        calls: How often the operation (or module) ran.
        params: Elements of the operation's weight.
        nonzero_params: Weight elements that are not zero.
        input_alphabet: Values of the input over the run; ``None`` without synaptic operations.
        operand_alphabet: Values of the second operand, if it is an activation and not a weight.
        input_nonzero: Non-zero input elements.
        input_sites: Input elements.
        dense: Operations of every synapse at every timestep, padding taps included.
        in_image: Dense operations without taps that fall on zero padding.
        effective: Operations on non-zero inputs: the synaptic operations (SynOps).
        side: Work outside synapses.
        output_alphabet: Values a neuron put out.
        output_spikes: Non-zero outputs of a neuron.
        output_sites: Neurons x timesteps x samples.
        spikes_per_timestep: ``output_spikes`` split by timestep, summed over samples.
        spikes_per_sample: ``output_spikes`` split by sample, summed over timesteps.
        effective_per_timestep: ``effective.synops`` split by timestep.
        effective_per_sample: ``effective.synops`` split by sample.
    """

    name: str
    type_name: str
    role: Role
    calls: int
    params: int = 0
    nonzero_params: int = 0
    input_alphabet: Alphabet | None = None
    operand_alphabet: Alphabet | None = None
    input_nonzero: int | None = None
    input_sites: int | None = None
    dense: OpCount = OpCount()
    in_image: OpCount = OpCount()
    effective: OpCount = OpCount()
    side: SideOps = SideOps()
    output_alphabet: Alphabet | None = None
    output_spikes: int | None = None
    output_sites: int | None = None
    spikes_per_timestep: tuple[int, ...] | None = None
    spikes_per_sample: tuple[int, ...] | None = None
    effective_per_timestep: tuple[int, ...] | None = None
    effective_per_sample: tuple[int, ...] | None = None

    @property
    def input_density(self) -> float | None:
        """Share of the input's elements that are not zero, 0 to 1."""
        return _ratio(self.input_nonzero, self.input_sites)

    @property
    def estimated_synops(self) -> float | None:
        """The papers' shortcut, firing rate of the input x dense operations: an estimate."""
        nonzero = self.input_nonzero
        return _ratio(None if nonzero is None else self.dense.synops * nonzero, self.input_sites)

    @property
    def firing_rate(self) -> float | None:
        """Spikes per neuron per timestep."""
        return _ratio(self.output_spikes, self.output_sites)

    def spikes_per_neuron(self, timesteps: int | None) -> float | None:
        """Spikes per neuron over all ``timesteps`` (ZH21, figure 6)."""
        rate = self.firing_rate
        return None if rate is None or timesteps is None else rate * timesteps

    def row(self, timesteps: int | None) -> dict[str, Any]:
        """Return stored and derived values as built-in types: a row of the layer table."""
        return {
            "layer": self.name,
            "type": self.type_name,
            "role": self.role.value,
            "calls": self.calls,
            "params": self.params,
            "nonzero_params": self.nonzero_params,
            "input_alphabet": _kind(self.input_alphabet),
            "operand_alphabet": _kind(self.operand_alphabet),
            "input_nonzero": self.input_nonzero,
            "input_sites": self.input_sites,
            "input_density": self.input_density,
            **{
                f"{counting}_{kind}": number
                for counting in ("dense", "in_image", "effective")
                for kind, number in asdict(getattr(self, counting)).items()
            },
            "estimated_synops": self.estimated_synops,
            **asdict(self.side),
            "output_alphabet": _kind(self.output_alphabet),
            "output_spikes": self.output_spikes,
            "output_sites": self.output_sites,
            "firing_rate": self.firing_rate,
            "spikes_per_neuron": self.spikes_per_neuron(timesteps),
        }

    def without_samples(self) -> LayerRecord:
        """Return the record without its split by sample, unknown once others are merged in."""
        return replace(self, spikes_per_sample=None, effective_per_sample=None)

    def merge(self, other: LayerRecord, *, declared_dense: bool) -> LayerRecord:
        """Add the counts of the same layer over other samples; alphabets are joined."""
        alphabet = _join_alphabets(self.input_alphabet, other.input_alphabet)
        operand = _join_alphabets(self.operand_alphabet, other.operand_alphabet)
        spikes = not declared_dense and costs_accumulates(alphabet, operand)
        return replace(
            self,
            calls=self.calls + other.calls,
            input_alphabet=alphabet,
            operand_alphabet=operand,
            input_nonzero=_add_known(self.input_nonzero, other.input_nonzero),
            input_sites=_add_known(self.input_sites, other.input_sites),
            dense=op_count(self.dense.synops + other.dense.synops, spikes=spikes),
            in_image=op_count(self.in_image.synops + other.in_image.synops, spikes=spikes),
            effective=op_count(self.effective.synops + other.effective.synops, spikes=spikes),
            side=self.side + other.side,
            output_alphabet=_join_alphabets(self.output_alphabet, other.output_alphabet),
            output_spikes=_add_known(self.output_spikes, other.output_spikes),
            output_sites=_add_known(self.output_sites, other.output_sites),
            spikes_per_timestep=_add_vectors(self.spikes_per_timestep, other.spikes_per_timestep),
            spikes_per_sample=_join_vectors(self.spikes_per_sample, other.spikes_per_sample),
            effective_per_timestep=_add_vectors(
                self.effective_per_timestep, other.effective_per_timestep
            ),
            effective_per_sample=_join_vectors(
                self.effective_per_sample, other.effective_per_sample
            ),
        )


def _ratio(part: int | None, whole: int | None) -> float | None:
    return None if part is None or not whole else part / whole


def _kind(alphabet: Alphabet | None) -> str | None:
    return None if alphabet is None else alphabet.kind.value


def _join_alphabets(a: Alphabet | None, b: Alphabet | None) -> Alphabet | None:
    if a is None or b is None:
        return a or b
    return a.join(b)


def costs_accumulates(alphabet: Alphabet | None, operand: Alphabet | None) -> bool:
    """Whether an operation needs no multiplier: one of its activation operands carries spikes."""
    return any(a is not None and a.is_spikes for a in (alphabet, operand))


def op_count(operations: int, *, spikes: bool) -> OpCount:
    """``operations`` as accumulates (spikes) or as multiply-accumulates."""
    return OpCount(acs=operations) if spikes else OpCount(macs=operations)


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncounted:
    """An operation that ran inside the model and that no rule covers.

    Attributes:
        module: Innermost module it ran in.
        operation: Its name in the dispatcher, e.g. ``aten.cdist``.
        calls: How often it ran.
        macs: Its dense multiply-accumulates where a formula is known, else ``None``.
    """

    module: str
    operation: str
    calls: int
    macs: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What one counting pass saw.

    Attributes:
        layers: Rows in order of first execution.
        samples: Samples that passed; ``None`` if the input had no batch dimension to read it from.
        timesteps: T; ``None`` if neither declared nor evident.
        declared_dense: Counted as an ANN: every operation is a MAC, whatever its input's values.
        uncounted: Operations without a rule.
        uncalled: Modules with parameters that never ran.
        warnings: Warnings for the reader, one sentence each.
    """

    layers: tuple[LayerRecord, ...]
    samples: int | None
    timesteps: int | None
    declared_dense: bool = False
    uncounted: tuple[Uncounted, ...] = ()
    uncalled: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def dense(self) -> OpCount:
        """Sum over layers of the dense operations."""
        return sum((layer.dense for layer in self.layers), OpCount())

    @property
    def in_image(self) -> OpCount:
        """Sum over layers of the operations inside the image."""
        return sum((layer.in_image for layer in self.layers), OpCount())

    @property
    def effective(self) -> OpCount:
        """Sum over layers of the operations on non-zero inputs."""
        return sum((layer.effective for layer in self.layers), OpCount())

    @property
    def estimated_synops(self) -> float:
        """Sum over layers of the rate x dense estimate."""
        return sum(layer.estimated_synops or 0.0 for layer in self.layers)

    @property
    def side(self) -> SideOps:
        """Sum over layers of the work outside synapses."""
        return sum((layer.side for layer in self.layers), SideOps())

    @property
    def neurons(self) -> tuple[LayerRecord, ...]:
        """Layers of neurons."""
        return tuple(layer for layer in self.layers if layer.role is Role.NEURON)

    @property
    def firing_rate(self) -> float | None:
        """Spikes per neuron per timestep over all neuron layers."""
        spikes = sum(layer.output_spikes or 0 for layer in self.neurons)
        return _ratio(spikes, sum(layer.output_sites or 0 for layer in self.neurons))

    @property
    def coverage(self) -> float | None:
        """Share of the dense multiply work seen that was counted; ``None`` if a size is unknown."""
        if any(item.macs is None for item in self.uncounted):
            return None
        missed = sum(item.macs or 0 for item in self.uncounted)
        counted = self.dense.synops
        return counted / (counted + missed) if counted + missed else 1.0

    def merge(self, other: Profile) -> Profile:
        """Add the counts of other samples; associative, layers in the order first seen.

        Raises:
            ValueError: The two differ in T or in ``declared_dense``.
        """
        if (self.timesteps, self.declared_dense) != (other.timesteps, other.declared_dense):
            msg = "profiles differ in timesteps or declared_dense and cannot be merged"
            raise ValueError(msg)
        theirs = {layer.name: layer for layer in other.layers}
        mine = {layer.name for layer in self.layers}
        layers = [
            layer.merge(theirs[layer.name], declared_dense=self.declared_dense)
            if layer.name in theirs
            else layer.without_samples()
            for layer in self.layers
        ] + [layer.without_samples() for layer in other.layers if layer.name not in mine]
        never_called = {*self.uncalled} & {*other.uncalled} - {layer.name for layer in layers}
        return replace(
            self,
            layers=tuple(layers),
            samples=_add_known(self.samples, other.samples),
            uncounted=_merge_uncounted(self.uncounted + other.uncounted),
            uncalled=tuple(name for name in self.uncalled if name in never_called),
            warnings=tuple(dict.fromkeys(self.warnings + other.warnings)),
        )

    def table(self) -> pd.DataFrame:
        """One row per layer as a tidy ``pandas.DataFrame`` (see ``docs/metrics.md``)."""
        from snnbench.results.tidy import tidy

        return tidy([layer.row(self.timesteps) for layer in self.layers])


def _merge_uncounted(items: Iterable[Uncounted]) -> tuple[Uncounted, ...]:
    merged: dict[tuple[str, str], Uncounted] = {}
    for item in items:
        key = (item.module, item.operation)
        if seen := merged.get(key):
            macs = _add_known(seen.macs, item.macs)
            merged[key] = replace(seen, calls=seen.calls + item.calls, macs=macs)
        else:
            merged[key] = item
    return tuple(merged.values())
