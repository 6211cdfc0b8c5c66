"""Embedded digits and photographs."""

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_sample_images

from snnbench.core.errors import DataError
from snnbench.data.embedded import digit_images, digits, enlarge, photos
from snnbench.data.folders import Draw

SHAPE = (3, 32, 32)


def test_digit_split_covers_the_set_once():
    train, train_labels = digit_images("calibration")
    test, test_labels = digit_images("test")
    assert (len(train), len(test)) == (1497, 300)
    whole = load_digits()
    assert np.concatenate([train_labels, test_labels]).tolist() == whole.target.tolist()
    assert abs(np.concatenate([train, test]) - whole.images * 255 / 16).max() <= 0.5
    assert np.bincount(test_labels).min() >= 25


def test_digits_are_grey_and_still_the_same_digit():
    drawn = digits(SHAPE, Draw(samples=300))
    assert drawn.values.shape == (300, *SHAPE)
    assert np.array_equal(drawn.values[:, 0], drawn.values[:, 2])
    # the means of 4 x 4 blocks resemble the 8 x 8 digit, so the nearest one has its label
    blocks = drawn.values[:, 0].reshape(300, 8, 4, 8, 4).mean(axis=(2, 4)).reshape(300, 64)
    grey, labels = digit_images("test")
    distance = ((blocks[:, None] - grey.reshape(1, 300, 64).astype(float)) ** 2).sum(axis=2)
    nearest = distance.argmin(axis=1)
    assert np.mean(labels[nearest] == drawn.labels) > 0.99
    assert sorted(drawn.labels.tolist()) == sorted(labels.tolist())


@pytest.mark.parametrize(
    ("classes", "labelled"), [(None, True), (10, True), (11, True), (9, False)]
)
def test_digit_labels_need_ten_outputs(classes, labelled):
    assert (digits(SHAPE, Draw(samples=2, classes=classes)).labels is not None) == labelled


def test_digits_run_out():
    with pytest.raises(
        DataError, match="test part of scikit-learn's digits holds 300 samples, 301"
    ):
        digits(SHAPE, Draw(samples=301))


def test_enlarging_keeps_black_and_white():
    for level in (0, 255):
        assert np.all(enlarge(np.full((8, 8), level, np.uint8), 30, 20) == level)


def test_photo_crops_come_from_their_photograph():
    drawn = photos((3, 64, 48), Draw(samples=4))
    assert drawn.values.shape == (4, 3, 64, 48)
    assert drawn.labels is None
    for crop, photo in zip(drawn.values, load_sample_images().images * 2, strict=True):
        levels = [np.histogram(x, bins=8, range=(0, 256))[0] / x.size for x in (crop, photo)]
        assert np.abs(levels[0] - levels[1]).sum() < 1.0
        assert crop.std() > 20


def test_photo_crops_vary_and_the_splits_differ():
    test = photos(SHAPE, Draw(samples=6)).values
    calibration = photos(SHAPE, Draw(samples=6, split="calibration")).values
    assert len({crop.tobytes() for crop in (*test, *calibration)}) == 12
    assert np.array_equal(photos(SHAPE, Draw(samples=3)).values, test[:3])


def test_channels_of_the_card():
    assert photos((1, 16, 16), Draw(samples=2)).values.shape == (2, 1, 16, 16)
    for source in (photos, digits):
        with pytest.raises(DataError, match="1 or 3 channels"):
            source((2, 32, 32), Draw(samples=1))
