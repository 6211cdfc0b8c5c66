"""Times of convolutions at chosen firing rates, event-driven and dense, and their ratios.

Frozen dataclasses of the standard library; nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from snnbench.core.statistics import quartiles
from snnbench.results.run import DataInfo, Environment, RunConfig, WeightsInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerShape:
    """Shape of a convolution, which its time depends on besides its input spikes.

    Attributes:
        in_channels: C_in; a ``Linear`` is a 1x1 convolution of one pixel.
        out_channels: C_out.
        kernel: (k_y, k_x).
        stride: (s_y, s_x).
        padding: (p_y, p_x).
        height: Height of the input.
        width: Width of the input.
    """

    in_channels: int
    out_channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    height: int
    width: int

    def __str__(self) -> str:
        """E.g. ``128>256 3x3/2 @32x32``: channels, kernel, stride, size of the input."""
        kernel = f"{self.kernel[0]}x{self.kernel[1]}"
        stride = "" if self.stride == (1, 1) else f"/{max(self.stride)}"
        size = f"{self.height}x{self.width}"
        return f"{self.in_channels}>{self.out_channels} {kernel}{stride} @{size}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyPoint:
    """Times of one convolution and its LIF at one firing rate; each round takes all three times.

    Attributes:
        firing_rate: Requested spikes per input neuron and timestep.
        input_firing_rate: Firing rate of the random input.
        output_firing_rate: Firing rate of the LIF's output.
        event_s: From spike masks to spike masks: event lists, convolution, LIF.
        dense_s: Prepacked float32 convolution and LIF, from spikes to spikes.
        convolution_s: The prepacked convolution alone.
        interrupted_rounds: Rounds in which the system took a core away for another program, which
            lengthens long calls more than short ones; ``None`` if it does not tell.
    """

    firing_rate: float
    input_firing_rate: float
    output_firing_rate: float
    event_s: tuple[float, ...]
    dense_s: tuple[float, ...]
    convolution_s: tuple[float, ...]
    interrupted_rounds: int | None

    @property
    def speedup(self) -> float:
        """Median over rounds of dense time over event time, which are neighbours in a round."""
        return median(_ratios(self.dense_s, self.event_s))

    @property
    def speedup_over_convolution(self) -> float:
        """Like ``speedup``, with the convolution alone on the dense side."""
        return median(_ratios(self.convolution_s, self.event_s))

    @property
    def speedup_quartiles(self) -> tuple[float, float]:
        """First and third quartile of the speedup over rounds."""
        return quartiles(_ratios(self.dense_s, self.event_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyCurve:
    """Times of one convolution by firing rate.

    Attributes:
        layers: Modules of this shape.
        layer_firing_rates: What each of them receives in the network; ``None`` if unknown.
        shape: Shape of all of them.
        points: By rising firing rate.
    """

    layers: tuple[str, ...]
    layer_firing_rates: tuple[float | None, ...]
    shape: LayerShape
    points: tuple[LatencyPoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerLatencyResult:
    """Everything one ``snnbench latency`` measured.

    Attributes:
        benchmark: Name of the card.
        benchmark_version: Hash of the card and the model's source.
        title: Human-readable name.
        config: What was asked.
        rounds: Interleaved rounds per firing rate.
        environment: Where it ran.
        weights: Weights of the network whose rates are marked; curves are timed with random ones.
        data: Input of that network.
        curves: One per convolution, or per distinct shape.
        created_utc: ISO 8601.
    """

    benchmark: str
    benchmark_version: str | None
    title: str
    config: RunConfig
    rounds: int
    environment: Environment
    weights: WeightsInfo
    data: DataInfo
    curves: tuple[LatencyCurve, ...]
    created_utc: str


def break_even(points: Sequence[LatencyPoint]) -> float | None:
    """Find the lowest firing rate at which events stop being faster; ``None`` if there is none.

    Between two measured rates the ratio of event time to dense time is taken as linear, since
    additions grow with the rate and dense work does not.
    """
    ordered = sorted(points, key=lambda point: point.firing_rate)
    for below, above in pairwise(ordered):
        low, high = 1 / below.speedup, 1 / above.speedup
        if low < 1 <= high:
            step = above.firing_rate - below.firing_rate
            return below.firing_rate + step * (1 - low) / (high - low)
    return None


def interrupted_share(curves: Sequence[LatencyCurve]) -> float | None:
    """Return the share of rounds that other programs interrupted; ``None`` if it is unknown."""
    points = [point for curve in curves for point in curve.points]
    interrupted = [point.interrupted_rounds for point in points]
    if not points or None in interrupted:
        return None
    return sum(filter(None, interrupted)) / sum(len(point.event_s) for point in points)


def _ratios(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(numerators, denominators, strict=True)]
