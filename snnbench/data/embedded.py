"""Real data that comes with scikit-learn, so every benchmark runs without a download."""

from __future__ import annotations

import numpy as np
from PIL import Image

from snnbench.data.folders import Draw, Drawn, Labels, Pixels, Split, choose, generator
from snnbench.data.images import mode_of, planes

DIGIT_CLASSES = 10
DIGITS_FOR_TRAINING = 1497
"""Of the 1,797 digits. The rest, in scikit-learn's order, are the 300 for testing."""

_GREY_LEVELS = 16


def digit_images(split: Split) -> tuple[Pixels, Labels]:
    """Handwritten digits of scikit-learn (the test part of UCI's optdigits).

    The split is fixed and by order, which keeps most of the writers apart: the first 1,497 digits
    calibrate and train, the last 300 test.

    Returns:
        Grey images ``uint8`` [N, 8, 8] scaled from 0..16 to 0..255, and labels [N].
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    part = slice(DIGITS_FOR_TRAINING, None) if split == "test" else slice(DIGITS_FOR_TRAINING)
    grey = np.rint(digits.images[part] * (255 / _GREY_LEVELS)).astype(np.uint8)
    return grey, digits.target[part].astype(np.int64)


def enlarge(grey: Pixels, height: int, width: int) -> Pixels:
    """One grey image [h, w] resized to [height, width] (bicubic, clipped to 0..255)."""
    image = Image.fromarray(grey).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.uint8)


def draw_digits(draw: Draw) -> tuple[Pixels, Labels | None]:
    """A seeded draw of ``digit_images``; the labels unless the network has under ten outputs.

    Raises:
        DataError: More are asked for than the split has.
    """
    grey, labels = digit_images(draw.split)
    source = f"the {draw.split} part of scikit-learn's digits"
    indices = choose(len(labels), draw, source, separate=True)
    fits = draw.classes is None or draw.classes >= DIGIT_CLASSES
    return grey[indices], labels[indices] if fits else None


def digits(shape: tuple[int, int, int], draw: Draw) -> Drawn:
    """Digits as images of a benchmark's size, grey on every channel.

    Raises:
        DataError: Too few digits, or neither 1 nor 3 channels.
    """
    mode_of(shape)
    grey, labels = draw_digits(draw)
    return Drawn(
        name="digits",
        description=describe_digits(shape, draw.split),
        values=enlarge_digits(grey, shape),
        labels=labels,
    )


def enlarge_digits(grey: Pixels, shape: tuple[int, int, int]) -> Pixels:
    """Grey digits [N, 8, 8] enlarged to [N, C, H, W], the same on every channel."""
    images = np.stack([enlarge(digit, shape[1], shape[2]) for digit in grey])
    return np.repeat(images[:, np.newaxis], shape[0], axis=1)


def describe_digits(shape: tuple[int, int, int], split: Split) -> str:
    """One sentence on what digits of a (C, H, W) are."""
    return (
        f"8x8 handwritten digits of scikit-learn ({split} part) enlarged to "
        f"{shape[1]}x{shape[2]}; classes are the digits 0 to 9"
    )


def photos(shape: tuple[int, int, int], draw: Draw) -> Drawn:
    """Random crops of scikit-learn's two photographs, alternating between them.

    A crop has the benchmark's aspect ratio and half to all of the photograph's short side, lies
    anywhere, is mirrored half of the time, and is resized (antialiased bilinear). The two splits
    use different random numbers, so their crops differ but may overlap.

    Raises:
        DataError: Neither 1 nor 3 channels.
    """
    from sklearn.datasets import load_sample_images

    mode = mode_of(shape)
    pictures = [Image.fromarray(pixels).convert(mode) for pixels in load_sample_images().images]
    random = generator(draw.seed, stream=1 if draw.split == "test" else 2)
    crops = [
        _crop(pictures[i % len(pictures)], (shape[1], shape[2]), random)
        for i in range(draw.samples)
    ]
    return Drawn(
        name="photos",
        description=(
            "random crops of scikit-learn's two photographs (a temple, a flower), unlabelled"
        ),
        values=np.stack(crops),
        labels=None,
    )


def _crop(picture: Image.Image, target: tuple[int, int], random: np.random.RandomState) -> Pixels:
    part, across, down, mirror = random.random_sample(4)
    height, width = target
    scale = min(picture.width / width, picture.height / height) * (0.5 + 0.5 * part)
    box_width, box_height = int(width * scale), int(height * scale)
    left = int(across * (picture.width - box_width + 1))
    top = int(down * (picture.height - box_height + 1))
    crop = picture.resize(
        (width, height),
        Image.Resampling.BILINEAR,
        box=(left, top, left + box_width, top + box_height),
    )
    return planes(crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirror < 0.5 else crop)
