"""Labelled sets in memory: the embedded digits and CIFAR-10."""

import hashlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from support.labelled_sets import (
    EVENTS,
    LARGE,
    opened,
    shifted_slowly,
    views_of,
    write_cifar,
)

from snnbench.core.errors import DataError
from snnbench.data import cifar
from snnbench.data.augment import mirrored
from snnbench.data.embedded import digit_images
from snnbench.zoo.card import InputSpec

REAL_DATA = os.environ.get("SNNBENCH_DATA")


@pytest.mark.parametrize(("part", "count"), [("train", 1497), ("test", 300)])
def test_digits(part, count):
    data = opened(None, part)
    assert (len(data), data.classes, data.info.samples, data.info.name) == (
        count,
        10,
        count,
        "digits",
    )
    values, labels = data.batch([count - 1], None)
    assert (values.dtype, values.shape) == (torch.uint8, (1, 3, 32, 32))
    assert labels.tolist() == digit_images(part)[1][-1:].tolist()


def test_digits_move_but_are_never_mirrored():
    data = opened(None)
    still = torch.full((5, 3), 0.5)
    still[:, 2] = 0
    assert torch.equal(data.batch(range(5), still)[0], data.batch(range(5), None)[0])
    assert not torch.equal(data.batch(range(5), views_of(5))[0], data.batch(range(5), None)[0])


def test_saccades_are_not_augmented():
    data = opened(None, "test", EVENTS, timesteps=4)
    frames, labels = data.batch([3, 8], views_of(2))
    assert (frames.dtype, frames.shape) == (torch.uint8, (4, 2, 2, 20, 24))
    assert frames.any()
    assert torch.equal(frames, data.batch([3, 8], None)[0])
    assert labels.tolist() == digit_images("test")[1][[3, 8]].tolist()


def test_photos_have_no_labels():
    with pytest.raises(
        DataError, match=r"embedded photos have no labels; give labelled.*imagenet=PATH"
    ):
        opened(None, spec=LARGE)


def test_cifar(tmp_path):
    folder = write_cifar(tmp_path / "cifar-10-batches-bin")
    data = opened(f"cifar10={folder}")
    assert (len(data), data.info.name, data.classes, data.peak) == (16, "CIFAR-10", 10, 255.0)
    assert "16 of 50,000 records" in data.info.description
    first = np.frombuffer((folder / "data_batch_1.bin").read_bytes(), np.uint8).reshape(-1, 3073)
    last = np.frombuffer((folder / "data_batch_5.bin").read_bytes(), np.uint8).reshape(-1, 3073)
    values, labels = data.batch([15, 0], None)
    assert np.array_equal(values.reshape(2, -1), np.stack([last[-1, 1:], first[0, 1:]]))
    assert labels.tolist() == [last[-1, 0], first[0, 0]]
    views = views_of(2)
    seen, _ = data.batch([15, 0], views)
    assert torch.equal(seen, mirrored(shifted_slowly(values, views), views))
    # the folder above, a bare path, and the home folder's shorthand all lead there
    assert opened(str(tmp_path)).info == data.info
    assert opened(str(folder), "test").info.sha256 != data.info.sha256


def test_home_folder_of_a_kind(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_cifar(tmp_path / "data")
    assert len(opened("cifar10=~/data", "test")) == 5


def test_cifar_digest_is_over_the_content(tmp_path):
    one, two = write_cifar(tmp_path / "one"), write_cifar(tmp_path / "two")
    assert opened(f"cifar10={one}").info == opened(f"cifar10={two}").info
    raw = bytearray((two / "data_batch_3.bin").read_bytes())
    raw[100] ^= 1
    (two / "data_batch_3.bin").write_bytes(raw)
    assert opened(f"cifar10={one}").info.sha256 != opened(f"cifar10={two}").info.sha256


def test_cifar_of_another_size(tmp_path):
    spec = InputSpec(kind="image", shape=(3, 48, 40), dataset="x", embedded="digits")
    values, _ = opened(f"cifar10={write_cifar(tmp_path)}", spec=spec).batch([0], views_of(1))
    assert values.shape == (1, 3, 48, 40)


def test_cifar_file_missing(tmp_path):
    folder = write_cifar(tmp_path)
    (folder / "data_batch_3.bin").unlink()
    with pytest.raises(DataError, match=r"lacks data_batch_3.bin; copy the whole folder"):
        opened(f"cifar10={folder}")
    assert len(opened(f"cifar10={folder}", "test")) == 5


def test_no_cifar(tmp_path):
    with pytest.raises(DataError, match=r"holds no CIFAR-10 files.*cifar-10-batches-bin"):
        opened(f"cifar10={tmp_path}")


def test_cifar_wants_colour(tmp_path):
    spec = InputSpec(kind="image", shape=(1, 32, 32), dataset="x", embedded="digits")
    with pytest.raises(DataError, match="CIFAR-10 has 3 channels"):
        opened(f"cifar10={write_cifar(tmp_path)}", spec=spec)


def test_cifar_of_the_published_size_must_have_the_published_digest(tmp_path, monkeypatch):
    path = write_cifar(tmp_path) / "test_batch.bin"
    raw = path.read_bytes()
    official = {path.name: (len(raw), hashlib.md5(raw).hexdigest())}
    monkeypatch.setattr(cifar, "_OFFICIAL", official)
    assert len(opened(f"cifar10={tmp_path}", "test")) == 5
    path.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    with pytest.raises(DataError, match="published size but MD5"):
        opened(f"cifar10={tmp_path}", "test")
    path.write_bytes(raw[:3073])  # shortened: other data, not a damaged file
    assert len(opened(f"cifar10={tmp_path}", "test")) == 1


def test_both_published_versions_are_the_same_data(tmp_path):
    binary = write_cifar(tmp_path / "binary")
    for path in list(binary.iterdir()):
        records = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, 3073)
        content = {b"data": records[:, 1:].copy(), b"labels": records[:, 0].tolist()}
        (tmp_path / path.stem).write_bytes(pickle.dumps(content, protocol=4))
    for part in ("train", "test"):
        assert opened(f"cifar10={tmp_path}", part).info == opened(f"cifar10={binary}", part).info


@pytest.mark.skipif(REAL_DATA is None, reason="SNNBENCH_DATA names no folder with real data")
def test_real_cifar():
    root = Path(REAL_DATA) / "cifar10"
    train, test = (opened(f"cifar10={root}", part) for part in ("train", "test"))
    assert (len(train), len(test)) == (7728, 1000)
    assert "1,000 of 10,000 records" in test.info.description
