"""Labelled recordings of event cameras, framed for training."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from support.recorded import write_aedat2, write_aer, write_gesture
from tonic.transforms import Downsample, ToFrame

from snnbench.core.errors import DataError
from snnbench.data import recordings
from snnbench.data.dataset import DataSet, Draw, Wanted
from snnbench.data.events import Framing
from snnbench.zoo.card import InputSpec

# tests that take NO_FOLDER are told that frames are not kept
pytestmark = pytest.mark.filterwarnings("ignore:frames of events are not kept:UserWarning")

REAL_DATA = os.environ.get("SNNBENCH_DATA")
real_data = pytest.mark.skipif(not REAL_DATA, reason="SNNBENCH_DATA names no folder with real data")

NMNIST = Framing(sensor=(34, 34), timesteps=3, slice_us=100)
GESTURE = Framing(sensor=(32, 32), timesteps=40, slice_us=30_000)
CIFAR10_DVS = Framing(sensor=(42, 42), timesteps=10, slice_us=5_000)
COUNTS = Framing(sensor=(34, 34), timesteps=3, slice_us=100, values="counts")
NO_FOLDER = Path(os.devnull) / "cache"
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def events_of(frames: torch.Tensor, sample: int = 0) -> list[list[int]]:
    """Where [T, N, 2, H, W] is not zero: [t, channel, y, x, value]."""
    of_sample = frames[:, sample]
    return [[*at, int(of_sample[tuple(at)])] for at in of_sample.nonzero().tolist()]


def open_part(
    reader: recordings.Recordings, root: Path, *, framing: Framing, **wanted: object
) -> DataSet:
    spec = InputSpec(
        kind="events",
        shape=(2, *framing.sensor),
        dataset=reader.title,
        embedded="digit-saccades",
        slice_us=framing.slice_us,
    )
    wanted = Wanted(spec=spec, timesteps=framing.timesteps, **wanted)
    return reader.read(root, wanted, framing.values)


@pytest.fixture
def nmnist(tmp_path) -> Path:
    root = tmp_path / "NMNIST"
    write_aer(root / "Train" / "7" / "00002.bin", [(3, 9, 40, 0), (3, 9, 60, 0), (33, 0, 299, 1)])
    write_aer(root / "Train" / "2" / "00001.bin", [(1, 2, 100, 1), (5, 5, 300, 1)])
    write_aer(root / "Test" / "4" / "00009.bin", [(0, 0, 0, 0)])
    return root


def test_nmnist_by_hand(nmnist, tmp_path):
    for root in (nmnist, tmp_path):
        train = open_part(
            recordings.nmnist, root, part="train", framing=COUNTS, cache=tmp_path / "c"
        )
        frames, labels = train.batch([1, 0], None)
        assert frames.shape == (3, 2, 2, 34, 34)
        assert frames.dtype == torch.uint8
        assert labels.dtype == torch.int64
        assert labels.tolist() == [7, 2]
        assert events_of(frames, 0) == [[0, 0, 9, 3, 2], [2, 1, 0, 33, 1]]
        assert events_of(frames, 1) == [[1, 1, 2, 1, 1]]
        assert (len(train), train.classes, train.peak, train.mean, train.std) == (2, 10, 1, (), ())
        assert train.info.name == root.name
        assert train.info.labelled
        assert "N-MNIST, train part, 2 of 60,000 recordings, counts" in train.info.description
    binary = open_part(
        recordings.nmnist, nmnist, part="train", framing=NMNIST, cache=tmp_path / "c"
    )
    assert torch.equal(binary.batch([1, 0])[0], frames.clamp(max=1))
    test = open_part(recordings.nmnist, nmnist, part="test", framing=NMNIST, cache=tmp_path / "c")
    assert test.batch([0])[1].tolist() == [4]
    assert "1 of 10,000" in test.info.description
    assert len(list((tmp_path / "c").iterdir())) == 3


def test_batches_may_be_written_to_and_repeat_samples(nmnist, tmp_path):
    train = open_part(recordings.nmnist, nmnist, part="train", framing=NMNIST, cache=tmp_path / "c")
    frames, labels = train.batch([0, 0, 1])
    assert labels.tolist() == [2, 2, 7]
    frames.zero_()
    assert train.batch([0])[0].any()


def test_gestures_by_hand(tmp_path):
    train, test = tmp_path / "ibmGestureTrain", tmp_path / "ibmGestureTest"
    rows = [(127, 4, 1, 1000), (0, 3, 0, 1029), (0, 3, 0, 1030), (64, 64, 1, 2199), (9, 9, 1, 2200)]
    write_gesture(train / "user01_led" / "10.npy", rows)
    write_gesture(train / "user02_led" / "0.npy", [(1, 1, 1, 5)], np.int16)
    write_gesture(test / "user24_led" / "3.npy", [(1, 1, 0, 5)])
    found = open_part(
        recordings.dvs_gesture, tmp_path, part="train", framing=GESTURE, cache=NO_FOLDER
    )
    frames, labels = found.batch([0, 1])
    assert frames.shape == (40, 2, 2, 32, 32)
    assert labels.tolist() == [10, 0]
    # the first event, at 1,000 ms, is the recording's zero; 2,200 ms is 1,200 ms after it
    assert events_of(frames, 0) == [
        [0, 0, 0, 0, 1],
        [0, 1, 1, 31, 1],
        [1, 0, 0, 0, 1],
        [39, 1, 16, 16, 1],
    ]
    assert events_of(frames, 1) == [[0, 1, 0, 0, 1]]
    assert found.classes == 11
    other = open_part(
        recordings.dvs_gesture, tmp_path, part="test", framing=GESTURE, cache=NO_FOLDER
    )
    assert other.batch([0])[1].tolist() == [3]


def test_cifar10_dvs_by_hand_and_its_split(tmp_path):
    raw = [(127, 127, 7_000, 1), (0, 127, 7_001, 0), (0, 0, 12_000, 1)]
    for number in (0, 899, 900, 999):
        write_aedat2(tmp_path / "bird" / f"cifar10_bird_{number}.aedat", raw)
    write_aedat2(tmp_path / "truck" / "cifar10_truck_12.aedat", raw)
    train = open_part(
        recordings.cifar10_dvs, tmp_path, part="train", framing=CIFAR10_DVS, cache=tmp_path / "c"
    )
    test = open_part(
        recordings.cifar10_dvs, tmp_path, part="test", framing=CIFAR10_DVS, cache=tmp_path / "c"
    )
    assert train.batch([0, 1, 2])[1].tolist() == [2, 2, 9]
    assert test.labels.tolist() == [2, 2]
    # raw addresses run backwards and are transposed, 1 is OFF; 128 pixels become 42
    assert events_of(train.batch([0])[0]) == [
        [0, 0, 0, 0, 1],
        [0, 1, 41, 0, 1],
        [1, 0, 41, 41, 1],
    ]
    assert "3 of 9,000" in train.info.description


def test_a_broken_recording_of_a_set_is_a_data_error(nmnist, tmp_path):
    bad = nmnist / "Train" / "7" / "00002.bin"
    bad.write_bytes(bad.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"recording .*00002\.bin has 14 bytes"):
        open_part(recordings.nmnist, nmnist, part="train", framing=NMNIST, cache=tmp_path / "c")
    assert list((tmp_path / "c").iterdir()) == []


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ([], r"holds no train recordings of N-MNIST, which are .*\.bin in it or in its .* NMNIST"),
        (["train.zip", "test.zip"], r"unpack test\.zip, train\.zip there"),
        (["NMNIST/train.zip"], r"unpack train\.zip there"),
        (["Test/1/a.bin"], "holds no train recordings"),
        (["Train/1/._a.bin"], "holds no train recordings"),
    ],
)
def test_nothing_found_says_what_is_expected(tmp_path, names, problem):
    for name in names:
        write_aer(tmp_path / name, [(1, 1, 1, 1)])
    with pytest.raises(DataError, match=problem):
        open_part(recordings.nmnist, tmp_path, part="train", framing=NMNIST)


def test_a_draw_frames_its_own_recordings_and_keeps_nothing(nmnist, tmp_path, monkeypatch):
    monkeypatch.setenv("SNNBENCH_CACHE", str(tmp_path / "c"))
    (nmnist / "Train" / "7" / "00002.bin").write_bytes(b"broken")
    draw = Draw(samples=1, outputs=11)
    found = open_part(recordings.nmnist, nmnist, part="train", framing=NMNIST, draw=draw)
    assert events_of(found.batch([0])[0]) == [[1, 1, 2, 1, 1]]
    assert (found.classes, found.labels.tolist()) == (10, [2, 7])
    with pytest.raises(DataError, match=r"00002\.bin has 6 bytes"):
        found.batch([1])
    assert not (tmp_path / "c").exists()


def test_folders_that_only_a_draw_takes(tmp_path):
    write_aer(tmp_path / "test" / "one" / "a.bin", [(0, 1, 5, 1)])
    write_aer(tmp_path / "test" / "two" / "b.bin", [(0, 2, 5, 1)])
    write_aer(tmp_path / "train" / "c.bin", [(0, 3, 5, 1)])
    for root, outputs, labels in (
        (tmp_path, 2, [0, 1]),
        (tmp_path, 10, None),
        (tmp_path / "train", 1, None),
    ):
        draw = Draw(samples=1, outputs=outputs)
        found = open_part(recordings.nmnist, root, part="test", framing=NMNIST, draw=draw)
        assert (None if found.labels is None else found.labels.tolist()) == labels
        assert found.info.sha256
        with pytest.raises(DataError, match="holds no test recordings of N-MNIST"):
            open_part(recordings.nmnist, root, part="test", framing=NMNIST)
    deep = write_aer(tmp_path / "d" / "e" / "f" / "g.bin", [(0, 1, 5, 1)]).parents[2]
    with pytest.raises(DataError, match=r"holds no recordings of N-MNIST \(\.bin\), neither dir"):
        open_part(recordings.nmnist, deep, part="test", framing=NMNIST, draw=Draw(samples=1))


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere does not exist"):
        open_part(recordings.nmnist, tmp_path / "nowhere", part="train", framing=NMNIST)


def test_foreign_names_are_refused(tmp_path):
    write_gesture(tmp_path / "ibmGestureTrain" / "user01_led" / "11.npy", [(1, 1, 1, 5)])
    with pytest.raises(DataError, match=r"11\.npy belongs to none of the classes of DVS-Gesture"):
        open_part(recordings.dvs_gesture, tmp_path, part="train", framing=GESTURE)
    write_aedat2(tmp_path / "cow" / "cow_1.aedat", [(1, 1, 1, 1)])
    with pytest.raises(
        DataError, match=r"cow_1\.aedat belongs to none of the classes of CIFAR10-DVS"
    ):
        open_part(recordings.cifar10_dvs, tmp_path, part="train", framing=CIFAR10_DVS)
    write_aedat2(tmp_path / "dog" / "dog.aedat", [(1, 1, 1, 1)])
    with pytest.raises(DataError, match=r"dog\.aedat has no number at the end of its name"):
        open_part(recordings.cifar10_dvs, tmp_path, part="train", framing=CIFAR10_DVS)


@pytest.mark.parametrize("values", ["binary", "counts"])
def test_more_events_than_a_byte_or_tonics_counter_holds(tmp_path, values):
    """40,000 events of one pixel in one frame: 255 of uint8, where int16 would go below zero."""
    write_aer(tmp_path / "Train" / "1" / "a.bin", [(3, 4, 0, 1)] * 40_000)
    framing = Framing(sensor=(34, 34), timesteps=1, slice_us=100, values=values)
    found = open_part(recordings.nmnist, tmp_path, part="train", framing=framing, cache=NO_FOLDER)
    assert events_of(found.batch([0])[0]) == [[0, 1, 4, 3, 255 if values == "counts" else 1]]
    assert ("at most 255" in found.info.description) == (values == "counts")


def test_the_cache_is_used_until_a_recording_or_the_framing_changes(nmnist, tmp_path):
    cache, made = tmp_path / "c", []

    def fetch(framing: Framing = NMNIST) -> list[int]:
        made.clear()
        found = open_part(
            recordings.nmnist, nmnist, part="train", framing=framing, cache=cache, show=made.append
        )
        plain = open_part(recordings.nmnist, nmnist, part="train", framing=framing, cache=NO_FOLDER)
        assert torch.equal(found.batch([0, 1])[0], plain.batch([0, 1])[0])
        assert found.info == plain.info
        return made

    assert fetch() == [1, 2]
    assert fetch() == []
    assert fetch(Framing(sensor=(34, 34), timesteps=3, slice_us=101)) == [1, 2]
    assert fetch(COUNTS) == [1, 2]
    assert fetch() == []
    path = write_aer(nmnist / "Train" / "7" / "00002.bin", [(3, 9, 40, 1)])
    os.utime(path, (0, 0))
    assert fetch() == [1, 2]
    shutil.copytree(nmnist, tmp_path / "moved" / "NMNIST")
    nmnist = tmp_path / "moved" / "NMNIST"
    assert fetch() == []
    (nmnist / "Train" / "7" / "00002.bin").rename(nmnist / "Train" / "7" / "00003.bin")
    assert fetch() == [1, 2]


def test_an_unwritable_cache_is_said(nmnist):
    with pytest.warns(UserWarning, match="framed anew: .*; set SNNBENCH_CACHE to a folder"):
        open_part(recordings.nmnist, nmnist, part="train", framing=NMNIST, cache=NO_FOLDER)


def test_the_folder_of_the_environment_is_the_default(nmnist, tmp_path, monkeypatch):
    monkeypatch.setenv("SNNBENCH_CACHE", str(tmp_path / "chosen"))
    open_part(recordings.nmnist, nmnist, part="train", framing=NMNIST)
    assert len(list((tmp_path / "chosen").iterdir())) == 1


def test_a_corrupted_entry_is_rebuilt(nmnist, tmp_path):
    def fetch() -> torch.Tensor:
        return open_part(
            recordings.nmnist, nmnist, part="train", framing=NMNIST, cache=tmp_path / "c"
        ).batch([0, 1])[0]

    frames = fetch()
    (entry,) = (tmp_path / "c").iterdir()
    content = bytearray(entry.read_bytes())
    content[len(content) // 2] ^= 1
    entry.write_bytes(content)
    with pytest.warns(UserWarning, match="damaged"):
        assert torch.equal(fetch(), frames)
    assert torch.equal(fetch(), frames)


several = st.lists(
    st.lists(
        st.tuples(st.integers(0, 127), st.integers(0, 127), st.integers(0, 1), st.integers(0, 99)),
        min_size=1,
        max_size=20,
    ),
    min_size=1,
    max_size=4,
)


@given(
    found=several,
    sensor=st.tuples(st.integers(1, 128), st.integers(1, 128)),
    order=st.randoms(use_true_random=False),
)
@settings(max_examples=30)
def test_cached_uncached_and_tonics_frames_are_the_same(tmp_path_factory, found, sensor, order):
    """Whatever the order in which files and events were written."""
    framing = Framing(sensor=sensor, timesteps=3, slice_us=20_000, values="counts")
    root = tmp_path_factory.mktemp("gestures")
    indices = list(range(len(found)))
    order.shuffle(indices)
    for index in indices:
        write_gesture(root / "ibmGestureTrain" / "user01_led" / f"{index}.npy", found[index])
    for cache in (root / "c", root / "c", NO_FOLDER):
        opened = open_part(recordings.dvs_gesture, root, part="train", framing=framing, cache=cache)
        frames, labels = opened.batch(range(len(found)))
        assert labels.tolist() == list(range(len(found)))
        for sample, rows in enumerate(found):
            assert np.array_equal(frames[:, sample], tonics_frames(rows, framing))


def tonics_frames(rows: list[tuple], framing: Framing) -> np.ndarray:
    height, width = framing.sensor
    first = min(row[3] for row in rows)
    in_order = sorted((row[3] - first, *row[:3]) for row in rows)
    events = np.array(
        [(x, y, p, t * 1000) for t, x, y, p in in_order],
        [("x", int), ("y", int), ("p", int), ("t", int)],
    )
    down = Downsample(sensor_size=(128, 128, 2), target_size=(width, height))
    end_us = framing.timesteps * framing.slice_us
    to_frame = ToFrame((width, height, 2), framing.slice_us, start_time=0, end_time=end_us)
    return to_frame(down(events))


@real_data
@pytest.mark.parametrize(("part", "size"), [("train", 1000), ("test", 100)])
def test_real_nmnist(tmp_path, part, size):
    root = Path(str(REAL_DATA)) / "events" / "NMNIST"
    framing = Framing(sensor=(34, 34), timesteps=10, slice_us=30_000)
    found = open_part(recordings.nmnist, root, part=part, framing=framing, cache=tmp_path)
    frames, labels = found.batch(range(size))
    assert frames.shape == (10, size, 2, 34, 34)
    assert set(labels.tolist()) == set(range(10))
    assert 0.02 < frames.float().mean() < 0.2
    assert frames.amax(dim=(2, 3, 4)).bool().all()
    plain = open_part(recordings.nmnist, root, part=part, framing=framing, cache=NO_FOLDER)
    assert torch.equal(plain.batch(range(100))[0], frames[:, :100])
