"""Running sums behind the rows of a profile. They live here, never on the user's modules."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace as replace_fields

from snnbench.count.clock import CallAxes, LayerCalls, Layout, Mode, Split, axes_of_call
from snnbench.count.masks import Counts, Mask
from snnbench.results.counts import (
    DENSE,
    Alphabet,
    AlphabetKind,
    LayerRecord,
    Profile,
    Role,
    SideOps,
    Uncounted,
    costs_accumulates,
    op_count,
)


@dataclass(slots=True)
class Row:
    """Sums of one layer."""

    name: str
    type_name: str
    last_used: int = 0
    calls: int = 0
    calls_now: int = 0
    shape_now: tuple[int, ...] = ()
    params: int = 0
    nonzero_params: int = 0
    input_alphabet: Alphabet = field(default_factory=Alphabet)
    operand_alphabet: Alphabet | None = None
    input_nonzero: int = 0
    input_sites: int = 0
    dense: int = 0
    in_image: int = 0
    effective: int = 0
    has_synapses: bool = False
    is_neuron: bool = False
    side: Counter[str] = field(default_factory=Counter)
    output_alphabet: Alphabet = field(default_factory=Alphabet)
    output_spikes: int = 0
    output_sites: int = 0
    synops: Split = field(default_factory=Split)
    spikes: Split = field(default_factory=Split)

    def _note_call(self, shape: tuple[int, ...]) -> None:
        """Count one call; the clock reads N and T from ``shape``."""
        self.calls += 1
        self.calls_now += 1
        if not self.shape_now:
            self.shape_now = shape

    def see_input(self, mask: Mask) -> None:
        """Add the values and the number of non-zeros of an input."""
        self.input_alphabet = mask.join(self.input_alphabet)
        self.input_nonzero += mask.total
        self.input_sites += mask.nonzero.size

    def see_operand(self, mask: Mask) -> None:
        """Add the values of a second operand that is not a weight."""
        self.operand_alphabet = mask.join(self.operand_alphabet or Alphabet())

    def add_synops(
        self, shape: tuple[int, ...], *, dense: int, in_image: int, effective: Counts
    ) -> None:
        """Count one synaptic operation.

        Args:
            shape: Shape of its input, batch first.
            dense: Operations, those on padding included.
            in_image: Operations on real inputs.
            effective: Operations on non-zero inputs, int64 [leading positions of the input].
        """
        self._note_call(shape)
        self.has_synapses = True
        self.dense += dense
        self.in_image += in_image
        self.effective += int(effective.sum())
        self.synops.pending.append(effective)

    def add_spikes(self, shape: tuple[int, ...], mask: Mask, per_position: Counts) -> None:
        """Add one output of a neuron layer: its shape, mask, and spikes per leading position."""
        self._note_call(shape)
        self.is_neuron = True
        self.output_alphabet = mask.join(self.output_alphabet)
        self.output_spikes += mask.total
        self.output_sites += mask.nonzero.size
        self.side["membrane_updates"] += mask.nonzero.size
        self.spikes.pending.append(per_position)

    def settle(self, axes: CallAxes, step: int) -> bool:
        """End one outermost call of the model; return whether the row was split by sample."""
        by_sample = axes.orders_samples(self.shape_now)
        self.calls_now, self.shape_now = 0, ()
        splits = [split.settle(axes, step) for split in (self.synops, self.spikes)]
        if any(splits) and not by_sample:
            self.synops.samples_known = self.spikes.samples_known = False
        return any(splits)

    def role(self) -> Role:
        """Derive the row's role from what ran in it."""
        if self.is_neuron:
            return Role.NEURON
        if self.has_synapses:
            return Role.SYNAPSE
        if self.side["norm_ops"]:
            return Role.NORM
        return Role.POOL if self.side["pool_ops"] else Role.ADD

    def record(self, samples: int | None, *, declared_dense: bool) -> LayerRecord:
        """Freeze the row; ``declared_dense`` counts all operations as MACs."""
        alphabet = self.input_alphabet if self.has_synapses else None
        spikes = not declared_dense and costs_accumulates(alphabet, self.operand_alphabet)
        return LayerRecord(
            name=self.name,
            type_name=self.type_name,
            role=self.role(),
            calls=self.calls,
            params=self.params,
            nonzero_params=self.nonzero_params,
            input_alphabet=alphabet,
            operand_alphabet=self.operand_alphabet,
            input_nonzero=self.input_nonzero if self.has_synapses else None,
            input_sites=self.input_sites if self.has_synapses else None,
            dense=op_count(self.dense, spikes=spikes),
            in_image=op_count(self.in_image, spikes=spikes),
            effective=op_count(self.effective, spikes=spikes),
            side=SideOps(**self.side),
            output_alphabet=self.output_alphabet if self.is_neuron else None,
            output_spikes=self.output_spikes if self.is_neuron else None,
            output_sites=self.output_sites if self.is_neuron else None,
            spikes_per_timestep=self.spikes.timesteps(),
            spikes_per_sample=self.spikes.samples(samples),
            effective_per_timestep=self.synops.timesteps(),
            effective_per_sample=self.synops.samples(samples),
        )


