"""Neuron steps with numbers that every weight format holds exactly, and what they must compute.

The expected spikes come from plain convolutions in float64 and the LIF equations written out, the
expected additions from convolutions with ones: neither knows the engine or the profiler.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from snnbench.engine.kernels import masks
from snnbench.engine.kernels.neuron_kernel import NeuronKernel
from snnbench.engine.kernels.segment import LayerAdds, Segment
from snnbench.engine.kernels.workspace import Workspace
from snnbench.engine.plan import DenseCurrent, EventCurrent, NeuronStep, SpikeScale, Value
from snnbench.nn.neuron_spec import NeuronSpec

FORMATS = ("float32", "float64", "int16", "bfloat16")
Pair = tuple[int, int]


def real(weights_dtype: str) -> torch.dtype:
    return torch.float64 if weights_dtype == "float64" else torch.float32


def spikes(*shape: int, rate: float = 0.3, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(shape, generator=generator) < rate).float()


def weights(weights_dtype: str, *shape: int, seed: int = 0) -> Tensor:
    """[C_out, C_in, k_y, k_x] whose sums are exact.

    Eighths for floats; for int16 multiples of 1/2048 whose largest in every output channel is
    2047/2048, so that the step of the fixed point is 1/2048.
    """
    generator = torch.Generator().manual_seed(seed)
    if weights_dtype != "int16":
        return torch.randint(-8, 9, shape, generator=generator) / 8
    drawn = torch.randint(-2047, 2048, shape, generator=generator)
    drawn[:, 0, 0, 0] = 2047
    return drawn / 2048


@dataclass(frozen=True)
class Convolution:
    """Spikes [T, N, C, H, W] or [T, N, F] and the weights they add."""

    spikes: Tensor
    weight: Tensor
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)

    def current(self) -> Tensor:
        """[T, N, C_out, H, W] float64."""
        frames = images(self.spikes).double()
        y = functional.conv2d(
            frames.flatten(0, 1), self.weight.double(), stride=self.stride, padding=self.padding
        )
        return y.reshape(*frames.shape[:2], *y.shape[1:])

    def adds(self) -> int:
        """One per spike, tap and output channel that meet inside the image."""
        pairs = functional.conv2d(
            images(self.spikes).double().flatten(0, 1),
            torch.ones_like(self.weight[:1], dtype=torch.float64),
            stride=self.stride,
            padding=self.padding,
        )
        return int(pairs.sum()) * len(self.weight)


def images(x: Tensor) -> Tensor:
    """[..., F] as [..., F, 1, 1]; images as they are."""
    return x if x.ndim == 5 else x[..., None, None]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One neuron step with its inputs.

    Attributes:
        convs: Convolutions of spikes.
        scales: Spikes and their scale per channel.
        dense: Currents [T, N, C, H, W], or [N, C, H, W] that stay the same at every timestep.
        bias: [C] or one number.
        vector: The output has features, no image.
    """

    convs: Sequence[Convolution] = ()
    scales: Sequence[tuple[Tensor, Tensor]] = ()
    dense: Sequence[Tensor] = ()
    bias: Tensor | float = 0.0
    decay: float = 0.5
    threshold: float = 1.0
    vector: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of the output."""
        return tuple(self._current().shape[2:])

    def _timesteps(self) -> int:
        sources = [c.spikes for c in self.convs] + [s for s, _ in self.scales]
        return len(sources[0]) if sources else len(next(d for d in self.dense if not static(d)))

    def _current(self) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for conv in self.convs:
            total = total + conv.current()
        for source, scale in self.scales:
            total = total + images(source).double() * scale.double()[:, None, None]
        for dense in self.dense:
            bare = dense if dense.ndim >= 4 else dense[..., None, None]
            total = total + bare.double()
        bias = torch.as_tensor(self.bias, dtype=torch.float64).expand(total.shape[2])
        return total + bias[:, None, None]

    def expected(self) -> Tensor:
        """Spikes, bool [T, N, C, H, W]."""
        v, fired = torch.zeros((), dtype=torch.float64), []
        for current in self._current():
            u = current + self.decay * v
            fired.append(u > self.threshold)
            v = torch.where(fired[-1], 0.0, u)
        return torch.stack(fired)

    def expected_adds(self) -> list[tuple[str, int]]:
        return [(f"conv{i}", conv.adds()) for i, conv in enumerate(self.convs)]

    def plan(self) -> tuple[NeuronStep, tuple[Value, ...], dict[int, masks.Masks | Tensor]]:
        values: list[Value] = []
        sources: dict[int, masks.Masks | Tensor] = {}
        currents: list[EventCurrent | SpikeScale | DenseCurrent] = []

        def add(x: Tensor, *, spiking: bool) -> int:
            index = len(values)
            fixed = not spiking and static(x)
            shape = tuple(x.shape[1 if fixed else 2 :])
            kind = "spikes" if spiking else "dense"
            values.append(Value(name=f"in{index}", kind=kind, shape=shape, static=fixed))
            sources[index] = masks.pack(x) if spiking else x
            return index

        for i, conv in enumerate(self.convs):
            currents.append(
                EventCurrent(
                    source=add(conv.spikes, spiking=True),
                    layer=f"conv{i}",
                    weight=conv.weight,
                    stride=conv.stride,
                    padding=conv.padding,
                )
            )
        for i, (source, scale) in enumerate(self.scales):
            index = add(source, spiking=True)
            currents.append(SpikeScale(source=index, layer=f"scale{i}", scale=scale))
        currents += [DenseCurrent(source=add(x, spiking=False)) for x in self.dense]
        shape = self.shape[:1] if self.vector else self.shape
        values.append(Value(name="lif", kind="spikes", shape=shape))
        step = NeuronStep(
            name="lif",
            currents=tuple(currents),
            bias=torch.as_tensor(self.bias, dtype=torch.float64).expand(shape[0]).clone(),
            spec=NeuronSpec(decay=self.decay, threshold=self.threshold),
            output=len(values) - 1,
        )
        return step, tuple(values), sources

    def kernel(self, weights_dtype: str, threads: int) -> NeuronKernel:
        step, values, _ = self.plan()
        return NeuronKernel(
            step,
            values,
            timesteps=self._timesteps(),
            weights_dtype=weights_dtype,
            threads=threads,
        )

    def segment(self, weights_dtype: str = "float32", threads: int = 1) -> Segment:
        return Segment([self.kernel(weights_dtype, threads)], Workspace())

    def run(self, segment: Segment) -> Tensor:
        """Spikes that the kernels make, bool [T, N, C, H, W]."""
        step, _, sources = self.plan()
        made = segment(sources)[step.output]
        return masks.unpack(made, self.shape[0], torch.float32).bool()

    def count(self, segment: Segment) -> tuple[LayerAdds, ...]:
        return segment.count(self.plan()[2])


def static(dense: Tensor) -> bool:
    """Whether dense currents [N, C, H, W] or [N, F] lack the time axis."""
    return dense.ndim in {2, 4}


def check(case: Case, weights_dtype: str = "float32", threads: int = 1) -> None:
    """The kernels' spikes and counted additions are those expected."""
    segment = case.segment(weights_dtype, threads)
    expected = case.expected()
    assert torch.equal(case.run(segment), expected)
    counted = case.count(segment)
    assert [(adds.layer, adds.executed) for adds in counted] == case.expected_adds()
