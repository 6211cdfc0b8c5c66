"""One neuron step as the event kernels take it: packed weights, shapes, strides, addresses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from snnbench.core.errors import UsageError
from snnbench.engine.kernels import masks as spike_masks
from snnbench.engine.kernels.arguments import PASS, STEP
from snnbench.engine.kernels.masks import Masks
from snnbench.engine.kernels.pack import (
    PackedWeights,
    aligned,
    fixed_point_steps,
    pack_weights,
    row_format,
)
from snnbench.engine.kernels.vector.formats import EVENT_BYTES, LANES
from snnbench.engine.kernels.workspace import Workspace
from snnbench.engine.neurons import kernel_constants
from snnbench.engine.plan import DenseCurrent, EventCurrent, NeuronStep, SpikeScale, Value

_SUMS_BYTES = 128 * 1024  # sums of a tile: half of a second-level cache, or less
_LISTS_BYTES = 64 * 2**20  # event lists of one call, if all neurons fire
_LARGE_WEIGHTS_BYTES = 2**20
_OVERRUN_BYTES = 64  # a compressing store writes a whole vector
_LARGEST_OFFSET = 2**32 - 1  # bytes into lists and blocks of weights
_MASK_WORD_BYTES = 2


@dataclass(frozen=True, slots=True)
class Bound:
    """Arguments of the kernels for one step and one number of samples.

    Attributes:
        passes: [passes] of ``PASS``.
        steps: [calls] of ``STEP``: more than one where event lists would exceed their budget.
        out: Masks that the step writes, [T, N, H, W, words].
    """

    passes: NDArray[np.void]
    steps: NDArray[np.void]
    out: Masks


class NeuronKernel:
    """Prepares a neuron step: packs its weights and lays out the arguments of the kernels.

    Args:
        step: Currents, bias and dynamics of the neurons.
        values: Values of the plan, for the shapes of sources and output.
        timesteps: T.
        weights_dtype: ``float32``, ``float64``, ``int16`` or ``bfloat16``; currents and
            potentials are float64 for the second, else float32.
        threads: That share a call.

    Attributes:
        sources: Indices of what the step reads among the plan's values.
        output: Index of its output.
        sums_dense: Whether ``enter`` sums currents that no event adds.
        neuron: See ``kernel_constants``.
        pass_layers: Name of the layer that each pass belongs to.
    """

    def __init__(
        self,
        step: NeuronStep,
        values: tuple[Value, ...],
        *,
        timesteps: int,
        weights_dtype: str,
        threads: int,
    ) -> None:
        self._step = step
        self._values = values
        self._timesteps = timesteps
        self._threads = threads
        self._weights_dtype = weights_dtype
        self._real = np.dtype(np.float64 if weights_dtype == "float64" else np.float32)
        self._dtype = torch.float64 if weights_dtype == "float64" else torch.float32
        self._shape = _image_shape(values[step.output])
        self._out_words = spike_masks.words(self._shape[0])
        self._events = [c for c in step.currents if isinstance(c, EventCurrent)]
        self._inputs = [_image_shape(values[c.source]) for c in self._events]
        scales = [c for c in step.currents if isinstance(c, SpikeScale)]
        self._scale, self._more_scales = (scales[0] if scales else None), scales[1:]
        self._dense = [c for c in step.currents if isinstance(c, DenseCurrent)]
        steps = None
        if weights_dtype == "int16" and self._events:
            steps = fixed_point_steps([c.weight for c in self._events])
        self._packed = [
            pack_weights(c.weight, weights_dtype, steps, by_row=runs_by_row(c))
            for c in self._events
        ]
        self._constants = self._pack_constants(steps)
        self._passes, self._slot_bytes = self._make_passes()
        self.sources = frozenset(current.source for current in step.currents)
        self.output = step.output
        self.sums_dense = bool(self._dense or self._more_scales)
        self.neuron = kernel_constants(step.spec, self._dtype)
        self.pass_layers = [
            current.layer
            for current, packed in zip(self._events, self._packed, strict=True)
            for _ in range(packed.input_blocks)
        ]

    def describe(self) -> str:
        """The kernel in a few words."""
        if not self._events:
            return "neurons"
        layout = row_format(self._weights_dtype)
        inputs = self._packed[0].input_words * LANES
        return f"events, {self._weights_dtype}, blocks of {inputs} x {layout.channels} channels"

    def buffer_bytes(self, samples: int) -> int:
        """Weights and scratch memory, of which event lists use only what fires."""
        call_samples = self._call_samples(samples)
        return (
            sum(packed.data.nbytes for packed in self._packed)
            + self._timesteps * call_samples * sum(self._slot_bytes)
            + self._threads * self._sums_bytes()
        )

    def _pack_constants(self, steps: NDArray[np.float64] | None) -> NDArray[np.generic]:
        channels = self._shape[0]
        flat = aligned(self._out_words * 3 * LANES, self._real)
        flat[:] = self._real.type(0)
        constants = flat.reshape(self._out_words, 3, LANES)
        rows = [self._step.bias, self._scale.scale if self._scale else None, steps]
        for index, row in enumerate(rows):
            if row is not None:
                # lanes beyond the last channel never fire
                beyond = -np.inf if index == 0 else 0
                padded = np.full(self._out_words * LANES, beyond, self._real)
                padded[:channels] = np.asarray(row)
                constants[:, index] = padded.reshape(self._out_words, LANES)
        return flat

    def _make_passes(self) -> tuple[NDArray[np.void], list[int]]:
        passes, slot_bytes = [], []
        for current, shape, packed in zip(self._events, self._inputs, self._packed, strict=True):
            list_bytes = self._list_bytes(shape, current, packed)
            for block in range(packed.input_blocks):
                passes.append(self._make_pass(current, shape, packed, block, list_bytes))
                slot_bytes.append(list_bytes + self._shape[1] * (shape[2] + 1) * EVENT_BYTES)
        return np.concatenate(passes) if passes else np.zeros(0, PASS), slot_bytes

    def _list_bytes(
        self, shape: tuple[int, int, int], current: EventCurrent, packed: PackedWeights
    ) -> int:
        """Size of the events of one timestep of one sample if all fire."""
        rows = current.weight.shape[2] * packed.input_words * LANES + 1
        size = self._shape[1] * shape[2] * rows * EVENT_BYTES + _OVERRUN_BYTES
        if max(size, shape[2] * packed.column_bytes) > _LARGEST_OFFSET:
            msg = (
                f"'{current.layer}' reads images of {shape[1]}x{shape[2]}, more than events of 32 "
                "bits can address: compile with mode='dense'"
            )
            raise UsageError(msg)
        return size

    def _make_pass(
        self,
        current: EventCurrent,
        shape: tuple[int, int, int],
        packed: PackedWeights,
        block: int,
        list_bytes: int,
    ) -> NDArray[np.void]:
        channels, height, width = shape
        kernel_y, kernel_x = current.weight.shape[2:]
        words = spike_masks.words(channels)
        first_word = block * packed.input_words
        block_bytes = kernel_x * packed.column_bytes
        result = np.zeros(1, PASS)
        result["height"], result["width"], result["words"] = height, width, words
        result["first_word"] = first_word
        result["block_words"] = min(packed.input_words, words - first_word)
        result["kernel_y"], result["kernel_x"] = kernel_y, kernel_x
        result["stride_y"], result["stride_x"] = current.stride
        result["padding_y"], result["padding_x"] = current.padding
        result["row_bytes"], result["tap_bytes"] = packed.row_bytes, packed.tap_bytes
        result["column_bytes"], result["block_bytes"] = packed.column_bytes, block_bytes
        result["weights"] = packed.data.ctypes.data + block * block_bytes
        result["weights_step"] = packed.input_blocks * block_bytes
        result["list_bytes"] = list_bytes
        result["by_row"] = runs_by_row(current)
        return result

    def _call_samples(self, samples: int) -> int:
        """Samples whose event lists fit their budget together."""
        per_sample = self._timesteps * sum(self._slot_bytes)
        return max(1, min(samples, _LISTS_BYTES // per_sample if per_sample else samples))

    def _tile_rows(self) -> int:
        row = self._timesteps * self._shape[2] * self._block_bytes()
        return max(1, min(self._shape[1], _SUMS_BYTES // row))

    def _block_bytes(self) -> int:
        layout = row_format(self._weights_dtype)
        return layout.channels * (8 if self._real.itemsize == 8 else 4)

    def _sums_bytes(self) -> int:
        return self._timesteps * self._tile_rows() * self._shape[2] * self._block_bytes()

    def samples(self, sources: Mapping[int, Masks | Tensor]) -> int:
        """Samples of a call."""
        source = self._step.currents[0].source
        return int(sources[source].shape[0 if self._values[source].static else 1])

    def bind(self, samples: int, workspace: Workspace) -> Bound:
        """Shapes, strides and scratch memory: what calls with this many samples share."""
        call_samples = self._call_samples(samples)
        slots = self._timesteps * call_samples
        passes, steps = self._passes.copy(), np.zeros(-(-samples // call_samples), STEP)
        lists = workspace.address("lists", slots * int(passes["list_bytes"].sum()))
        columns_bytes = self._shape[1] * (passes["width"] + 1) * EVENT_BYTES
        columns = workspace.address("columns", slots * int(columns_bytes.sum()))
        sums = workspace.address("sums", self._threads * self._sums_bytes())
        passes["lists"] = lists + slots * _starts(passes["list_bytes"])
        passes["columns"] = columns + slots * _starts(columns_bytes)
        _, height, width = self._shape
        size = self._real.itemsize
        layout = row_format(self._weights_dtype)
        # without synapses a block is no more than an order of work: whole sites then
        block_words = layout.channels // LANES if self._events else self._out_words
        fields = {
            "timesteps": self._timesteps,
            "samples": samples,
            "out_height": height,
            "out_width": width,
            "out_words": self._out_words,
            "channels": self._shape[0],
            "block_words": block_words,
            "blocks": -(-self._out_words // block_words),
            "tile_rows": self._tile_rows(),
            "sums": sums,
            "sums_bytes": self._sums_bytes(),
            "word_bytes": self._block_bytes() * LANES // layout.channels,
            "zeros": workspace.zeros(),
            "dense": workspace.zeros(),
            "mask": workspace.zeros(),
            "constants": self._constants.ctypes.data,
            "constants_word": 3 * LANES * size,
            "prefetch": sum(p.data.nbytes for p in self._packed) > _LARGE_WEIGHTS_BYTES,
        }
        if self.sums_dense:
            site = self._out_words * LANES * size
            fields |= _strides("dense", LANES * size, site, height * width, samples)
        if self._scale is not None:
            word = _MASK_WORD_BYTES
            fields |= _strides("mask", word, word * self._out_words, height * width, samples)
        for name, value in fields.items():
            steps[name] = value
        steps["first_sample"] = np.arange(0, samples, call_samples)
        steps["call_samples"] = np.minimum(call_samples, samples - steps["first_sample"])
        out = np.empty((self._timesteps, samples, height, width, self._out_words), np.uint16)
        steps["out"] = out.ctypes.data
        return Bound(passes, steps, out)

    def enter(self, bound: Bound, sources: Mapping[int, Masks | Tensor]) -> Tensor | None:
        """Enter the addresses of a call's sources.

        Returns:
            The sum of dense currents, if any, which must outlive the call.
        """
        passes, steps = bound.passes, bound.steps
        if self._events:
            addresses = [_masks(sources[c.source]).ctypes.data for c in self._events]
            passes["masks"] = np.repeat(addresses, [p.input_blocks for p in self._packed])
        if self._scale is not None:
            steps["mask"] = _masks(sources[self._scale.source]).ctypes.data
        if not self.sums_dense:
            return None
        dense, static = self._sum_dense(sources)
        steps["dense"] = dense.data_ptr()
        steps["dense_t"] = 0 if static else steps["samples"] * steps["dense_n"]
        return dense

    def _sum_dense(self, sources: Mapping[int, Masks | Tensor]) -> tuple[Tensor, bool]:
        """Currents that no event adds, [T, N, H, W, words * 16] or [N, ...], and whether static."""
        currents: list[tuple[Tensor, bool]] = []
        for dense in self._dense:
            tensor = torch.as_tensor(sources[dense.source])
            static = self._values[dense.source].static
            tensor = tensor.reshape(*tensor.shape[: 1 if static else 2], *self._shape)
            currents.append((tensor, static))
        for scaled in self._more_scales:
            masks = _masks(sources[scaled.source])
            spikes = spike_masks.unpack(masks, len(scaled.scale), self._dtype)
            currents.append((spikes * scaled.scale.to(self._dtype).view(-1, 1, 1), False))
        total, static = currents[0]
        for current, other_static in currents[1:]:
            total, static = total + current, static and other_static
        axis = 1 if static else 2
        sites = total.to(self._dtype).movedim(axis, -1)
        padding = self._out_words * LANES - self._shape[0]
        return (F.pad(sites, (0, padding)) if padding else sites).contiguous(), static


def _masks(source: Masks | Tensor) -> Masks:
    if isinstance(source, Tensor):
        msg = "a source of spikes was given as a tensor; pack it first"
        raise TypeError(msg)
    return source


def _starts(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each of consecutive pieces begins."""
    return np.cumsum(sizes) - sizes


def _strides(name: str, word: int, site: int, sites: int, samples: int) -> dict[str, int]:
    """Bytes from one word, site, sample and timestep to the next."""
    image = sites * site
    return {
        f"{name}_word": word,
        f"{name}_site": site,
        f"{name}_n": image,
        f"{name}_t": samples * image,
    }


def runs_by_row(current: EventCurrent) -> bool:
    """Whether ``accumulate_row`` does this convolution."""
    return current.weight.shape[3] == 3 and current.stride[1] == 1 and current.padding[1] <= 1


def _image_shape(value: Value) -> tuple[int, int, int]:
    """(C, H, W); a vector of features has H = W = 1."""
    channels, height, width = (*value.shape, 1, 1)[:3]
    return channels, height, width
