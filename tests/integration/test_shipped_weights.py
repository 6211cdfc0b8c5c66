"""Weights that come with the benchmarks are what their evidence says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from snnbench.data.draw import draw_samples
from snnbench.nn.layout import layout_of
from snnbench.nn.twin import ann_twin
from snnbench.run.config import configure
from snnbench.zoo import networks, registry, shipped
from snnbench.zoo.weight_files import load_metadata, load_state, state_sha256

FILES = [
    pytest.param(name, stem, path, id=f"{name}-{stem}")
    for name in registry.names()
    for stem, path in shipped.shipped(registry.get(name)).items()
]
FLIPS = 2
"""Digits that another CPU's rounding may classify otherwise."""


@pytest.mark.parametrize(("name", "stem", "path"), FILES)
def test_the_evidence_is_that_of_the_weights(name: str, stem: str, path: Path):
    told = load_metadata(path)
    card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert card["weights_sha256"] == state_sha256(load_state(path))
    assert (card["benchmark"], card["status"]) == (name, "trained")
    for key in told:
        assert told[key] == (card[key] if isinstance(card[key], str) else json.dumps(card[key]))
    facts = shipped.facts(registry.get(name), f"shipped:{stem}")
    assert stem.startswith(f"{stem.partition('-w')[0]}-w{facts.width:g}")
    assert stem.endswith("-twin") == facts.twin
    assert card["test_correct"] / card["test_samples"] == card["test_accuracy"]
    assert not any(Path(word).is_absolute() for word in card["command"])
    assert len(card["log"]) == card["epochs"]


def test_trained_digits_are_recognised_as_the_evidence_says():
    config = configure(registry.get("resnet19"), width=0.125, samples=300, with_latency=False)
    benchmark = registry.get("resnet19")
    assert (config.weights, config.twin_weights) == (
        "shipped:digits-w0.125",
        "shipped:digits-w0.125-twin",
    )
    samples = draw_samples(
        benchmark.card.input, data=None, samples=300, timesteps=config.timesteps, classes=10
    )
    assert samples.labels is not None
    network = networks.configured(benchmark, config)
    twin = ann_twin(network)
    networks.load(twin, benchmark, str(config.twin_weights))
    with torch.inference_mode():
        answers = {
            "digits-w0.125": network(samples.inputs),
            "digits-w0.125-twin": twin(layout_of(samples.inputs).twin_input(samples.inputs)),
        }
    for stem, output in answers.items():
        correct = int((output.argmax(1) == samples.labels).sum())
        card = json.loads(shipped.shipped(benchmark)[stem].with_suffix(".json").read_text())
        assert abs(correct - card["test_correct"]) <= FLIPS
        assert correct > 0.95 * 300


def test_shipped_weights_are_small():
    folder = registry.get("resnet19").weights
    assert folder is not None
    assert sum(path.stat().st_size for path in folder.parent.rglob("*.safetensors")) < 16 * 2**20
