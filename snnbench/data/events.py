"""Streams of events, and their framing with tonic."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from snnbench.core.errors import DataError
from snnbench.zoo.card import InputSpec

FrameValues = Literal["binary", "counts"]
"""Whether a pixel of a frame is 1 if any event fell into it, or the number of events."""

_MOST = 2**15 - 1

Events = npt.NDArray[np.void]
Frames = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """How a recording becomes frames.

    Attributes:
        sensor: (height, width) of a frame.
        timesteps: Frames per recording.
        slice_us: Length of a frame in microseconds.
        values: ``binary`` keeps the input a spike train; ``counts`` is the output of tonic. The
            paper (ZH21, supplement C) does not say which it used.
    """

    sensor: tuple[int, int]
    timesteps: int
    slice_us: int
    values: FrameValues = "binary"


def frame_events(recordings: Iterable[Events], framing: Framing) -> Frames:
    """Cut recordings into frames of equal length with ``tonic.transforms.ToFrame``.

    Frame t holds the events from t * slice_us up to (t + 1) * slice_us after the recording's zero;
    later events are dropped, and frames after the last event are empty.

    Args:
        recordings: Events with fields x, y, t (microseconds, sorted) and p (0 OFF, 1 ON).
        framing: Size, number, length and values of the frames.

    Returns:
        Frames ``float32`` [T, S, 2, H, W], channel 0 OFF and 1 ON.
    """
    from tonic.transforms import ToFrame

    height, width = framing.sensor
    to_frame = ToFrame(
        sensor_size=(width, height, 2),
        time_window=framing.slice_us,
        start_time=0,
        end_time=framing.timesteps * framing.slice_us,
    )
    empty = np.zeros((framing.timesteps, 2, height, width), dtype=np.int32)

    def count(events: Events) -> npt.NDArray[np.int32]:
        # tonic counts in int16, and swaps height and width if there are no events
        parts = (events[at : at + _MOST] for at in range(0, len(events), _MOST))
        return sum((to_frame(part) for part in parts), start=empty)

    stacked = np.stack([count(events) for events in recordings], axis=1).astype(np.float32)
    return np.minimum(stacked, 1) if framing.values == "binary" else stacked


def framing_of(spec: InputSpec, timesteps: int, values: FrameValues = "binary") -> Framing:
    """Derive from a benchmark's card how it frames recordings.

    Raises:
        DataError: The card gives no length of a frame, or not two channels.
    """
    channels, height, width = spec.shape
    if spec.slice_us is None or spec.slice_us < 1:
        msg = "the benchmark's input is events; its card must give slice_us, at least 1"
        raise DataError(msg)
    if channels != 2:
        msg = f"events have 2 channels (OFF, ON), but the benchmark's input has {channels}"
        raise DataError(msg)
    sensor = (height, width)
    return Framing(sensor=sensor, timesteps=timesteps, slice_us=spec.slice_us, values=values)


def fit_to_sensor(events: Events, sensor: tuple[int, int], recorded_side: int) -> Events:
    """Bring the events of a square camera to a (height, width) sensor.

    A smaller sensor merges pixels (``tonic.transforms.Downsample``); a larger one shows the
    recording in its centre, since enlarging would invent events.
    """
    from tonic.transforms import Downsample

    height, width = (min(side, recorded_side) for side in sensor)
    downsample = Downsample(
        sensor_size=(recorded_side, recorded_side, 2), target_size=(width, height)
    )
    fitted: Events = downsample(events)
    fitted["y"] += (sensor[0] - height) // 2
    fitted["x"] += (sensor[1] - width) // 2
    return fitted
