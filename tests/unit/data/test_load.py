"""From a card's input to tensors: shapes, normalisation, provenance, errors."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from PIL import Image

from snnbench.core.errors import DataError
from snnbench.data import load_samples
from snnbench.data.embedded import digits
from snnbench.data.folders import Draw
from snnbench.zoo.card import InputSpec

REAL_DATA = os.environ.get("SNNBENCH_DATA")
IMAGE = InputSpec(
    kind="image",
    shape=(3, 32, 32),
    dataset="CIFAR-10",
    embedded="digits",
    mean=(0.5, 0.25, 0.75),
    std=(0.25, 0.5, 1.0),
)
EVENTS = InputSpec(
    kind="events",
    shape=(2, 32, 32),
    dataset="DVS-Gesture",
    embedded="digit-saccades",
    slice_us=30_000,
)


def test_images_are_normalised_per_channel():
    loaded = load_samples(IMAGE, samples=5, timesteps=2, seed=3)
    pixels = digits(IMAGE.shape, Draw(samples=5, seed=3)).values / 255
    for channel, (mean, std) in enumerate(zip(IMAGE.mean, IMAGE.std, strict=True)):
        expected = (pixels[:, channel] - mean) / std
        assert np.allclose(loaded.inputs[:, channel].numpy(), expected, atol=1e-6)
    assert loaded.inputs.dtype == torch.float32
    assert loaded.labels is not None
    assert loaded.labels.dtype == torch.int64
    assert (loaded.info.name, loaded.info.samples, loaded.info.labelled) == ("digits", 5, True)


def test_without_mean_and_std_images_stay_between_0_and_1():
    loaded = load_samples(replace(IMAGE, mean=(), std=()), samples=5, timesteps=2)
    assert (loaded.inputs.min(), loaded.inputs.max()) == (0, 1)


def test_events_have_time_first_and_do_not_change_with_more_timesteps():
    short, long = (load_samples(EVENTS, samples=2, timesteps=n) for n in (3, 5))
    assert short.inputs.shape == (3, 2, 2, 32, 32)
    assert torch.equal(long.inputs[:3], short.inputs)
    assert torch.count_nonzero((short.inputs != 0) & (short.inputs != 1)) == 0


def test_event_counts_are_an_option():
    counts = load_samples(EVENTS, samples=2, timesteps=3, frame_values="counts")
    assert counts.inputs.max() > 1
    assert torch.equal(
        counts.inputs.clamp(max=1), load_samples(EVENTS, samples=2, timesteps=3).inputs
    )


@pytest.mark.parametrize("spec", [IMAGE, replace(IMAGE, embedded="photos"), EVENTS])
def test_same_arguments_same_hash(spec):
    def sha256(**changed):
        return load_samples(
            spec, **{"samples": 3, "timesteps": 2, "seed": 1, **changed}
        ).info.sha256

    assert sha256() == sha256()
    others = [sha256(seed=2), sha256(samples=4), sha256(split="calibration")]
    assert len({sha256(), *others}) == 4


def test_hash_covers_the_labels():
    with_labels, without = (
        load_samples(IMAGE, samples=3, timesteps=1, classes=classes) for classes in (10, 5)
    )
    assert torch.equal(with_labels.inputs, without.inputs)
    assert without.labels is None
    assert not without.info.labelled
    assert with_labels.info.sha256 != without.info.sha256


@pytest.mark.parametrize(
    ("spec", "sha256"),
    [
        (IMAGE, "7c7965c4971d637b1571c530c02a305e4c23a00473413251853dfdfa941e4d58"),
        (EVENTS, "212305ef33cece75b12b484547f1dc72c4e987cb88ebf5ce6e42632753ae16cb"),
    ],
)
def test_embedded_data_is_the_published_one(spec, sha256):
    # changes only together with every number measured on it
    assert load_samples(spec, samples=4, timesteps=4).info.sha256 == sha256


def test_image_folder(tmp_path):
    for index in range(3):
        Image.new("RGB", (40, 50), (index, 0, 255)).save(tmp_path / f"{index}.png")
    loaded = load_samples(IMAGE, samples=3, timesteps=1, path=tmp_path)
    assert loaded.inputs.shape == (3, 3, 32, 32)
    assert torch.all(loaded.inputs[:, 1] == -0.5)
    assert (loaded.info.name, loaded.info.labelled) == (tmp_path.name, False)
    with pytest.raises(DataError, match="holds 3 samples, 4 were asked for"):
        load_samples(IMAGE, samples=4, timesteps=1, path=tmp_path)


def test_cifar_folder(tmp_path):
    (tmp_path / "test_batch.bin").write_bytes(bytes([7]) + bytes(3072))
    loaded = load_samples(IMAGE, samples=1, timesteps=1, path=tmp_path, classes=10)
    assert loaded.info.name == "CIFAR-10"
    assert loaded.labels.tolist() == [7]


def test_event_folder(tmp_path):
    (tmp_path / "a.bin").write_bytes(bytes([1, 1, 0x80, 0, 9]))
    loaded = load_samples(EVENTS, samples=1, timesteps=2, path=tmp_path)
    assert loaded.inputs.nonzero().tolist() == [[0, 0, 1, 0, 0]]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"shape": (2, 32, 32)}, "images have 1 or 3 channels, but the benchmark's input has 2"),
        ({"mean": (0.5,)}, "mean and std have 1 and 3 values for 3 channels; give one per"),
        ({"std": ()}, "mean and std have 3 and 0 values"),
        ({"embedded": "digit-saccades"}, "digit-saccades are events, but the benchmark's input is"),
        ({"kind": "events", "shape": (2, 8, 8), "slice_us": 5}, "digits are images, but the bench"),
        ({"kind": "events", "slice_us": 5}, r"events have 2 channels \(OFF, ON\), but .* has 3"),
        ({"kind": "events"}, "its card must give slice_us"),
    ],
)
def test_cards_that_do_not_fit(changes, problem):
    with pytest.raises(DataError, match=problem):
        load_samples(replace(IMAGE, **changes), samples=1, timesteps=1)


@pytest.mark.parametrize("wrong", [{"samples": 0}, {"timesteps": 0}, {"seed": -1}, {"seed": 2**32}])
def test_numbers_out_of_range(wrong):
    with pytest.raises(DataError, match="samples and timesteps must be at least 1 and the seed"):
        load_samples(IMAGE, **{"samples": 1, "timesteps": 1, **wrong})


def test_images_need_neither_tonic_nor_a_warning():
    code = (
        "import sys; from snnbench.zoo.card import InputSpec\n"
        "from snnbench.data import load_samples\n"
        "assert not {'tonic', 'sklearn'} & set(sys.modules)\n"
        "spec = InputSpec(kind='image', shape=(3, 32, 32), dataset='x', embedded='digits')\n"
        "load_samples(spec, samples=1, timesteps=1); assert 'tonic' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(REAL_DATA is None, reason="SNNBENCH_DATA names no folder with real data")
def test_real_cifar_and_photographs():
    root = Path(str(REAL_DATA))
    cifar = load_samples(IMAGE, samples=500, timesteps=1, path=root / "cifar10", classes=10)
    assert torch.bincount(cifar.labels, minlength=10).min() > 25
    # means of CIFAR-10's channels as everyone's normalisation has them
    pixels = cifar.inputs * torch.tensor(IMAGE.std).view(3, 1, 1)
    means = pixels.mean((0, 2, 3)) + torch.tensor(IMAGE.mean)
    assert torch.allclose(means, torch.tensor([0.4914, 0.4822, 0.4465]), atol=0.03)
    large = replace(IMAGE, shape=(3, 224, 224), embedded="photos")
    photos = load_samples(large, samples=4, timesteps=1, path=root / "photos" / "images")
    assert photos.inputs.shape == (4, 3, 224, 224)
