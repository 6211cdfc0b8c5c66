"""The kernels' arguments for one neuron step: packed weights, shapes, strides, addresses."""

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
        steps: [calls] of ``STEP``: more than one if event lists would exceed their budget.
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
        threads: Number of threads that share a call.

    Attributes:
        sources: Indices of the plan's values that the step reads.
        output: Index of its output.
        real: Number format of currents and potentials.
        sums_dense: Whether ``enter`` sums currents that no event adds.
        neuron: Decay and threshold, see ``kernel_constants``.
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
        self.threads = threads
        self.weights_dtype = weights_dtype
        self.real = np.dtype(np.float64 if weights_dtype == "float64" else np.float32)
        self._dtype = torch.float64 if weights_dtype == "float64" else torch.float32
        self._block_channels = row_format(weights_dtype).channels
        self._shape = _image_shape(values[step.output])
        row_bytes = timesteps * self._shape[2] * self._block_channels * self.real.itemsize
        self._tile_rows = max(1, min(self._shape[1], _SUMS_BYTES // row_bytes))
        self._sums_bytes = self._tile_rows * row_bytes
        self._out_words = spike_masks.words(self._shape[0])
        self._events = [c for c in step.currents if isinstance(c, EventCurrent)]
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
        """Name the kernel, its number format and the size of its blocks."""
        if not self._events:
            return "neurons"
        blocks = f"{self._packed[0].input_words * LANES} x {self._block_channels}"
        return f"events, {self.weights_dtype}, blocks of {blocks} channels"

    def buffer_bytes(self, samples: int) -> int:
        """Sum the bytes of weights and scratch memory, with event lists as if all neurons fired."""
        call_samples = self._call_samples(samples)
        return (
            sum(packed.data.nbytes for packed in self._packed)
            + self._timesteps * call_samples * sum(self._slot_bytes)
            + self.threads * self._sums_bytes
        )

    def _pack_constants(self, steps: NDArray[np.float64] | None) -> NDArray[np.generic]:
        channels = self._shape[0]
        flat = aligned(self._out_words * 3 * LANES, self.real)
        flat[:] = self.real.type(0)
        constants = flat.reshape(self._out_words, 3, LANES)
        rows = [self._step.bias, self._scale.scale if self._scale else None, steps]
        for index, row in enumerate(rows):
            if row is not None:
                # lanes beyond the last channel never fire
                beyond = -np.inf if index == 0 else 0
                padded = np.full(self._out_words * LANES, beyond, self.real)
                padded[:channels] = np.asarray(row)
                constants[:, index] = padded.reshape(self._out_words, LANES)
        return flat

    def _make_passes(self) -> tuple[NDArray[np.void], list[int]]:
        """Fill in what no sample changes; also the bytes of events of a sample and timestep."""
        passes, slot_bytes = [np.zeros(0, PASS)], []
        for current, packed in zip(self._events, self._packed, strict=True):
            channels, height, width = shape = _image_shape(self._values[current.source])
            kernel_y, kernel_x = current.weight.shape[2:]
            words, block_words = spike_masks.words(channels), packed.input_words
            first_words = np.arange(packed.input_blocks) * block_words
            block_bytes = kernel_x * packed.column_bytes
            list_bytes = self._list_bytes(shape, current, packed)
            own = np.zeros(packed.input_blocks, PASS)
            own["height"], own["width"], own["words"] = height, width, words
            own["first_word"] = first_words
            own["block_words"] = np.minimum(block_words, words - first_words)
            own["kernel_y"], own["kernel_x"] = kernel_y, kernel_x
            own["stride_y"], own["stride_x"] = current.stride
            own["padding_y"], own["padding_x"] = current.padding
            own["row_bytes"], own["tap_bytes"] = packed.row_bytes, packed.tap_bytes
            own["column_bytes"], own["block_bytes"] = packed.column_bytes, block_bytes
            own["weights"] = packed.data.ctypes.data + np.arange(len(own)) * block_bytes
            own["weights_step"] = len(own) * block_bytes
            own["list_bytes"] = list_bytes
            own["by_row"] = runs_by_row(current)
            passes.append(own)
            slot_bytes += [list_bytes + self._shape[1] * (width + 1) * EVENT_BYTES] * len(own)
        return np.concatenate(passes), slot_bytes

    def _list_bytes(
        self, shape: tuple[int, int, int], current: EventCurrent, packed: PackedWeights
    ) -> int:
        """Compute the size of the events of one timestep of one sample if all neurons fire."""
        rows = current.weight.shape[2] * packed.input_words * LANES + 1
        size = self._shape[1] * shape[2] * rows * EVENT_BYTES + _OVERRUN_BYTES
        if max(size, shape[2] * packed.column_bytes) > _LARGEST_OFFSET:
            msg = (
                f"'{current.layer}' reads images of {shape[1]}x{shape[2]}, more than events of 32 "
                "bits can address: compile with mode='dense'"
            )
            raise UsageError(msg)
        return size

    def _call_samples(self, samples: int) -> int:
        """Choose how many samples a call takes, so that event lists fit their budget."""
        per_sample = self._timesteps * sum(self._slot_bytes)
        return max(1, min(samples, _LISTS_BYTES // per_sample if per_sample else samples))

    def samples(self, sources: Mapping[int, Masks | Tensor]) -> int:
        """Return the number of samples in a call's sources."""
        source = self._step.currents[0].source
        return int(sources[source].shape[0 if self._values[source].static else 1])

    def bind(self, samples: int, workspace: Workspace) -> Bound:
        """Fill in shapes, strides and scratch memory, which calls with as many samples share."""
        call_samples = self._call_samples(samples)
        slots = self._timesteps * call_samples
        passes, steps = self._passes.copy(), np.zeros(-(-samples // call_samples), STEP)
        lists = workspace.address("lists", slots * int(passes["list_bytes"].sum()))
        columns_bytes = self._shape[1] * (passes["width"] + 1) * EVENT_BYTES
        columns = workspace.address("columns", slots * int(columns_bytes.sum()))
        sums = workspace.address("sums", self.threads * self._sums_bytes)
        passes["lists"] = lists + slots * _starts(passes["list_bytes"])
        passes["columns"] = columns + slots * _starts(columns_bytes)
        _, height, width = self._shape
        word_bytes = LANES * self.real.itemsize
        # without synapses blocks only order the work, so a block is a whole site
        block_words = self._block_channels // LANES if self._events else self._out_words
        fields = {
            "timesteps": self._timesteps,
            "samples": samples,
            "out_height": height,
            "out_width": width,
            "out_words": self._out_words,
            "channels": self._shape[0],
            "block_words": block_words,
            "blocks": -(-self._out_words // block_words),
            "tile_rows": self._tile_rows,
            "sums": sums,
            "sums_bytes": self._sums_bytes,
            "word_bytes": word_bytes,
            "zeros": workspace.zeros(),
            "dense": workspace.zeros(),
            "mask": workspace.zeros(),
            "constants": self._constants.ctypes.data,
            "constants_word": 3 * word_bytes,
            "prefetch": sum(p.data.nbytes for p in self._packed) > _LARGE_WEIGHTS_BYTES,
        }
        if self.sums_dense:
            fields |= self._strides("dense", word_bytes, samples)
        if self._scale is not None:
            fields |= self._strides("mask", _MASK_WORD_BYTES, samples)
        for name, value in fields.items():
            steps[name] = value
        steps["first_sample"] = np.arange(0, samples, call_samples)
        steps["call_samples"] = np.minimum(call_samples, samples - steps["first_sample"])
        out = np.empty((self._timesteps, samples, height, width, self._out_words), np.uint16)
        steps["out"] = out.ctypes.data
        return Bound(passes, steps, out)

    def _strides(self, name: str, word_bytes: int, samples: int) -> dict[str, int]:
        """Compute the bytes from one word, site, sample and timestep to the next."""
        site = word_bytes * self._out_words
        image = self._shape[1] * self._shape[2] * site
        sizes = {"word": word_bytes, "site": site, "n": image, "t": samples * image}
        return {f"{name}_{axis}": size for axis, size in sizes.items()}

    def enter(self, bound: Bound, sources: Mapping[int, Masks | Tensor]) -> Tensor | None:
        """Fill in the addresses of a call's sources.

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
        """Sum currents that no event adds, [T, N, H, W, words * 16], or [N, ...] if static."""
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
    """Compute the start of each of consecutive pieces."""
    return np.cumsum(sizes) - sizes


def runs_by_row(current: EventCurrent) -> bool:
    """Tell whether ``accumulate_row`` computes this convolution."""
    return current.weight.shape[3] == 3 and current.stride[1] == 1 and current.padding[1] <= 1


def _image_shape(value: Value) -> tuple[int, int, int]:
    """Return (C, H, W); a vector of features has H = W = 1."""
    channels, height, width = (*value.shape, 1, 1)[:3]
    return channels, height, width
