"""Folders on disk."""

from pathlib import Path

import pytest

from snnbench.core.errors import DataError
from snnbench.data.folders import (
    Listing,
    children,
    holds,
    list_files,
    names_in,
    read_bytes,
    split_folder,
)


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


def listed(root: Path, *, flat: bool = True) -> Listing:
    return list_files(root, (".png",), "images", flat=flat)


def test_flat_folder_ignores_other_files_and_has_no_labels(tmp_path):
    touch(tmp_path, "b.PNG", "a.png", "notes.txt", ".hidden.png", "more/c.png", "odd.png/d.txt")
    assert listed(tmp_path) == Listing(root=tmp_path, names=("a.png", "b.PNG"))
    with pytest.raises(DataError, match="one folder of images per class, and none directly"):
        listed(tmp_path, flat=False)


@pytest.mark.parametrize("flat", [True, False])
def test_class_folders_are_numbered_in_order_and_the_empty_ones_count(tmp_path, flat):
    touch(tmp_path, "dog/3.png", "dog/2.png", "cat/1.png", "cow/readme.txt", ".git/x.png")
    found = listed(tmp_path, flat=flat)
    assert found.names == ("cat/1.png", "dog/2.png", "dog/3.png")
    assert (found.labels, found.classes) == ((0, 2, 2), ("cat", "cow", "dog"))
    assert found.labelling == "labels are the sorted class folders"


def test_class_folders_label_only_a_network_with_as_many_outputs(tmp_path):
    found = listed(touch(tmp_path, "cat/1.png", "dog/2.png", "owl/readme.txt"))
    assert found.for_outputs(3) == found
    for outputs in (2, 10, None):
        other = found.for_outputs(outputs)
        assert (other.names, other.labels, other.classes) == (found.names, None, ())
        assert other.labelling == "unlabelled"


@pytest.mark.parametrize("test_name", ["test", "Val"])
def test_train_and_test_folders_are_kept_apart(tmp_path, test_name):
    touch(tmp_path, f"{test_name}/a/1.png", "Train/a/2.png")
    assert split_folder(tmp_path, "test") == (tmp_path / test_name, True)
    assert split_folder(tmp_path, "train") == (tmp_path / "Train", True)
    assert split_folder(tmp_path / "Train", "test") == (tmp_path / "Train", False)


def test_missing_folder(tmp_path):
    with pytest.raises(DataError, match=r"data folder .*nowhere does not exist$"):
        children(tmp_path / "nowhere")


def test_file_instead_of_folder(tmp_path):
    touch(tmp_path, "a.png")
    with pytest.raises(DataError, match=r"a\.png is a file; give the folder"):
        children(tmp_path / "a.png")


def test_empty_folder(tmp_path):
    with pytest.raises(DataError, match=r"is empty; put images \(\.png\) into it$"):
        listed(tmp_path)


def test_folder_without_accepted_files(tmp_path):
    touch(tmp_path, "a.gif", "sub/b.txt")
    with pytest.raises(DataError, match=r"holds no images \(\.png\), neither directly nor in one"):
        listed(tmp_path)


def test_files_anywhere_below(tmp_path):
    touch(tmp_path, "a/b/c.bin", "d.npy")
    assert holds(tmp_path, (".x", ".bin"))
    assert not holds(tmp_path, (".png",))


def test_unreadable_folder_and_file(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DataError, match=r"cannot be read: permission denied$"):
        children(tmp_path)
    with pytest.raises(DataError, match=r"data folder .*gone cannot be read: no such file"):
        names_in(tmp_path / "gone", (".png",))
    with pytest.raises(DataError, match=r"data file .*x\.bin cannot be read: permission denied$"):
        read_bytes(tmp_path / "x.bin")
