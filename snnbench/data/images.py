"""Decoding, cropping and resizing of image files."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from PIL import Image

from snnbench.core.errors import DataError
from snnbench.data.folders import Pixels, unreadable

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".webp")

_MODES = {1: "L", 3: "RGB"}
_WIDE_MODES = ("I", "F")
# What Pillow's decoders raise on broken files; OSError covers truncation.
_DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    TypeError,
    OverflowError,
    struct.error,
)


def mode_of(shape: tuple[int, int, int]) -> str:
    """Return Pillow's mode for images of ``shape`` (C, H, W): grey or RGB.

    Raises:
        DataError: There are neither 1 nor 3 channels.
    """
    if shape[0] not in _MODES:
        msg = f"images have 1 or 3 channels, but the benchmark's input has {shape[0]}"
        raise DataError(msg)
    return _MODES[shape[0]]


def planes(image: Image.Image) -> Pixels:
    """Return the pixels of an image, channels first, [C, H, W]."""
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[np.newaxis] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def is_small(target: tuple[int, int]) -> bool:
    """Tell whether a (height, width) is CIFAR-sized, so that images are shown whole."""
    return min(target) <= 64


def crop_box(
    size: tuple[int, int], target: tuple[int, int], at: tuple[float, float] | None = None
) -> tuple[int, int, int, int]:
    """Choose the crop of an image, (left, top, right, bottom).

    Above 64 pixels it is the usual crop for ImageNet: of the target's size once the short side is
    256/224 of the target. Below, it is the largest possible, so a CIFAR-sized network sees the
    whole square.

    Args:
        size: (width, height) of the image.
        target: (height, width) of the network's input.
        at: Place of the crop, (across, down) in [0, 1); ``None`` is the centre.
    """
    width, height = size
    margin = 1.0 if is_small(target) else 256 / 224
    scale = min(width / target[1], height / target[0]) / margin
    kept_width, kept_height = (max(1, round(side * scale)) for side in (target[1], target[0]))
    spare_width, spare_height = width - kept_width, height - kept_height
    if at is None:
        left, top = spare_width // 2, spare_height // 2
    else:
        left, top = int(at[0] * (spare_width + 1)), int(at[1] * (spare_height + 1))
    return left, top, left + kept_width, top + kept_height


def _open(path: Path, mode: str) -> Image.Image:
    with Image.open(path) as image:
        limit = Image.MAX_IMAGE_PIXELS
        if limit is not None and image.width * image.height > limit:
            raise Image.DecompressionBombError
        if image.mode.split(";")[0] in _WIDE_MODES:
            msg = f"its pixels have more than 8 bits (mode {image.mode}); convert it to 8 bits"
            raise ValueError(msg)
        if 0 in image.size:
            msg = f"its size is {image.width} x {image.height}"
            raise ValueError(msg)
        return image.convert(mode)


def read_crop(
    path: Path, shape: tuple[int, int, int], at: tuple[float, float] | None = None
) -> Pixels:
    """Read, crop and resize one image (antialiased bilinear; orientation tags are not applied).

    Args:
        path: A file in a format of ``SUFFIXES``.
        shape: (C, H, W) of the result, C 1 or 3.
        at: Place of the crop, see ``crop_box``.

    Returns:
        Pixels, ``uint8`` [C, H, W].

    Raises:
        DataError: The file cannot be read or decoded, is too large, or has more than 8 bits.
    """
    try:
        image = _open(path, mode_of(shape))
    except (FileNotFoundError, PermissionError) as error:
        raise unreadable("image", path, error) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        msg = f"image {path} has more than {Image.MAX_IMAGE_PIXELS:,} pixels; make it smaller"
        raise DataError(msg) from None
    except _DECODE_ERRORS as error:
        msg = f"image {path} cannot be decoded: {error}; replace or remove it"
        raise DataError(msg) from error
    target = (shape[1], shape[2])
    box = crop_box(image.size, target, at)
    return planes(image.resize(target[::-1], Image.Resampling.BILINEAR, box=box))
