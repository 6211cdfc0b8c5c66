"""Timing of single layers at chosen firing rates, and what is derived from the times."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
import torch
from rich.console import Console
from support import factories

from snnbench.engine.layer_latency import TimedLayer, threshold_for
from snnbench.nn.functional import lif_sequence
from snnbench.render.layer_latency import print_curves
from snnbench.results.layer_latency import (
    LatencyCurve,
    LatencyPoint,
    LayerLatencyResult,
    LayerShape,
    break_even,
    interrupted_share,
)


def layer(**changed: object) -> LayerShape:
    return LayerShape(
        **{
            "in_channels": 32,
            "out_channels": 48,
            "kernel": (3, 3),
            "stride": (1, 1),
            "padding": (1, 1),
            "height": 8,
            "width": 8,
        }
        | changed
    )


def point(rate: float, speedup: float) -> LatencyPoint:
    return LatencyPoint(
        firing_rate=rate,
        input_firing_rate=rate,
        output_firing_rate=rate,
        event_s=(1.0, 2.0, 4.0),
        dense_s=(speedup, 2 * speedup, 4 * speedup),
        convolution_s=(speedup / 2, speedup, 2 * speedup),
        interrupted_rounds=1,
    )


@pytest.mark.parametrize("weights_dtype", ["float32", "float64", "int16", "bfloat16"])
def test_every_way_is_timed_in_every_round(weights_dtype: str) -> None:
    speed = TimedLayer(layer(), timesteps=2, batch_size=3, weights_dtype=weights_dtype)
    measured = speed.measure(0.2, rounds=4)
    for seconds in (measured.event_s, measured.dense_s, measured.convolution_s):
        assert len(seconds) == 4
        assert min(seconds) > 0
    assert measured.firing_rate == 0.2


@pytest.mark.parametrize(
    "shape",
    [
        layer(),
        layer(stride=(2, 2)),
        layer(kernel=(1, 1), padding=(0, 0), stride=(2, 2)),
        layer(in_channels=512, kernel=(1, 1), padding=(0, 0), height=1, width=1),
    ],
    ids=str,
)
@pytest.mark.parametrize("rate", [0.05, 0.4])
def test_input_and_output_fire_at_about_the_rate(shape: LayerShape, rate: float) -> None:
    measured = TimedLayer(shape, timesteps=4, batch_size=16).measure(rate, rounds=1)
    assert measured.input_firing_rate == pytest.approx(rate, rel=0.1)
    assert measured.output_firing_rate == pytest.approx(rate, rel=0.25)


def test_all_inputs_fire_at_rate_one() -> None:
    measured = TimedLayer(layer(), timesteps=2).measure(1.0, rounds=1)
    assert measured.input_firing_rate == 1.0


def test_threads_of_torch_are_given_back() -> None:
    before = torch.get_num_threads()
    TimedLayer(layer(), timesteps=1, threads=before + 1).measure(0.5, rounds=1)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("rate", [0.02, 0.13, 0.7])
def test_a_threshold_gives_the_rate(rate: float) -> None:
    currents = torch.randn(5, 2, 64, 9, 9, generator=torch.Generator().manual_seed(1))
    threshold = threshold_for(currents, rate, decay=0.25)
    fired = lif_sequence(currents, decay=0.25, threshold=threshold)
    assert float(fired.mean()) == pytest.approx(rate, rel=0.01)


def test_speedups_are_medians_over_rounds() -> None:
    measured = LatencyPoint(
        firing_rate=0.1,
        input_firing_rate=0.1,
        output_firing_rate=0.1,
        event_s=(1.0, 1.0, 2.0),
        dense_s=(3.0, 5.0, 8.0),
        convolution_s=(2.0, 4.0, 8.0),
        interrupted_rounds=0,
    )
    assert measured.speedup == 4.0
    assert measured.speedup_quartiles == (3.5, 4.5)
    assert measured.speedup_over_convolution == 4.0


def test_break_even_lies_where_event_time_reaches_dense_time() -> None:
    # event time over dense time: 0.5 at 0.2, 1.5 at 0.4
    assert break_even([point(0.4, 1 / 1.5), point(0.2, 2.0)]) == pytest.approx(0.3)
    assert break_even([point(0.2, 2.0), point(0.4, 1.0)]) == pytest.approx(0.4)


def test_break_even_is_unknown_where_it_was_not_passed() -> None:
    assert break_even([point(0.1, 3.0), point(0.5, 1.2)]) is None
    assert break_even([point(0.1, 0.9), point(0.5, 0.5)]) is None
    assert break_even([point(0.1, 3.0)]) is None


def test_the_lowest_crossing_counts() -> None:
    noisy = [point(0.1, 2.0), point(0.2, 0.5), point(0.3, 2.0), point(0.4, 0.5)]
    found = break_even(noisy)
    assert found is not None
    assert 0.1 < found < 0.2


def result(*points: LatencyPoint) -> LayerLatencyResult:
    run = factories.make_result()
    curve = LatencyCurve(layers=("a",), layer_firing_rates=(0.2,), shape=layer(), points=points)
    return LayerLatencyResult(
        benchmark="toy",
        benchmark_version=None,
        title="Toy",
        config=run.config,
        rounds=3,
        environment=run.environment,
        weights=run.weights,
        data=run.data,
        curves=(curve,),
        created_utc=run.created_utc,
    )


@pytest.mark.parametrize(
    ("interrupted", "share"), [((0, 0), 0.0), ((1, 2), 0.5), ((None, 1), None)]
)
def test_a_busy_machine_is_told(interrupted: tuple[int | None, ...], share: float | None) -> None:
    points = [
        replace(point(rate, 2.0), interrupted_rounds=rounds)
        for rate, rounds in zip((0.1, 0.3), interrupted, strict=True)
    ]
    assert interrupted_share(result(*points).curves) == share
    screen = io.StringIO()
    print_curves(result(*points), Console(width=80, file=screen))
    assert ("other programs took the cores" in screen.getvalue()) == bool(share)


@pytest.mark.parametrize(
    ("speedups", "told"), [((3.0, 2.0), ">0.3"), ((0.9, 0.5), "<0.1"), ((2.0, 2 / 3), "0.20")]
)
def test_the_side_of_the_break_even_is_told(speedups: tuple[float, float], told: str) -> None:
    points = [point(rate, s) for rate, s in zip((0.1, 0.3), speedups, strict=True)]
    screen = io.StringIO()
    print_curves(result(*points), Console(width=80, file=screen))
    (row,) = [line for line in screen.getvalue().splitlines() if "32>48 3x3 @8x8" in line]
    assert row.split()[-2] == told


def test_a_shape_reads_as_one_line() -> None:
    assert str(layer()) == "32>48 3x3 @8x8"
    assert str(layer(stride=(2, 2))) == "32>48 3x3/2 @8x8"
