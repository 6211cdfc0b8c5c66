"""Seeded draws and folder listings."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snnbench.core.errors import DataError
from snnbench.data.folders import Draw, children, choose, draw_files, read_bytes

# a loaded machine may be slow without being wrong
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


def names(root: Path, draw: Draw) -> tuple[list[str], list[int] | None]:
    paths, labels = draw_files(root, (".png",), "images", draw)
    found = [path.relative_to(root).as_posix() for path in paths]
    return found, None if labels is None else labels.tolist()


@PATIENT
@given(
    available=st.integers(1, 60),
    data=st.data(),
    seed=st.integers(0, 2**32 - 1),
)
def test_draws_are_repeatable_distinct_and_disjoint(available, data, seed):
    samples = data.draw(st.integers(1, available))
    test = choose(available, Draw(samples=samples, seed=seed), "x", separate=False)
    again = choose(available, Draw(samples=samples, seed=seed), "x", separate=False)
    assert test.tolist() == again.tolist()
    assert len(set(test.tolist())) == samples
    assert 0 <= test.min() <= test.max() < available
    if samples < available:
        rest = Draw(samples=available - samples, seed=seed, split="calibration")
        other = choose(available, rest, "x", separate=False)
        assert set(test.tolist()) | set(other.tolist()) == set(range(available))


def test_a_longer_draw_starts_with_the_shorter_one():
    short, long = (choose(50, Draw(samples=n, seed=3), "x", separate=True) for n in (5, 20))
    assert long[:5].tolist() == short.tolist()
    assert choose(50, Draw(samples=5, seed=4), "x", separate=True).tolist() != short.tolist()


def test_too_few_samples_are_counted():
    with pytest.raises(DataError, match=r"^the box holds 3 samples, 4 were asked for; ask for at"):
        choose(3, Draw(samples=4), "the box", separate=True)


def test_flat_folder_ignores_other_files_and_has_no_labels(tmp_path):
    touch(tmp_path, "b.PNG", "a.png", "notes.txt", ".hidden.png", "more/c.png")
    found, labels = names(tmp_path, Draw(samples=2, classes=1))
    assert sorted(found) == ["a.png", "b.PNG"]
    assert labels is None


def test_class_folders_label_only_a_network_with_as_many_classes(tmp_path):
    touch(tmp_path, "cat/1.png", "dog/2.png", "dog/3.png", "owl/readme.txt")
    found, labels = names(tmp_path, Draw(samples=3, classes=3))
    assert dict(zip(found, labels, strict=True)) == {"cat/1.png": 0, "dog/2.png": 1, "dog/3.png": 1}
    assert names(tmp_path, Draw(samples=3, classes=10))[1] is None
    assert names(tmp_path, Draw(samples=3))[1] is None


@pytest.mark.parametrize("test_name", ["test", "Val"])
def test_train_and_test_folders_are_kept_apart(tmp_path, test_name):
    touch(tmp_path, f"{test_name}/a/1.png", "Train/a/2.png")
    assert names(tmp_path, Draw(samples=1))[0] == [f"{test_name}/a/1.png"]
    assert names(tmp_path, Draw(samples=1, split="calibration"))[0] == ["Train/a/2.png"]


def test_missing_folder(tmp_path):
    with pytest.raises(DataError, match=r"data folder .*nowhere does not exist$"):
        children(tmp_path / "nowhere")


def test_file_instead_of_folder(tmp_path):
    touch(tmp_path, "a.png")
    with pytest.raises(DataError, match=r"a\.png is a file; give the folder"):
        children(tmp_path / "a.png")


def test_empty_folder(tmp_path):
    with pytest.raises(DataError, match=r"is empty; put images \(\.png\) into it$"):
        names(tmp_path, Draw(samples=1))


def test_folder_without_accepted_files(tmp_path):
    touch(tmp_path, "a.gif", "sub/b.txt")
    with pytest.raises(DataError, match=r"holds no images \(\.png\), neither directly nor in one"):
        names(tmp_path, Draw(samples=1))


def test_unreadable_folder_and_file(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DataError, match=r"cannot be read: permission denied$"):
        children(tmp_path)
    with pytest.raises(DataError, match=r"data file .*x\.bin cannot be read: permission denied$"):
        read_bytes(tmp_path / "x.bin")
