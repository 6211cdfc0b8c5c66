"""Image files: geometry, and every way in which a file can be bad."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from PIL import Image

from snnbench.core.errors import DataError
from snnbench.data.images import crop_box, mode_of, read_crop

SMALL = (3, 32, 32)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.RandomState(0).randint(0, 256, (height, width, 3)).astype(np.uint8)


def save(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


@given(
    width=st.integers(1, 3000),
    height=st.integers(1, 3000),
    target=st.tuples(st.integers(8, 256), st.integers(8, 256)),
)
def test_crop_is_inside_and_centred(width, height, target):
    left, top, right, bottom = crop_box((width, height), target)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert abs(left - (width - right)) <= 1
    assert abs(top - (height - bottom)) <= 1


def test_imagenet_crop_of_a_256_pixel_image_does_not_resample(tmp_path):
    pixels = noise(256, 300)
    image = read_crop(save(tmp_path / "a.png", pixels), (3, 224, 224))
    assert np.array_equal(image, pixels[16:240, 38:262].transpose(2, 0, 1))


def test_small_networks_see_the_whole_square(tmp_path):
    pixels = noise(32, 32)
    assert np.array_equal(
        read_crop(save(tmp_path / "a.png", pixels), SMALL), pixels.transpose(2, 0, 1)
    )


def test_shrinking_averages_instead_of_skipping(tmp_path):
    stripes = np.zeros((320, 320, 3), np.uint8)
    stripes[:, ::2] = 255
    image = read_crop(save(tmp_path / "a.png", stripes), SMALL)
    assert abs(image.astype(int) - 127).max() <= 8


def test_grey_images_serve_both_kinds_of_card(tmp_path):
    path = save(tmp_path / "a.png", noise(32, 32)[..., 0])
    grey, colour = read_crop(path, (1, 32, 32)), read_crop(path, SMALL)
    assert grey.shape == (1, 32, 32)
    assert all(np.array_equal(plane, grey[0]) for plane in colour)


def test_a_very_long_image_stays_cheap(tmp_path):
    path = save(tmp_path / "a.png", np.full((1, 20_000, 3), 7, np.uint8))
    assert np.all(read_crop(path, (3, 224, 224)) == 7)


@pytest.mark.parametrize("keep", [0, 10, 60, 1500])
@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp"])
def test_truncated_image_is_named(tmp_path, suffix, keep):
    path = save(tmp_path / f"cut.{suffix}", noise(64, 64))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=rf"^image .*cut\.{suffix} cannot be decoded: .*; replace"):
        read_crop(path, SMALL)


@given(flips=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=5))
def test_corrupt_bytes_give_an_image_or_a_data_error(tmp_path_factory, flips):
    path = tmp_path_factory.mktemp("corrupt") / "a.png"
    content = bytearray(save(path, noise(12, 12)).read_bytes())
    for place, value in flips:
        content[place] = value
    path.write_bytes(bytes(content))
    problem = ""
    try:
        assert read_crop(path, SMALL).shape == SMALL
    except DataError as error:
        problem = str(error)
    assert "\n" not in problem


def test_zero_size_image(tmp_path):
    path = tmp_path / "none.ppm"
    path.write_bytes(b"P6 0 5 255\n")
    with pytest.raises(DataError, match=r"none\.ppm cannot be decoded: "):
        read_crop(path, SMALL)


def test_decompression_bomb(tmp_path, monkeypatch):
    path = save(tmp_path / "big.png", noise(40, 40))
    for limit in (1000, 100):  # above the limit Pillow warns, above twice the limit it raises
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(DataError, match=rf"big\.png has more than {limit:,} pixels; make it"):
            read_crop(path, SMALL)


def test_deep_pixels_are_refused_instead_of_clipped(tmp_path):
    path = save(tmp_path / "deep.png", np.full((8, 8), 1000, np.uint16))
    with pytest.raises(DataError, match=r"more than 8 bits .*; convert it to 8 bits"):
        read_crop(path, SMALL)


def test_unreadable_image(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(DataError, match=r"a\.png cannot be read: permission denied$"):
        read_crop(tmp_path / "a.png", SMALL)


def test_channels_of_the_card():
    with pytest.raises(DataError, match=r"1 or 3 channels, but the benchmark's input has 2$"):
        mode_of((2, 32, 32))
