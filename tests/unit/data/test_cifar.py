"""CIFAR-10 in both formats, and pickles that must not be believed."""

import io
import pickle
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, strategies as st

from snnbench.core.errors import DataError
from snnbench.data.cifar import find_batches, read_binary, read_python

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
