"""Executables for steps of a plan: a dense layer, dense neurons, a sequence of event kernels."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from snnbench.core.errors import StructureError
from snnbench.engine.dense.lif import lif_spikes
from snnbench.engine.dense.packed import PackedConv2d, PackedLinear, unpackable
from snnbench.engine.kernels.masks import Masks
from snnbench.engine.kernels.segment import LayerAdds, Segment
from snnbench.engine.plan import (
    DenseStep,
    EventCurrent,
    NeuronStep,
    Plan,
    SpikeScale,
    Step,
    fires,
    step_inputs,
)
from snnbench.engine.store import Store, as_images


class Executable(Protocol):
    """Runs one or more steps."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps, in order."""

    @property
    def kernels(self) -> tuple[str, ...]:
        """The kernel of each step, in a few words."""

    def buffer_bytes(self, samples: int) -> list[int]:
        """Compute the bytes that each step needs for itself with this many samples."""

    def run(self, store: Store) -> None:
        """Read inputs from the store and put outputs there."""


class DenseLayer:
    """A dense step of a plan: its module, with weights laid out for oneDNN if possible.

    The module is copied if its dtype differs. Neurons must put out zeros and ones, since spikes are
    passed on as bits.
    """

    def __init__(self, step: DenseStep, plan: Plan, dtype: torch.dtype) -> None:
        self.steps = (step,)
        self._step = step
        self._values = plan.values
        self._timesteps = plan.timesteps
        self._dtype = dtype
        self._module = _prepared(step.module, dtype)
        self._fires = fires(step, plan)
        packed = isinstance(self._module, PackedConv2d | PackedLinear)
        self.kernels = (f"{type(step.module).__name__}{', prepacked' if packed else ''}",)

    def macs(self, samples: int) -> int:
        """Count multiply-accumulates of a convolution or ``Linear``; 0 for other, cheap layers."""
        out = self._values[self._step.output]
        positions = samples * (1 if out.static else self._timesteps) * math.prod(out.shape[1:])
        weights = [p for p in self._step.module.parameters() if p.ndim > 1]
        return positions * sum(weight.numel() for weight in weights)

    def run(self, store: Store) -> None:
        """Run the module on [T*N, ...], [N, ...] or, if the step keeps time, [T, N, ...]."""
        step = self._step
        if step.keeps_time:
            out = self._module(*(store.over_time(i) for i in step.inputs))
        elif all(self._values[i].static for i in step.inputs):
            out = self._module(*(store.tensor(i) for i in step.inputs))
        else:
            inputs = [store.over_time(i) for i in step.inputs]
            merged = self._module(*(x.flatten(0, 1) for x in inputs))
            out = merged.reshape(*inputs[0].shape[:2], *merged.shape[1:])
        if self._fires and not ((out == 0) | (out == 1)).all():
            kind = type(step.module).__name__
            msg = f"'{step.name}' outputs values other than 0 and 1: set {kind}.graded = True"
            raise StructureError(msg)
        store.put(step.output, out)

    def buffer_bytes(self, samples: int) -> list[int]:  # noqa: ARG002
        """Sum the bytes of parameters and buffers."""
        module, real = self._step.module, self._dtype.itemsize
        tensors = [*module.parameters(), *module.buffers()]
        return [sum(t.numel() * (real if t.is_floating_point() else t.itemsize) for t in tensors)]


