"""Which data set a user means."""

import pytest
from support.labelled_sets import EVENTS, SMALL, opened

from snnbench.core.errors import DataError
from snnbench.data.open import EVENT_KINDS, IMAGE_KINDS
from snnbench.zoo.card import InputSpec


def test_unknown_kind(tmp_path):
    with pytest.raises(
        DataError, match=r"'mnist=.*' is not KIND=PATH; the kinds are cifar10, imagenet"
    ):
        opened(f"mnist={tmp_path}")
    for kind in (*IMAGE_KINDS, *EVENT_KINDS):
        with pytest.raises(DataError, match="is not KIND=PATH"):
            opened(f"{kind}=")


def test_folder_of_no_kind(tmp_path):
    with pytest.raises(DataError, match="give KIND=PATH with one of cifar10, imagenet, images"):
        opened(str(tmp_path))
    with pytest.raises(
        DataError, match="give KIND=PATH with one of nmnist, dvs-gesture, cifar10-dvs"
    ):
        opened(str(tmp_path), spec=EVENTS)
    for spec in (SMALL, EVENTS):
        with pytest.raises(DataError, match="does not exist"):
            opened(str(tmp_path / "gone"), spec=spec)


def test_kind_that_the_network_does_not_take(tmp_path):
    with pytest.raises(
        DataError, match="nmnist holds events, but the benchmark's input is an image"
    ):
        opened(f"nmnist={tmp_path}")
    with pytest.raises(
        DataError, match="cifar10 holds images, but the benchmark's input is events"
    ):
        opened(f"cifar10={tmp_path}", spec=EVENTS)


def test_recordings_by_kind_and_by_looking(tmp_path):
    for part in ("Train", "Test"):
        (tmp_path / "nmnist" / part / "7").mkdir(parents=True)
        # x 3, y 4, ON, 2,000 microseconds
        (tmp_path / "nmnist" / part / "7" / "00001.bin").write_bytes(
            bytes([3, 4, 0x80, 0x07, 0xD0])
        )
    spec = InputSpec(
        kind="events", shape=(2, 34, 34), dataset="x", embedded="digit-saccades", slice_us=5_000
    )
    done = []
    named = opened(
        f"nmnist={tmp_path / 'nmnist'}", "test", spec, 2, cache=tmp_path / "cache", show=done.append
    )
    looked = opened(str(tmp_path / "nmnist"), "test", spec, 2, cache=tmp_path / "cache")
    assert done == [1]
    for data in (named, looked):
        frames, labels = data.batch([0], None)
        assert frames.shape == (2, 1, 2, 34, 34)
        assert frames.nonzero().tolist() == [[0, 0, 1, 4, 3]]
        assert labels.tolist() == [7]


def test_card_with_other_statistics():
    spec = InputSpec(kind="image", shape=(3, 32, 32), dataset="x", embedded="digits", mean=(0.5,))
    with pytest.raises(DataError, match="mean and std have 1 and 0 values"):
        opened(None, spec=spec)


def test_no_timesteps():
    with pytest.raises(DataError, match="timesteps must be at least 1"):
        opened(None, timesteps=0)
