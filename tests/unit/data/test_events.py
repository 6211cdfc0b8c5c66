"""The simulated event camera, recordings on disk, and framing."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from support.recorded import write_aer

from snnbench.data.camera_files import NMNIST_SIDE, read_nmnist
from snnbench.data.embedded import digit_images, enlarge, saccade_frames
from snnbench.data.events import (
    Framing,
    fit_to_sensor,
    frame_events,
)
from snnbench.data.saccades import CONTRAST, CONTRAST_RATIO, EVENT_DTYPE, image_side, record

SENSOR = (34, 34)
TRIANGLE_US = 300_000
REAL_DATA = os.environ.get("SNNBENCH_DATA")


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    digits = np.pad(digit_images("test")[0][:20], ((0, 0), (1, 1), (1, 1)))
    return np.stack([enlarge(digit, 28, 28) for digit in digits])


@pytest.fixture(scope="module")
def recordings(images):
    return record(images, SENSOR, TRIANGLE_US)


def balance(events: np.ndarray, until: int) -> np.ndarray:
    """ON minus OFF events per pixel up to a time."""
    early = events[events["t"] <= until]
    total = np.zeros(SENSOR, int)
    np.add.at(total, (early["y"], early["x"]), 2 * early["p"] - 1)
    return total


def test_events_are_well_formed(recordings):
    for events in recordings:
        assert events.dtype == EVENT_DTYPE
        assert np.all(np.diff(events["t"]) >= 0)
        assert events["t"].min() > 0
        assert events["t"].max() <= TRIANGLE_US
        assert min(events["x"].min(), events["y"].min()) >= 0
        assert max(events["x"].max(), events["y"].max()) < 34


def test_events_follow_the_log_intensity(images, recordings):
    # At 0 and 100 ms the path is 3 pixels off centre in y and 3 or 0 in x, so the views are plain
    # shifts of the image. Events never lag the change by a full threshold.
    log = np.log(1 + images / 255 * (CONTRAST_RATIO - 1))
    for picture, events in zip(log, recordings, strict=True):
        start, end = np.zeros(SENSOR), np.zeros(SENSOR)
        start[0:28, 6:34] = picture
        end[6:34, 3:31] = picture
        lag = end - start - CONTRAST * balance(events, until=100_000)
        assert np.abs(lag).max() < CONTRAST + 1e-2
        assert np.abs(balance(events, until=100_000)).max() >= 3


def test_a_closed_path_balances_the_polarities(recordings):
    for events in recordings:
        assert not balance(events, until=TRIANGLE_US).any()


def test_event_rate_is_that_of_nmnist(recordings):
    # N-MNIST: about 4,170 events in 0.3 s, 1,000 to 9,000
    counts = [len(events) for events in recordings]
    assert 3000 < np.mean(counts) < 5500
    assert all(1000 < count < 9000 for count in counts)


def test_a_longer_recording_starts_like_a_shorter_one(images, recordings):
    for short, long in zip(record(images[:3], SENSOR, 150_000), recordings, strict=False):
        assert np.array_equal(short, long[long["t"] <= 150_000])


def test_each_image_is_recorded_alone(images, recordings):
    assert np.array_equal(record(images[4:5], SENSOR, TRIANGLE_US)[0], recordings[4])


def test_nothing_moves_on_black():
    dark, light = record(
        np.stack([np.zeros((28, 28)), np.full((28, 28), 255)]).astype(np.uint8), SENSOR, 100_000
    )
    assert len(dark) == 0
    assert len(light) > 100
    # inside the square nothing changes
    assert not np.any((light["x"] > 8) & (light["x"] < 25) & (light["y"] > 8) & (light["y"] < 25))


@pytest.mark.parametrize("sensor", [(32, 32), (42, 42), (20, 31)])
def test_other_sensors(sensor):
    side = image_side(sensor)
    (events,) = record(np.full((1, side, side), 200, np.uint8), sensor, 60_000)
    assert set(np.unique(events["p"])) == {0, 1}
    assert events["y"].max() < sensor[0]
    assert events["x"].max() < sensor[1]


def make_events(rows: list[tuple[int, int, int, int]]) -> np.ndarray:
    return np.array(sorted(rows, key=lambda row: row[2]), dtype=EVENT_DTYPE)


ROWS = st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(0, 99), st.integers(0, 1))


@given(recordings=st.lists(st.lists(ROWS, max_size=30), min_size=1, max_size=3))
def test_frames_count_the_events_of_their_slice(recordings):
    framing = Framing(sensor=(4, 5), timesteps=6, slice_us=15, values="counts")
    expected = np.zeros((6, len(recordings), 2, 4, 5), np.float32)
    for sample, rows in enumerate(recordings):
        for x, y, t, p in rows:
            if t < 90:
                expected[t // 15, sample, p, y, x] += 1
    events = [make_events(rows) for rows in recordings]
    frames = frame_events(events, framing)
    assert frames.dtype == np.float32
    assert np.array_equal(frames, expected)
    binary = frame_events(events, Framing(sensor=(4, 5), timesteps=6, slice_us=15))
    assert np.array_equal(binary, expected > 0)


def test_digit_saccades_are_sparse_binary_frames():
    framing = Framing(sensor=(32, 32), timesteps=10, slice_us=30_000)
    frames = saccade_frames(digit_images("test")[0][:5], framing)
    assert frames.shape == (10, 5, 2, 32, 32)
    assert set(np.unique(frames)) == {0, 1}
    assert np.all(frames.mean(axis=(1, 2, 3, 4)) > 0.02)
    assert frames.mean() < 0.2


AER_ROWS = [(0, 1, 5, 1), (33, 33, 70_000, 0), (17, 2, 299_999, 1)]


def test_smaller_sensor_merges_and_larger_one_centres(tmp_path):
    events = read_nmnist(write_aer(tmp_path / "a.bin", AER_ROWS))
    small = fit_to_sensor(events, (17, 32), NMNIST_SIDE)
    assert small["y"].tolist() == [0, 16, 1]
    assert small["x"].tolist() == [0, 31, 16]
    large = fit_to_sensor(events, (42, 36), NMNIST_SIDE)
    assert large["y"].tolist() == [5, 37, 6]
    assert large["x"].tolist() == [1, 34, 18]
    assert events.tolist() == AER_ROWS


@pytest.mark.skipif(REAL_DATA is None, reason="SNNBENCH_DATA names no folder with real data")
def test_real_nmnist_and_the_simulation_are_alike(recordings):
    files = sorted((Path(str(REAL_DATA)) / "events" / "NMNIST" / "Test").glob("*/*.bin"))[::2]
    mean = np.mean([len(read_nmnist(file)) for file in files])
    assert 0.5 < np.mean([len(events) for events in recordings]) / mean < 2
