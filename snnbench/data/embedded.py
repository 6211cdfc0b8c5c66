"""Real data that comes with scikit-learn, so that every benchmark runs without a download."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from snnbench.core.errors import DataError
from snnbench.data.dataset import ENDLESS, DataSet, Part, Wanted, stored_frames, stored_images
from snnbench.data.events import Framing, frame_events, framing_of
from snnbench.data.folders import Labels, Pixels, generator
from snnbench.data.images import mode_of, planes
from snnbench.data.saccades import image_side, record

DIGIT_CLASSES = 10
DIGITS_FOR_TRAINING = 1497
"""The first of the 1,797 digits in scikit-learn's order; the other 300 are for testing."""

_GREY_LEVELS = 16
_RECORDINGS_AT_ONCE = 64
"""The simulated camera keeps whole recordings of events in memory."""


def digit_images(part: Part) -> tuple[Pixels, Labels]:
    """Load handwritten digits of scikit-learn (the test part of UCI's optdigits).

    The first 1,497 digits train, the last 300 test; this order keeps most of the writers apart.

    Returns:
        Grey images ``uint8`` [N, 8, 8] scaled from 0..16 to 0..255, and labels [N].
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    chosen = slice(DIGITS_FOR_TRAINING, None) if part == "test" else slice(DIGITS_FOR_TRAINING)
    grey = np.rint(digits.images[chosen] * (255 / _GREY_LEVELS)).astype(np.uint8)
    return grey, digits.target[chosen].astype(np.int64)


def enlarge(grey: Pixels, height: int, width: int) -> Pixels:
    """Resize a grey image [h, w] to [height, width] (bicubic, clipped to 0..255)."""
    image = Image.fromarray(grey).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.uint8)


def open_digits(wanted: Wanted) -> DataSet:
    """Open the digits as images of a benchmark's size, grey on every channel.

    Raises:
        DataError: Neither 1 nor 3 channels.
    """
    shape = wanted.spec.shape
    mode_of(shape)
    grey, answers = digit_images(wanted.part)
    enlarged = np.stack([enlarge(digit, shape[1], shape[2]) for digit in grey])
    images = torch.from_numpy(np.repeat(enlarged[:, np.newaxis], shape[0], axis=1))
    labels = torch.from_numpy(answers)
    return DataSet(
        name="digits",
        description=(
            f"8x8 handwritten digits of scikit-learn ({wanted.part} part) enlarged to "
            f"{shape[1]}x{shape[2]}; classes are the digits 0 to 9"
        ),
        samples=len(labels),
        values=stored_images(images, mirror=False),
        labels=labels,
        classes=DIGIT_CLASSES,
    )


def open_saccades(wanted: Wanted) -> DataSet:
    """Open the digits of ``open_digits`` as recordings of the simulated event camera.

    Raises:
        DataError: The benchmark's card does not describe frames of events.
    """
    framing = framing_of(wanted.spec, wanted.timesteps)
    grey, answers = digit_images(wanted.part)
    labels = torch.from_numpy(answers)

    def record_now(indices: Sequence[int], _views: Tensor | None) -> Tensor:
        chosen = grey[list(indices)]
        chunks = [
            saccade_frames(chosen[start : start + _RECORDINGS_AT_ONCE], framing)
            for start in range(0, len(chosen), _RECORDINGS_AT_ONCE)
        ]
        return torch.from_numpy(np.concatenate(chunks, axis=1).astype(np.uint8))

    return DataSet(
        name="digit-saccades",
        description=(
            f"handwritten digits of scikit-learn ({wanted.part} part) seen by a simulated "
            f"saccading event camera, {framing.values} frames; classes are the digits 0 to 9"
        ),
        samples=len(labels),
        values=record_now if wanted.draw else stored_frames(record_now(range(len(grey)), None)),
        labels=labels,
        classes=DIGIT_CLASSES,
    )


def saccade_frames(grey: Pixels, framing: Framing) -> npt.NDArray[np.float32]:
    """Record digits [S, 8, 8] with the simulated camera, as frames [T, S, 2, H, W]."""
    side = image_side(framing.sensor)
    # the digits touch the edges of their 8x8 images; MNIST's have black around them
    bordered = np.pad(grey, ((0, 0), (1, 1), (1, 1)))
    images = np.stack([enlarge(digit, side, side) for digit in bordered])
    recordings = record(images, framing.sensor, framing.timesteps * framing.slice_us)
    return frame_events(recordings, framing)


def open_photos(wanted: Wanted) -> DataSet:
    """Open an endless set of random crops of scikit-learn's two photographs, taken in turn.

    A crop has the benchmark's aspect ratio and half to all of the photograph's short side, lies
    anywhere, is mirrored half of the time, and is resized (antialiased bilinear).

    Raises:
        DataError: Labels are required, or neither 1 nor 3 channels.
    """
    from sklearn.datasets import load_sample_images

    if wanted.draw is None:
        msg = (
            "the benchmark's embedded photos have no labels; give labelled data with KIND=PATH, "
            "for example imagenet=PATH"
        )
        raise DataError(msg)
    seed, shape = wanted.draw.seed, wanted.spec.shape
    mode = mode_of(shape)
    photographs = load_sample_images().images
    pictures = [Image.fromarray(pixels).convert(mode) for pixels in photographs]

    def values(indices: Sequence[int], _views: Tensor | None) -> Tensor:
        places = generator(seed, stream=1).random_sample((max(indices) + 1, 4)).tolist()
        crops = [_crop(pictures[i % len(pictures)], shape[1:], places[i]) for i in indices]
        return torch.from_numpy(np.stack(crops))

    return DataSet(
        name="photos",
        description=(
            "random crops of scikit-learn's two photographs (a temple, a flower), unlabelled"
        ),
        samples=ENDLESS,
        values=values,
        digest=lambda: sha256(b"".join(picture.tobytes() for picture in pictures)).hexdigest(),
        digested=f"the photographs, crops with seed {seed}",
    )


def _crop(picture: Image.Image, target: tuple[int, int], place: list[float]) -> Pixels:
    part, across, down, mirror = place
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


EMBEDDED: dict[str, tuple[str, Callable[[Wanted], DataSet]]] = {
    "digits": ("image", open_digits),
    "photos": ("image", open_photos),
    "digit-saccades": ("events", open_saccades),
}
"""Kind of input that each set holds, and its reader."""