class DenseNeurons:
    """A neuron step in PyTorch: convolutions with bias on unpacked spikes, then the neurons.

    Weights are float32 or float64, whatever event kernels use.
    """

    kernels = ("dense",)

    def __init__(self, step: NeuronStep, plan: Plan, dtype: torch.dtype) -> None:
        self.steps = (step,)
        self._step = step
        self._shape = plan.values[step.output].shape
        self._dtype = dtype
        events = [c for c in step.currents if isinstance(c, EventCurrent)]
        self._others = [
            (c.source, c.scale.to(dtype) if isinstance(c, SpikeScale) else None)
            for c in step.currents
            if not isinstance(c, EventCurrent)
        ]
        # the first convolution adds the bias, the others add to what is there
        biases: list[Tensor | None] = [step.bias, *(None for _ in events)]
        self._convolutions = [
            (current.source, _convolution(current, bias, dtype))
            for current, bias in zip(events, biases, strict=False)
        ]
        self._bias = None if events else step.bias.to(dtype)

    def run(self, store: Store) -> None:
        """Sum the currents and run the neurons over time."""
        total = self._sum_others(store)
        for source, convolution in self._convolutions:
            spikes = as_images(store.tensor(source))
            time, images = spikes.shape[:2], spikes.flatten(0, 1)
            residual = None if total is None else as_images(total).flatten(0, 1)
            total = _convolve(convolution, images, residual).unflatten(0, time)
        if total is None:
            msg = f"'{self._step.name}' has no currents"
            raise StructureError(msg)
        u = total.reshape(*total.shape[:2], *self._shape)
        store.put(self._step.output, lif_spikes(u, self._step.spec))

    def buffer_bytes(self, samples: int) -> list[int]:  # noqa: ARG002
        """Sum the bytes of weights and biases."""
        events = [c for c in self._step.currents if isinstance(c, EventCurrent)]
        numbers = sum(c.weight.numel() for c in events) + self._step.bias.numel()
        return [numbers * self._dtype.itemsize]

    def _sum_others(self, store: Store) -> Tensor | None:
        total: Tensor | None = None
        for source, scale in self._others:
            x = store.over_time(source)
            if scale is not None:
                x = x * _per_channel(scale, x)
            total = x if total is None else total + x
        if total is not None and self._bias is not None and self._bias.any():
            total = total + _per_channel(self._bias, total)
        return total


class EventSegment:
    """Consecutive neuron steps, run by the event kernels of a segment in one call."""

    def __init__(self, steps: Sequence[NeuronStep], segment: Segment) -> None:
        self.steps = tuple(steps)
        self.kernels = tuple(kernel.describe() for kernel in segment.kernels)
        self._segment = segment
        outputs = {step.output for step in steps}
        inputs = [i for step in steps for i in step_inputs(step)]
        self._sources = tuple(dict.fromkeys(i for i in inputs if i not in outputs))

    def buffer_bytes(self, samples: int) -> list[int]:
        """Compute the bytes of each step's weights and scratch memory; steps share the latter."""
        return [kernel.buffer_bytes(samples) for kernel in self._segment.kernels]

    def run(self, store: Store) -> None:
        """Run the kernels from masks to masks."""
        for output, spikes in self._segment(self._enter(store)).items():
            store.put(output, spikes)

    def count(self, store: Store) -> tuple[LayerAdds, ...]:
        """Count the additions of each layer with the instrumented build of the kernels."""
        return self._segment.count(self._enter(store))

    def _enter(self, store: Store) -> dict[int, Masks | Tensor]:
        return {i: store.source(i) for i in self._sources}


def _prepared(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    tensors = [*module.parameters(), *module.buffers()]
    in_place = any(getattr(m, "inplace", False) for m in module.modules())
    if in_place or any(t.is_floating_point() and t.dtype != dtype for t in tensors):
        module = copy.deepcopy(module).to(dtype)
    for part in module.modules():
        if getattr(part, "inplace", False):  # other steps, or the caller, may read the input again
            part.inplace = False  # type: ignore[assignment]
    if unpackable(module) is None:
        return PackedConv2d(module) if isinstance(module, nn.Conv2d) else PackedLinear(module)
    return module


def _convolution(current: EventCurrent, bias: Tensor | None, dtype: torch.dtype) -> nn.Module:
    out_channels, in_channels, *kernel = current.weight.shape
    conv = nn.Conv2d(
        in_channels,
        out_channels,
        (kernel[0], kernel[1]),
        stride=current.stride,
        padding=current.padding,
        bias=bias is not None,
        device="meta",
    )
    conv.weight = nn.Parameter(current.weight.to(dtype), requires_grad=False)
    if bias is not None:
        conv.bias = nn.Parameter(bias.to(dtype), requires_grad=False)
    return PackedConv2d(conv) if unpackable(conv) is None else conv


def _convolve(convolution: nn.Module, x: Tensor, residual: Tensor | None) -> Tensor:
    if isinstance(convolution, PackedConv2d):
        return convolution.forward(x, residual)
    y: Tensor = convolution(x)
    return y if residual is None else y + residual


def _per_channel(constants: Tensor, x: Tensor) -> Tensor:
    return constants.view(-1, *(1,) * (x.ndim - 3))
