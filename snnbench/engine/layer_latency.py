"""Latency of one convolution of spikes at a chosen firing rate, by events and densely.

Spikes and weights are random, since only their number decides the time of a kernel. In a network
the firing rate could not be chosen.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from itertools import cycle, islice, pairwise

import torch
from torch import Tensor, nn

from snnbench.engine.dense.lif import lif_spikes
from snnbench.engine.dense.packed import PackedConv2d
from snnbench.engine.kernels import masks
from snnbench.engine.kernels.masks import Masks
from snnbench.engine.kernels.neuron_kernel import NeuronKernel
from snnbench.engine.kernels.segment import Segment
from snnbench.engine.kernels.workspace import Workspace
from snnbench.engine.plan import EventCurrent, NeuronStep, Value
from snnbench.nn.neuron_spec import NeuronSpec
from snnbench.results.layer_latency import LatencyPoint, LayerShape

_DECAY = 0.25
_POOL = 6
"""Inputs that take turns: one alone would be learned by the branch predictor."""
_WARMUP = 2
_BISECTIONS = 24


class TimedLayer:
    """One convolution with its LIF, ready to be timed at any firing rate.

    Args:
        shape: Shape of the convolution and its input.
        timesteps: T.
        batch_size: N.
        weights_dtype: Number format in event kernels; dense ones use float32.
        threads: Threads of event and dense kernels.
        seed: Seed of weights and spikes.
    """

    def __init__(
        self,
        shape: LayerShape,
        *,
        timesteps: int,
        batch_size: int = 1,
        weights_dtype: str = "float32",
        threads: int = 1,
        seed: int = 0,
    ) -> None:
        self.shape = shape
        self._timesteps, self._batch_size = timesteps, batch_size
        self._weights_dtype, self._threads, self._seed = weights_dtype, threads, seed
        self._random = torch.Generator().manual_seed(seed)
        kernel_y, kernel_x = shape.kernel
        conv = nn.Conv2d(
            shape.in_channels, shape.out_channels, shape.kernel, shape.stride, shape.padding
        ).requires_grad_(requires_grad=False)
        scale = (shape.in_channels * kernel_y * kernel_x) ** -0.5
        conv.weight.normal_(0, scale, generator=self._random)
        conv.bias = nn.Parameter(torch.zeros(shape.out_channels), requires_grad=False)
        self._weight = conv.weight.clone()
        self._convolution = PackedConv2d(conv)

    @torch.inference_mode()
    def measure(self, firing_rate: float, *, rounds: int) -> LatencyPoint:
        """Time event and dense kernels in turn on the same spikes, new ones in every round.

        Before each timed call its input is written to one buffer, as if a layer before it had just
        done so. The order within a round is random.

        Args:
            firing_rate: Rate of the input, in (0, 1]; the threshold is set for about the same
                output rate.
            rounds: Timed calls of each kernel.
        """
        before = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        try:
            return self._measure(firing_rate, rounds)
        finally:
            torch.set_num_threads(before)

    def _measure(self, firing_rate: float, rounds: int) -> LatencyPoint:
        pool = [self._spikes(firing_rate) for _ in range(_POOL)]
        dense_in = pool[0].clone(memory_format=torch.preserve_format)
        packed = [masks.pack(self._in_time(spikes)) for spikes in pool]
        masks_in = packed[0].copy()
        currents = self._in_time(self._convolution(dense_in))
        threshold = threshold_for(currents, firing_rate, decay=_DECAY)
        spec = NeuronSpec(decay=_DECAY, threshold=threshold)
        segment = self._segment(tuple(currents.shape[2:]), spec)

        def dense() -> Tensor:
            currents = self._in_time(self._convolution(dense_in))
            return lif_spikes(currents, spec)

        def event() -> Masks:
            return segment({0: masks_in})[1]

        ways: dict[str, Callable[[], object]] = {
            "event": event,
            "dense": dense,
            "convolution": lambda: self._convolution(dense_in),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        order = random.Random(self._seed)
        preemptions: list[int | None] = []
        for index in islice(cycle(range(_POOL)), _WARMUP + rounds):
            preemptions.append(_preemptions())
            for name in order.sample(list(ways), len(ways)):
                if name == "event":
                    masks_in[:] = packed[index]
                else:
                    dense_in.copy_(pool[index])
                start = time.perf_counter()
                ways[name]()
                seconds[name].append(time.perf_counter() - start)
        preemptions = [*preemptions[_WARMUP:], _preemptions()]
        fired = masks.unpack(event(), self.shape.out_channels, torch.float32)
        return LatencyPoint(
            firing_rate=firing_rate,
            input_firing_rate=float(torch.stack([s.mean() for s in pool]).mean()),
            output_firing_rate=float(fired.mean()),
            event_s=tuple(seconds["event"][_WARMUP:]),
            dense_s=tuple(seconds["dense"][_WARMUP:]),
            convolution_s=tuple(seconds["convolution"][_WARMUP:]),
            interrupted_rounds=(
                None
                if None in preemptions
                else sum(before != after for before, after in pairwise(preemptions))
            ),
        )

    def _spikes(self, firing_rate: float) -> Tensor:
        """Draw spikes [T*N, C, H, W] of 0.0 and 1.0, channels last."""
        shape = self.shape
        images = self._timesteps * self._batch_size
        size = (images, shape.in_channels, shape.height, shape.width)
        fired = torch.rand(size, generator=self._random) < firing_rate
        return fired.float().contiguous(memory_format=torch.channels_last)

    def _in_time(self, x: Tensor) -> Tensor:
        """View [T*N, ...] as [T, N, ...]."""
        return x.view(self._timesteps, self._batch_size, *x.shape[1:])

    def _segment(self, out_shape: tuple[int, ...], spec: NeuronSpec) -> Segment:
        shape = self.shape
        values = (
            Value(name="in", kind="spikes", shape=(shape.in_channels, shape.height, shape.width)),
            Value(name="out", kind="spikes", shape=out_shape),
        )
        current = EventCurrent(
            source=0,
            layer="layer",
            weight=self._weight,
            stride=shape.stride,
            padding=shape.padding,
        )
        step = NeuronStep(
            name="out",
            currents=(current,),
            bias=torch.zeros(shape.out_channels, dtype=torch.float64),
            spec=spec,
            output=1,
        )
        kernel = NeuronKernel(
            step,
            values,
            timesteps=self._timesteps,
            weights_dtype=self._weights_dtype,
            threads=self._threads,
        )
        return Segment([kernel], Workspace())


def threshold_for(currents: Tensor, firing_rate: float, *, decay: float) -> float:
    """Find the threshold at which LIF neurons fire at about a given rate.

    Args:
        currents: Pre-activations, [T, ...].
        firing_rate: Spikes per neuron and timestep, in (0, 1].
        decay: Decay of the potential per timestep.
    """
    low, high = (float(bound) for bound in currents.aminmax())
    low -= 1.0  # below the smallest current, so that all neurons fire
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        fired = float(lif_spikes(currents, NeuronSpec(decay=decay, threshold=middle)).mean())
        low, high = (middle, high) if fired > firing_rate else (low, middle)
    return (low + high) / 2


def _preemptions() -> int | None:
    """Count how often this process lost a core to another; ``None`` where no system counts."""
    if sys.platform == "win32":
        return None
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
