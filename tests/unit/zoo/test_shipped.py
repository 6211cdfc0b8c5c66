"""Trained weights that come with a benchmark, and what files say of themselves."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from snnbench.core.errors import UsageError, WeightsError
from snnbench.run.config import configure
from snnbench.zoo import registry, shipped
from snnbench.zoo.registry import Benchmark
from snnbench.zoo.shipped import Facts

PAPER = {"shortcut": "paper"}
TOLD = {
    "width": "0.25",
    "shortcut": "paper",
    "timesteps": "4",
    "twin": "false",
    "test_correct": "291",
    "test_samples": "300",
    "test_accuracy_interval_95": "[0.943, 0.984]",
    "data_description": "digits",
    "data_sha256": "ab12",
    "seed": "3",
    "command": json.dumps(["snnbench", "train", "resnet19"]),
}


def write(path: Path, **changes: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"w": torch.zeros(1)}, path, metadata=TOLD | changes)
    return path


@pytest.fixture
def shipping(tmp_path: Path) -> Benchmark:
    """ResNet-19 with a folder of weights of its own."""
    original = registry.get("resnet19")
    card = tmp_path / "cards" / "resnet19.toml"
    card.parent.mkdir()
    shutil.copy(original.path, card)
    folder = tmp_path / "weights" / "resnet19"
    write(folder / "digits-w0.25.safetensors")
    write(folder / "digits-w0.25-T2.safetensors", timesteps="2")
    write(folder / "digits-w0.25-twin.safetensors", timesteps="1", twin="true")
    write(folder / "cifar10-w0.25.safetensors")
    write(tmp_path / "weights" / "resnet190" / "digits-w0.25.safetensors")
    return Benchmark(path=card, builder=original.builder, weights=folder)


def test_shipped_weights_are_found_by_data_width_and_timesteps(shipping: Benchmark):
    assert list(shipped.shipped(shipping)) == [
        "cifar10-w0.25",
        "digits-w0.25",
        "digits-w0.25-T2",
        "digits-w0.25-twin",
    ]
    find = shipped.find
    asked = {"kind": "digits", "width": 0.25, "options": {"shortcut": "paper"}}
    assert find(shipping, **asked) == "shipped:digits-w0.25"
    assert find(shipping, **asked, timesteps=2) == "shipped:digits-w0.25-T2"
    assert find(shipping, **asked, timesteps=6) == "shipped:digits-w0.25"
    assert find(shipping, **asked, twin=True) == "shipped:digits-w0.25-twin"
    assert find(shipping, **asked | {"kind": "cifar10"}) == "shipped:cifar10-w0.25"
    assert find(shipping, **asked | {"width": None}) == "shipped:digits-w0.25"
    assert find(shipping, **asked | {"width": None, "kind": "imagenet"}) is None
    for other in (
        *({"kind": "imagenet"}, {"kind": None}, {"width": 1.0}),
        {"options": {"shortcut": "identity"}},
    ):
        assert find(shipping, **asked | other) is None
    assert find(shipping, **asked | {"kind": "cifar10"}, twin=True) is None


def test_a_name_means_a_file_and_a_path_itself(shipping: Benchmark):
    located = shipped.locate(shipping, "shipped:cifar10-w0.25")
    assert located == shipped.shipped(shipping)["cifar10-w0.25"]
    assert shipped.locate(shipping, "own.safetensors") == Path("own.safetensors")
    with pytest.raises(UsageError, match="no weights 'w' come with resnet19; there are: cifar10-w"):
        shipped.locate(shipping, "shipped:w")


def test_what_a_file_does_not_say_is_unknown(tmp_path: Path):
    path = tmp_path / "w.safetensors"
    save_file({"w": torch.zeros(1)}, path, metadata={"width": "wide", "timesteps": "4.5"})
    assert shipped.facts(registry.get("resnet19"), str(path)) == Facts()
    assert shipped.evidence(path) == "timesteps: 4.5; width: wide"
    save_file({"w": torch.zeros(1)}, path)
    assert shipped.evidence(path) is None
    with pytest.raises(WeightsError, match="do not exist"):
        shipped.facts(registry.get("resnet19"), str(tmp_path / "none.safetensors"))


def test_evidence_is_told_in_words(tmp_path: Path):
    # 291 / 300 = 97 %
    assert shipped.evidence(write(tmp_path / "w.safetensors")) == (
        "test accuracy 97.00 % (291 of 300), 95 % interval 94.30 to 98.40 %; trained on digits; "
        "training data SHA-256 ab12; T 4; seed 3; command snnbench train resnet19"
    )


def test_weights_that_were_not_tested_say_so(tmp_path: Path):
    path = tmp_path / "w.safetensors"
    save_file({"w": torch.zeros(1)}, path, metadata={"status": "trained", "seed": "3"})
    assert shipped.evidence(path) == "not tested; seed 3"


@pytest.mark.parametrize(
    "changes",
    [
        {"test_correct": "many"},
        {"test_samples": "0"},
        {"test_samples": "290"},
        {"test_correct": "[" * 10**5},
    ],
)
def test_an_accuracy_that_makes_no_sense_is_not_told(tmp_path: Path, changes: dict[str, str]):
    told = shipped.evidence(write(tmp_path / "w.safetensors", **changes))
    assert told is not None
    assert "test accuracy" not in told
    assert "width: 0.25" in told


@pytest.mark.parametrize("interval", ["[0.9]", '"wide"', "[[], {}]", "null"])
def test_an_interval_that_makes_no_sense_is_left_out(tmp_path: Path, interval: str):
    told = shipped.evidence(write(tmp_path / "w.safetensors", test_accuracy_interval_95=interval))
    assert told is not None
    assert told.startswith("test accuracy 97.00 % (291 of 300); trained on digits")


def test_a_run_takes_the_network_from_its_weights(tmp_path: Path):
    path = str(write(tmp_path / "w.safetensors"))
    config = configure(registry.get("resnet19"), weights=path)
    assert (config.width, config.options, config.timesteps) == (0.25, PAPER, 4)
    assert configure(registry.get("resnet19"), weights=path, timesteps=2).timesteps == 2
    with pytest.raises(UsageError, match=r"are for --width 0.25, not 0.5; leave the option out"):
        configure(registry.get("resnet19"), weights=path, width=0.5)
    with pytest.raises(UsageError, match="are for --shortcut paper, not identity"):
        configure(registry.get("resnet19"), weights=path, options={"shortcut": "identity"})
    with pytest.raises(UsageError, match=r"--untrained and --weights .* contradict each other"):
        configure(registry.get("resnet19"), weights=path, untrained=True)
    twin = str(write(tmp_path / "twin.safetensors", twin="true"))
    with pytest.raises(UsageError, match="those of an ANN twin; give them with --twin-weights"):
        configure(registry.get("resnet19"), weights=twin)


def test_a_run_takes_the_width_of_the_weights_that_come_with_a_benchmark():
    config = configure(registry.get("resnet19"))
    assert (config.width, config.weights) == (0.125, "shipped:digits-w0.125")
    assert config.twin_weights == "shipped:digits-w0.125-twin"
    for options in ({"width": 1.0}, {"untrained": True}, {"options": {"shortcut": "identity"}}):
        config = configure(registry.get("resnet19"), **options)
        assert (config.width, config.weights, config.twin_weights) == (1.0, None, None)
    assert configure(registry.get("resnet34-large")).width == 1.0


def test_the_twin_s_weights_are_those_of_a_twin(tmp_path: Path):
    twin = str(write(tmp_path / "twin.safetensors", twin="true"))
    assert configure(registry.get("resnet19"), width=0.25, twin_weights=twin).twin_weights == twin
    spiking = str(write(tmp_path / "w.safetensors"))
    with pytest.raises(UsageError, match=r"are those of the spiking network; give .* --weights"):
        configure(registry.get("resnet19"), width=0.25, twin_weights=spiking)
    other = str(write(tmp_path / "other.safetensors", twin="true", benchmark="plain20"))
    with pytest.raises(UsageError, match="are for plain20, not for resnet19"):
        configure(registry.get("resnet19"), width=0.25, twin_weights=other)
    with pytest.raises(WeightsError, match="do not exist"):
        configure(registry.get("resnet19"), twin_weights=str(tmp_path / "none.safetensors"))


def test_without_weights_that_fit_a_run_is_untrained(tmp_path: Path):
    config = configure(registry.get("resnet19"), width=0.375)
    assert (config.weights, config.twin_weights) == (None, None)
    assert (config.width, config.options, config.timesteps) == (0.375, PAPER, 6)
    Image.new("RGB", (32, 32)).save(tmp_path / "own.png")
    assert configure(registry.get("resnet19"), data=str(tmp_path), width=0.125).weights is None
