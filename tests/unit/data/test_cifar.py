"""CIFAR-10 in both formats, and pickles that must not be believed."""

import hashlib
import io
import os
import pickle
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from support.labelled_sets import opened, shifted_slowly, views_of, write_cifar

from snnbench.core.errors import DataError
from snnbench.data import cifar
from snnbench.data.augment import mirrored
from snnbench.data.cifar import find_batches, read_binary, read_python
from snnbench.zoo.card import InputSpec

REAL_DATA = os.environ.get("SNNBENCH_DATA")

SHAPE = (3, 32, 32)


class PythonTwoPickler(pickle._Pickler):
    """Writes what Python 2 and NumPy 1 wrote: byte strings, old module names, integer flags."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_bytes(self, value):
        self.write(pickle.BINSTRING + len(value).to_bytes(4, "little") + value)
        self.memoize(value)

    dispatch[bytes] = save_bytes

    def save_global(self, value, name=None):
        module = "numpy.core.multiarray" if value.__name__ == "_reconstruct" else value.__module__
        self.write(pickle.GLOBAL + f"{module}\n{value.__name__}\n".encode())

    dispatch[type] = save_global

    def reducer_override(self, value):
        if isinstance(value, np.dtype):
            state = (3, b"|", None, None, None, -1, -1, 0)
            return np.dtype, (value.str[1:].encode(), 0, 1), state
        return NotImplemented


def batch(count: int, seed: int = 0) -> tuple[np.ndarray, list[int]]:
    random = np.random.RandomState(seed)
    data = random.randint(0, 256, (count, 3072)).astype(np.uint8)
    return data, random.randint(0, 10, count).tolist()


def write_binary(path: Path, count: int, seed: int = 0) -> Path:
    data, labels = batch(count, seed)
    path.write_bytes(np.insert(data, 0, labels, axis=1).tobytes())
    return path


def python_two(content: object) -> bytes:
    stream = io.BytesIO()
    PythonTwoPickler(stream, protocol=2).dump(content)
    return stream.getvalue()


def test_binary_file_shorter_than_the_original(tmp_path):
    pixels, labels = read_binary(write_binary(tmp_path / "test_batch.bin", 7))
    data, expected = batch(7)
    assert np.array_equal(pixels, data.reshape(7, 3, 32, 32))
    assert labels.tolist() == expected


@pytest.mark.parametrize("fortran", [False, True])
@pytest.mark.parametrize(
    "dump",
    [
        lambda data, labels: python_two({b"data": data, b"labels": labels, b"filenames": [b"x"]}),
        lambda data, labels: pickle.dumps({"data": data, "labels": labels}, protocol=4),
    ],
    ids=["python 2", "python 3"],
)
def test_python_file(tmp_path, dump, fortran):
    data, labels = batch(5)
    path = tmp_path / "test_batch"
    path.write_bytes(dump(np.asfortranarray(data) if fortran else data, labels))
    pixels, found = read_python(path)
    assert np.array_equal(pixels, data.reshape(5, 3, 32, 32))
    assert found.tolist() == labels


class Touch:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_would_run_code_is_refused(tmp_path, protocol):
    path, trap = tmp_path / "test_batch", tmp_path / "ran"
    path.write_bytes(pickle.dumps({"data": Touch(trap), "labels": []}, protocol=protocol))
    with pytest.raises(DataError, match=r"test_batch was not read: it asks for .*may be unsafe"):
        read_python(path)
    assert not trap.exists()
    pickle.loads(path.read_bytes())
    assert trap.exists()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([1, 2], "it does not hold a dictionary"),
        ({"labels": [1]}, "'data' is not an array of bytes"),
        ({"data": b"x" * 3072, "labels": [1]}, "'data' is not an array of bytes"),
        ({"data": np.zeros((1, 3072), np.int8), "labels": [1]}, "'data' is not an array of bytes"),
        ({"data": np.zeros((1, 3071), np.uint8), "labels": [1]}, r"shape \(N, 3072\)"),
        ({"data": np.zeros((0, 3072), np.uint8), "labels": []}, r"shape \(N, 3072\)"),
        (
            {"data": np.zeros((1, 3072), np.uint8), "labels": ["cat"]},
            "'labels' is not a list of int",
        ),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": [1, 2]}, "1 images but 2 labels"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [1, 10]}, "record 1 is outside 0..9"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": [-(10**30)]}, "record 0 is outside"),
    ],
)
def test_pickles_with_other_content(tmp_path, content, problem):
    path = tmp_path / "test_batch"
    path.write_bytes(pickle.dumps(content, protocol=4))
    with pytest.raises(DataError, match=problem):
        read_python(path)


CONTENT = python_two({b"data": batch(1)[0], b"labels": [3]})


@given(
    flips=st.lists(st.tuples(st.integers(0, 180), st.integers(0, 255)), max_size=4),
    cut=st.integers(0, len(CONTENT)),
)
def test_broken_pickles_give_a_data_error_or_an_image(tmp_path_factory, flips, cut):
    content = bytearray(CONTENT)
    for place, value in flips:
        content[place] = value
    path = tmp_path_factory.mktemp("pickle") / "test_batch"
    path.write_bytes(bytes(content[:cut]))
    problem = ""
    try:
        assert read_python(path)[0].shape[1:] == SHAPE
    except DataError as error:
        problem = str(error)
    assert "\n" not in problem


@pytest.mark.parametrize("size", [0, 3072, 3074])
def test_binary_file_of_a_wrong_size(tmp_path, size):
    path = tmp_path / "test_batch.bin"
    path.write_bytes(bytes(size))
    with pytest.raises(DataError, match=rf"its {size} bytes are not whole records of 3073 bytes"):
        read_binary(path)


def test_binary_label_out_of_range(tmp_path):
    path = write_binary(tmp_path / "test_batch.bin", 3)
    content = bytearray(path.read_bytes())
    content[2 * 3073] = 10
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"the label of record 2 is outside 0\.\.9"):
        read_binary(path)


@pytest.mark.parametrize("inner", ["", "cifar-10-batches-bin"])
def test_batches_are_found_by_part(tmp_path, inner):
    folder = tmp_path / inner
    folder.mkdir(exist_ok=True)
    test = write_binary(folder / "test_batch.bin", 4)
    train = [write_binary(folder / f"data_batch_{n}.bin", 2, seed=n) for n in (1, 3)]
    assert find_batches(tmp_path, "test") == [test]
    assert find_batches(tmp_path, "train") == train


def test_folders_without_cifar_or_without_the_part(tmp_path):
    assert find_batches(tmp_path, "test") is None
    write_binary(tmp_path / "test_batch.bin", 1)
    with pytest.raises(DataError, match=r"lacks data_batch_1\.bin and .*\(train images\)$"):
        find_batches(tmp_path, "train")


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
