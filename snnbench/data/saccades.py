"""A simulated event camera that looks at images in saccades, as N-MNIST was recorded.

Each pixel holds the logarithm of the intensity at its last event and sends an event, ON (1) or OFF
(0), whenever the present one differs by a contrast threshold (Lichtsteiner et al. 2008; linear
interpolation between samples as in ESIM, Rebecq et al. 2018). The camera moves along three saccades
in a triangle (Orchard et al. 2015), over and over until the recording ends. There is no noise. All
arithmetic is on integers, so every machine makes the same events.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from snnbench.data.folders import Pixels

SACCADE_US = 100_000
"""Length of one saccade, as in N-MNIST."""
CONTRAST = 0.4
"""Threshold in natural logarithms of intensity."""
CONTRAST_RATIO = 10.0
"""Intensity of white over that of black."""
TRAVEL = 6 / 34
"""Extent of the triangle over that of the sensor: N-MNIST moves a 28 px digit over 34 px."""
EVENT_DTYPE = np.dtype([("x", np.int64), ("y", np.int64), ("t", np.int64), ("p", np.int64)])
"""Field order and types of tonic's N-MNIST events; t in microseconds."""

_STEP_US = 2_000
_FINE = 64  # positions in 1/64 pixel
_LEVELS = 1024  # logarithms in 1/1024
_SCALE = _LEVELS * _FINE * _FINE  # of interpolated logarithms
_VERTICES = np.array([[0.5, -0.5], [-0.5, 0.0], [0.5, 0.5]])  # (y, x)

Integers = npt.NDArray[np.int64]
Logs = npt.NDArray[np.int32]


def image_side(sensor: tuple[int, int]) -> int:
    """Return the side of the square image that stays on a (height, width) sensor all along."""
    return min(sensor) - _travel(sensor)


def record(images: Pixels, sensor: tuple[int, int], duration_us: int) -> list[npt.NDArray[np.void]]:
    """Record images with the simulated camera.

    Args:
        images: Grey images ``uint8`` [S, side, side] (see ``image_side``), on black.
        sensor: (height, width) in pixels.
        duration_us: Length of the recording; the last 2 ms step may run over it.

    Returns:
        For each image its events sorted by time, of dtype ``EVENT_DTYPE``.
    """
    canvas = _log_canvas(images, sensor)
    path = _path(duration_us, _travel(sensor))
    before = _view(canvas, sensor, path[0])
    reference = before.ravel().copy()
    crossings = []
    for step, position in enumerate(path[1:]):
        after = _view(canvas, sensor, position)
        sites, fractions, signs = _crossings(reference, before.ravel(), after.ravel())
        crossings.append((sites, fractions + step * _STEP_US, signs))
        before = after
    sites, times, signs = (np.concatenate(parts) for parts in zip(*crossings, strict=True))
    return _sorted_events(sites, times, signs > 0, sensor, len(images))


def _sorted_events(
    sites: Integers,
    times: Integers,
    on: npt.NDArray[np.bool_],
    sensor: tuple[int, int],
    images: int,
) -> list[npt.NDArray[np.void]]:
    """Sort the events of each image by time, then pixel; one integer per event sorts fastest."""
    height, width = sensor
    pixels, length = height * width, int(times.max(initial=0)) + 1
    image, pixel = np.divmod(sites, pixels)
    keys = np.sort(((image * length + times) * pixels + pixel) * 2 + on)
    events = np.empty(len(keys), dtype=EVENT_DTYPE)
    keys, events["p"] = np.divmod(keys, 2)
    keys, pixel = np.divmod(keys, pixels)
    events["y"], events["x"] = np.divmod(pixel, width)
    image, events["t"] = np.divmod(keys, length)
    return np.split(events, np.searchsorted(image, np.arange(1, images)))


def _travel(sensor: tuple[int, int]) -> int:
    return max(1, round(min(sensor) * TRAVEL))


def _log_canvas(images: Pixels, sensor: tuple[int, int]) -> Logs:
    """Place log intensities on black, with room for the camera's movement on every side."""
    margin = _travel(sensor) // 2 + 1
    side = images.shape[1]
    levels = np.rint(_LEVELS * np.log1p(np.arange(256) / 255 * (CONTRAST_RATIO - 1)))
    rows, columns = (length + 2 * margin for length in sensor)
    canvas = np.zeros((len(images), rows + 1, columns + 1), dtype=np.int32)
    top, left = (rows - side) // 2, (columns - side) // 2
    canvas[:, top : top + side, left : left + side] = levels.astype(np.int32)[images]
    return canvas


def _path(duration_us: int, travel: int) -> Integers:
    """List the view's positions (y, x) on the canvas, in 1/64 pixel, [steps + 1, 2]."""
    times = np.arange(math.ceil(duration_us / _STEP_US) + 1) * _STEP_US
    leg, elapsed = np.divmod(times, SACCADE_US)
    eased = (1 - np.cos(np.pi * elapsed / SACCADE_US)) / 2
    start, end = _VERTICES[leg % 3], _VERTICES[(leg + 1) % 3]
    offset = (start + (end - start) * eased[:, np.newaxis]) * travel
    positions: Integers = np.rint((offset + travel // 2 + 1) * _FINE).astype(np.int64)
    return positions


def _view(canvas: Logs, sensor: tuple[int, int], position: Integers) -> Logs:
    """Return the sensor's view from a position, bilinear, in units of 1/_SCALE, [S, H, W]."""
    (top, down), (left, right) = (divmod(int(at), _FINE) for at in position)
    height, width = sensor
    window = canvas[:, top : top + height + 1, left : left + width + 1]
    rows = window[:, :-1] * (_FINE - down) + window[:, 1:] * down
    view: Logs = rows[..., :-1] * (_FINE - right) + rows[..., 1:] * right
    return view


def _crossings(reference: Logs, before: Logs, after: Logs) -> tuple[Integers, Integers, Integers]:
    """Find sites, microseconds into the step and signs of events, and update ``reference``."""
    threshold = int(CONTRAST * _SCALE)
    active = np.flatnonzero(np.abs(after - reference) >= threshold)
    change = (after[active] - reference[active]).astype(np.int64)
    count = np.abs(change) // threshold
    sites = np.repeat(active, count)
    signs = np.repeat(np.sign(change), count)
    ordinal = np.arange(len(sites)) - np.repeat(np.cumsum(count) - count, count) + 1
    crossing = reference[sites] + signs * ordinal * threshold
    travelled = (after[sites] - before[sites]).astype(np.int64)
    fractions = (crossing - before[sites]) * _STEP_US // travelled
    reference[active] += (np.sign(change) * count * threshold).astype(np.int32)
    return sites, fractions, signs
