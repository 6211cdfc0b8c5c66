"""Files of event cameras."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tonic
from hypothesis import given, strategies as st
from support.recorded import AEDAT2, write_aedat2, write_aer, write_gesture

from snnbench.core.errors import DataError
from snnbench.data import camera_files
from snnbench.data.camera_files import read_cifar10_dvs, read_gesture, read_nmnist
from snnbench.data.saccades import EVENT_DTYPE

REAL_DATA = os.environ.get("SNNBENCH_DATA")


AER_ROWS = [(0, 1, 5, 1), (33, 33, 70_000, 0), (17, 2, 299_999, 1)]


def test_recording_is_read_as_written(tmp_path):
    events = read_nmnist(write_aer(tmp_path / "a.bin", AER_ROWS))
    assert events.dtype == EVENT_DTYPE
    assert events.tolist() == AER_ROWS


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "0 bytes, not a positive multiple of 5"),
        (b"123456", "6 bytes, not a positive multiple of 5: it is truncated or not an N-MNIST"),
        (bytes([34, 0, 0, 0, 1]), "addresses outside 34 x 34 pixels"),
        (bytes([0, 100, 0, 0, 1]), "addresses outside 34 x 34 pixels"),
        (bytes([1, 1, 0, 0, 9, 1, 1, 0, 0, 3]), "timestamps that go back"),
    ],
)
def test_bad_recordings_are_named(tmp_path, content, problem):
    path = tmp_path / "bad.bin"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"recording .*bad\.bin has {problem}"):
        read_nmnist(path)


def test_signals_to_the_camera_are_no_events(tmp_path):
    path = write_aedat2(tmp_path / "cifar10_bird_0.aedat", [(5, 6, 50, 0)])
    path.write_bytes(path.read_bytes() + np.array([(2**15 | 3, 60)], ">u4").tobytes())
    assert read_cifar10_dvs(path)[["x", "y", "t", "p"]].tolist() == [(121, 122, 0, 1)]


def fake_aedat(streams: dict, packets: list[tuple[int, list]]) -> SimpleNamespace:
    """The package ``aedat``, which decodes any file into these packets."""
    dtype = [("t", "<u8"), ("x", "<u2"), ("y", "<u2"), (("p", "on"), "?")]

    class Decoder:
        def __init__(self, path: str) -> None:
            if Path(path).read_bytes() == b"":
                msg = "failed to fill whole buffer"
                raise RuntimeError(msg)

        def id_to_stream(self) -> dict:
            return streams

        def __iter__(self):
            return (
                {"stream_id": stream, "events": np.array(rows, dtype)} for stream, rows in packets
            )

    return SimpleNamespace(Decoder=Decoder)


def test_aedat4_by_hand(tmp_path, monkeypatch):
    start = 1_605_537_493_718_345
    streams = {0: {"type": "frame"}, 3: {"type": "events"}, 5: {"type": "events"}}
    packets = [
        (3, [(start + 70, 127, 4, True)]),
        (5, [(start, 1, 1, True)]),
        (3, [(start, 2, 3, False)]),
    ]
    monkeypatch.setitem(sys.modules, "aedat", fake_aedat(streams, packets))
    path = tmp_path / "cifar10_dog_3.aedat4"
    path.write_bytes(b"x")
    events = read_cifar10_dvs(path)
    assert events[["x", "y", "t", "p"]].tolist() == [(2, 3, 0, 0), (127, 4, 70, 1)]
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"dog_3\.aedat4 is truncated or not AEDAT 4; replace"):
        read_cifar10_dvs(path)
    path.write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "aedat", fake_aedat({0: {"type": "frame"}}, packets))
    with pytest.raises(DataError, match="holds no events"):
        read_cifar10_dvs(path)


def test_aedat4_without_its_package_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "aedat", None)
    with pytest.raises(DataError, match="pip install aedat; the original"):
        read_cifar10_dvs(tmp_path / "a.aedat4")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "truncated or not AEDAT 2"),
        (b"#!AER-DAT3.1\r\n" + bytes(8), "truncated or not AEDAT 2"),
        (AEDAT2 + bytes(15), "truncated or not AEDAT 2"),
        (b"#!AER-DAT2.0 and no more", "truncated or not AEDAT 2"),
        (AEDAT2, "holds no events"),
        (AEDAT2 + b"\xff\x00\x00\x00" + bytes(4), "outside 128 x 128 pixels"),
    ],
)
def test_bad_aedat_is_named(tmp_path, content, problem):
    path = tmp_path / "cifar10_dog_3.aedat"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"recording .*dog_3\.aedat .*({problem})"):
        read_cifar10_dvs(path)


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        (np.zeros((0, 4)), "holds no events"),
        (np.zeros((3, 5)), r"is an array float64 \(3, 5\), not one row"),
        (np.zeros(4), "not one row"),
        (np.zeros((2, 4), complex), "not one row"),
        (np.array([[1, 2, 3, {}]], dtype=object), "truncated or not a NumPy array"),
        (np.array([[128.0, 0, 0, 0]]), "outside 128 x 128"),
        (np.array([[0, -1, 0, 0]]), "outside 128 x 128"),
        (np.array([[np.nan, 0, 0, 0]]), "outside 128 x 128"),
        (np.array([[0, 0, 0, np.nan]]), "cannot be microseconds"),
        (np.array([[0, 0, 0, np.inf]]), "cannot be microseconds"),
        (np.array([[0, 0, 0, -(2**62)], [0, 0, 0, 2**62]]), "cannot be microseconds"),
    ],
)
def test_bad_gestures_are_named(tmp_path, array, problem):
    path = tmp_path / "3.npy"
    np.save(path, array, allow_pickle=True)
    with pytest.raises(DataError, match=rf"recording .*3\.npy .*{problem}"):
        read_gesture(path)


@pytest.mark.filterwarnings("ignore:Reading `.npy` or `.npz` file required additional header")
@given(data=st.data())
def test_a_broken_array_is_a_data_error(tmp_path_factory, data):
    path = write_gesture(tmp_path_factory.mktemp("x") / "3.npy", [(1, 2, 1, 3), (4, 5, 0, 6)])
    whole = path.read_bytes()
    length = data.draw(st.integers(0, len(whole)))
    flipped = bytearray(whole[:length])
    for at in data.draw(st.lists(st.integers(0, 127), max_size=3)):
        flipped[at : at + 1] = bytes([data.draw(st.integers(0, 255))])
    path.write_bytes(flipped)
    try:
        events = read_gesture(path)
    except DataError as error:
        message = str(error)
    else:
        message = ""
        assert 0 <= events["x"].min() <= events["x"].max() < 128
    assert "\n" not in message


@pytest.mark.skipif(not REAL_DATA, reason="SNNBENCH_DATA names no folder with real data")
def test_a_real_aedat4_recording_is_read_as_tonic_does(tmp_path, monkeypatch):
    pytest.importorskip("aedat")
    path = Path(str(REAL_DATA)) / "events" / "tonic_samples" / "sample.aedat4"
    with pytest.raises(DataError, match="outside 128 x 128 pixels"):
        read_cifar10_dvs(path)
    monkeypatch.setattr(camera_files, "DVS128_SIDE", 320)
    events, expected = read_cifar10_dvs(path), tonic.io.read_aedat4(str(path))
    for name in "xyp":
        assert np.array_equal(events[name], expected[name])
    assert np.array_equal(events["t"], expected["t"] - expected["t"][0])
    cut = tmp_path / path.name
    cut.write_bytes(path.read_bytes()[:200_000])
    with pytest.raises(DataError, match="truncated or not AEDAT 4"):
        read_cifar10_dvs(cut)
