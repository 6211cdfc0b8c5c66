"""The committed baselines of snnbench's own benchmarks hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from snnbench.compare.words import sentences
from snnbench.results.counts import Role
from snnbench.results.files import load
from snnbench.results.run import RunResult
from snnbench.zoo import registry
from tools import baselines

OURS = sorted(path.stem for path in baselines.FOLDER.glob("*.json"))


def committed(name: str) -> RunResult:
    return load(baselines.FOLDER / f"{name}.json")


def with_spikes(result: RunResult, share: float) -> RunResult:
    """``result`` whose neurons fire ``share`` more spikes."""
    layers = tuple(
        replace(layer, output_spikes=int(layer.output_spikes * (1 + share)))
        if layer.role is Role.NEURON and layer.output_spikes is not None
        else layer
        for layer in result.snn.layers
    )
    return replace(result, snn=replace(result.snn, layers=layers))


def test_every_benchmark_has_a_baseline() -> None:
    assert sorted(registry.names()) == OURS


def rounded_elsewhere(result: RunResult) -> RunResult:
    """``result`` as of a machine whose calibrated statistics differ in a bit."""
    return replace(result, weights=replace(result.weights, sha256="0" * 64))


@pytest.mark.parametrize("name", OURS)
def test_the_baseline_holds(name: str) -> None:
    for comparison in baselines.compare(committed(name), baselines.run(name)):
        remedy = "if this is meant, run `python tools/baselines.py` and commit what it writes"
        assert not comparison.exit_code, "\n".join((*sentences(comparison), remedy))


@pytest.mark.parametrize(
    ("share", "alike", "passes"),
    [
        (0.0, True, True),
        (0.001, True, False),
        (0.001, False, True),
        (0.01, False, False),
        (-0.01, False, False),
    ],
)
def test_another_cpu_is_given_little(share: float, *, alike: bool, passes: bool) -> None:
    base = committed("resnet19")
    head = with_spikes(base, share)
    found = baselines.compare(base, head if alike else rounded_elsewhere(head))
    assert all(not comparison.exit_code for comparison in found) == passes


def test_shapes_are_exact_on_any_cpu() -> None:
    base = committed("resnet19")
    first, *others = base.snn.layers
    dense = replace(first.dense, macs=first.dense.macs + 1)
    head = replace(base, snn=replace(base.snn, layers=(replace(first, dense=dense), *others)))
    found = baselines.compare(base, rounded_elsewhere(head))
    assert [comparison.exit_code for comparison in found] == [1, 1]
