"""Embedded digits and photographs."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_sample_images
from support.labelled_sets import EVENTS, LARGE, opened, views_of

from snnbench.core.errors import DataError
from snnbench.data.dataset import ENDLESS, DataSet, Draw
from snnbench.data.embedded import digit_images, enlarge
from snnbench.data.open import open_set
from snnbench.zoo.card import InputSpec

SHAPE = (3, 32, 32)


def embedded(name: str, shape: tuple[int, int, int] = SHAPE, seed: int = 0) -> DataSet:
    spec = InputSpec(kind="image", shape=shape, dataset="x", embedded=name)
    draw = Draw(samples=1, seed=seed)
    return open_set(spec, data=None, part="test", timesteps=1, draw=draw)


def test_digit_split_covers_the_set_once():
    train, train_labels = digit_images("train")
    test, test_labels = digit_images("test")
    assert (len(train), len(test)) == (1497, 300)
    whole = load_digits()
    assert np.concatenate([train_labels, test_labels]).tolist() == whole.target.tolist()
    assert abs(np.concatenate([train, test]) - whole.images * 255 / 16).max() <= 0.5
    assert np.bincount(test_labels).min() >= 25


def test_digits_are_grey_and_still_the_same_digit():
    values, answers = embedded("digits").batch(range(300))
    images = values.numpy()
    assert images.shape == (300, *SHAPE)
    assert np.array_equal(images[:, 0], images[:, 2])
    # the means of 4 x 4 blocks resemble the 8 x 8 digit, so the nearest one has its label
    blocks = images[:, 0].reshape(300, 8, 4, 8, 4).mean(axis=(2, 4)).reshape(300, 64)
    grey, labels = digit_images("test")
    distance = ((blocks[:, None] - grey.reshape(1, 300, 64).astype(float)) ** 2).sum(axis=2)
    nearest = distance.argmin(axis=1)
    assert np.mean(labels[nearest] == answers.numpy()) > 0.99
    assert answers.tolist() == labels.tolist()


def test_enlarging_keeps_black_and_white():
    for level in (0, 255):
        assert np.all(enlarge(np.full((8, 8), level, np.uint8), 30, 20) == level)


def test_photo_crops_come_from_their_photograph():
    photos = embedded("photos", (3, 64, 48))
    assert (photos.samples, photos.labels, photos.classes) == (ENDLESS, None, 0)
    crops = photos.values(range(4), None).numpy()
    assert crops.shape == (4, 3, 64, 48)
    for crop, photo in zip(crops, load_sample_images().images * 2, strict=True):
        levels = [np.histogram(x, bins=8, range=(0, 256))[0] / x.size for x in (crop, photo)]
        assert np.abs(levels[0] - levels[1]).sum() < 1.0
        assert crop.std() > 20


def test_photo_crops_vary_with_place_and_seed_alone():
    crops = embedded("photos").values(range(6), None)
    others = embedded("photos", seed=1).values(range(6), None)
    assert len({crop.numpy().tobytes() for crop in (*crops, *others)}) == 12
    assert torch.equal(embedded("photos").values([4, 1], None), crops[[4, 1]])
    assert embedded("photos").info.sha256 == embedded("photos", seed=1).info.sha256
    assert "crops with seed 1" in embedded("photos", seed=1).info.description


def test_channels_of_the_card():
    assert embedded("photos", (1, 16, 16)).values([0, 1], None).shape == (2, 1, 16, 16)
    for name in ("photos", "digits"):
        with pytest.raises(DataError, match="1 or 3 channels"):
            embedded(name, (2, 32, 32))


def test_simulated_events_are_the_same_drawn_or_held():
    spec = InputSpec(
        kind="events", shape=(2, 20, 24), dataset="x", embedded="digit-saccades", slice_us=20_000
    )
    drawn = open_set(spec, data=None, part="test", timesteps=2, draw=Draw(samples=3))
    held = open_set(spec, data=None, part="test", timesteps=2)
    assert drawn.info == held.info
    for one, other in zip(drawn.batch([299, 7]), held.batch([299, 7]), strict=True):
        assert torch.equal(one, other)
    assert held.values([7], None).any()


@pytest.mark.parametrize(("part", "count"), [("train", 1497), ("test", 300)])
def test_digits(part, count):
    data = opened(None, part)
    assert (len(data), data.classes, data.info.samples, data.info.name) == (
        count,
        10,
        count,
        "digits",
    )
    values, labels = data.batch([count - 1], None)
    assert (values.dtype, values.shape) == (torch.uint8, (1, 3, 32, 32))
    assert labels.tolist() == digit_images(part)[1][-1:].tolist()


def test_digits_move_but_are_never_mirrored():
    data = opened(None)
    still = torch.full((5, 3), 0.5)
    still[:, 2] = 0
    assert torch.equal(data.batch(range(5), still)[0], data.batch(range(5), None)[0])
    assert not torch.equal(data.batch(range(5), views_of(5))[0], data.batch(range(5), None)[0])


def test_saccades_are_not_augmented():
    data = opened(None, "test", EVENTS, timesteps=4)
    frames, labels = data.batch([3, 8], views_of(2))
    assert (frames.dtype, frames.shape) == (torch.uint8, (4, 2, 2, 20, 24))
    assert frames.any()
    assert torch.equal(frames, data.batch([3, 8], None)[0])
    assert labels.tolist() == digit_images("test")[1][[3, 8]].tolist()


def test_photos_have_no_labels():
    with pytest.raises(
        DataError, match=r"embedded photos have no labels; give labelled.*imagenet=PATH"
    ):
        opened(None, spec=LARGE)