class Ledger:
    """All rows of a counting pass, and its clock."""

    def __init__(
        self,
        timesteps: int | None,
        layout: Layout,
        batch_size: int | None,
        *,
        declared_dense: bool,
    ) -> None:
        self.rows: dict[str, Row] = {}
        self.uncounted: dict[tuple[str, str], Uncounted] = {}
        self.warnings: dict[str, None] = {}
        self.declared_dense = declared_dense
        self._timesteps = timesteps
        self._layout: Layout = layout
        self._batch_size = batch_size
        self._order = itertools.count()
        self._steps: Counter[str] = Counter()
        self._samples: Counter[str] = Counter()
        self._samples_known = True

    def row(self, name: str, type_name: str) -> Row:
        """Return the row called ``name``, made on first use."""
        row = self.rows.get(name)
        if row is None:
            row = self.rows[name] = Row(name=name, type_name=type_name)
            if self.declared_dense:
                row.input_alphabet = DENSE
        row.last_used = next(self._order)
        return row

    def settle(self, entry: str, input_shape: tuple[int, ...] | None) -> None:
        """End one outermost call, that of module ``entry`` with an input of ``input_shape``."""
        active = [row for row in self.rows.values() if row.calls_now]
        axes = axes_of_call(
            [LayerCalls(row.calls_now, row.shape_now, row.is_neuron) for row in active],
            input_shape,
            self._timesteps,
            self._layout,
            self._batch_size,
        )
        if axes.ambiguous:
            self.warnings[
                f"batch size equals timesteps ({axes.timesteps}): time was taken to come first; "
                "pass layout='step', 'TN' or 'NT' to be sure"
            ] = None
        if axes.mode is not Mode.STEP:
            self._timesteps = axes.timesteps
        step = self._step_of(entry, axes)
        fits = [row.settle(axes, step) for row in active]
        # the first layer with synapses sees the input: unless it has N leading positions, the
        # input has no batch axis
        first = next((i for i, row in enumerate(active) if row.has_synapses), 0)
        if active and axes.samples and not self._batch_size and not fits[first]:
            self._samples_known = False

    def _step_of(self, entry: str, axes: CallAxes) -> int:
        """Return the timestep of a call in step mode (else 0), and count its samples once."""
        step = 0
        if axes.mode is Mode.STEP and axes.timesteps:
            step = self._steps[entry] % axes.timesteps
            self._steps[entry] += 1
        if axes.samples is None:
            self._samples_known = False
        elif step == 0:
            self._samples[entry] += axes.samples
        return step

    def note_uncounted(self, module: str, operation: str, macs: int | None) -> None:
        """Add one run of an operation that no rule covers."""
        key = (module, operation)
        item = self.uncounted.get(key)
        if item is None:
            item = Uncounted(module=module, operation=operation, calls=0, macs=0)
        total = None if macs is None or item.macs is None else item.macs + macs
        self.uncounted[key] = replace_fields(item, calls=item.calls + 1, macs=total)

    def profile(self, uncalled: tuple[str, ...]) -> Profile:
        """Freeze all counts so far; ``uncalled`` names the modules that never ran."""
        samples = max(self._samples.values(), default=0) if self._samples_known else None
        layers = [
            row.record(samples, declared_dense=self.declared_dense) for row in self.rows.values()
        ]
        return Profile(
            layers=tuple(self._with_readout(layers)),
            samples=samples,
            timesteps=self._timesteps,
            declared_dense=self.declared_dense,
            uncounted=tuple(self.uncounted.values()),
            uncalled=uncalled,
            warnings=(*self.warnings, *self._doubts(layers)),
        )

    def _doubts(self, layers: list[LayerRecord]) -> Iterator[str]:
        timesteps = self._timesteps
        left_over = {entry: n % timesteps for entry, n in self._steps.items() if timesteps}
        for entry in itertools.islice((entry for entry, n in left_over.items() if n), 1):
            yield (
                f"{entry} was called {self._steps[entry]} times, which is not a multiple of "
                f"timesteps={timesteps} ({left_over[entry]} left over): check T, or pass layout="
            )
        if timesteps is None and any(layer.role is Role.NEURON for layer in layers):
            yield "timesteps unknown: spikes per neuron and per timestep need profile(timesteps=T)"
        graded = [
            layer.name
            for layer in layers
            if layer.output_alphabet is not None
            and layer.output_alphabet.kind is AlphabetKind.DENSE
        ]
        if graded:
            yield (
                f"{len(graded)} neuron layer(s) put out graded values, not spikes of one height "
                f"(first: {graded[0]}): what they feed costs MACs"
            )
        if self.uncounted:
            yield (
                f"{len(self.uncounted)} operation(s) were not counted; see `uncounted`, or pass "
                "strict=True to stop at the first"
            )

    def _with_readout(self, layers: list[LayerRecord]) -> list[LayerRecord]:
        """Mark synapses that run after the last neuron: their output is the decoded answer."""
        used = {name: row.last_used for name, row in self.rows.items()}
        last = max((used[row.name] for row in layers if row.role is Role.NEURON), default=None)
        return [
            replace_fields(row, role=Role.READOUT)
            if last is not None and row.role is Role.SYNAPSE and used[row.name] > last
            else row
            for row in layers
        ]
