"""Framed recordings on disk."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from snnbench.core.errors import DataError
from snnbench.data import frame_cache
from snnbench.data.frame_cache import cached_frames, default_folder

SHAPE = (3, 4, 2, 5, 5)
FRAMES = np.random.default_rng(0).integers(0, 256, SHAPE).astype(np.uint8)
ENTRY_BYTES = 128 + FRAMES.size + 32


class Maker:
    """Makes the frames and counts how often."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return iter(FRAMES)


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_made_once_then_mapped(tmp_path):
    make, folder = Maker(), tmp_path / "new" / "folder"
    for _ in range(2):
        frames = cached_frames("ab", SHAPE, make, folder=folder)
        assert frames.dtype == np.uint8
        assert np.array_equal(frames, FRAMES)
        assert not frames.flags.writeable
    assert make.calls == 1
    assert entries(folder) == ["frames-ab.npy"]
    path = folder / "frames-ab.npy"
    assert path.stat().st_size == ENTRY_BYTES
    assert np.array_equal(np.load(path, allow_pickle=False), FRAMES)


@pytest.mark.parametrize("position", [0, 70, 128, 300, ENTRY_BYTES - 40, ENTRY_BYTES - 1])
def test_a_flipped_byte_is_found_and_the_entry_made_anew(tmp_path, position):
    make = Maker()
    cached_frames("ab", SHAPE, make, folder=tmp_path)
    path = tmp_path / "frames-ab.npy"
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    with pytest.warns(UserWarning, match=r"cached frames .*frames-ab\.npy are damaged; .* anew"):
        assert np.array_equal(cached_frames("ab", SHAPE, make, folder=tmp_path), FRAMES)
    assert make.calls == 2
    assert np.array_equal(cached_frames("ab", SHAPE, make, folder=tmp_path), FRAMES)
    assert make.calls == 2


@pytest.mark.parametrize("content", [b"", b"x", bytes(ENTRY_BYTES - 1), bytes(ENTRY_BYTES + 1)])
def test_another_length_is_found(tmp_path, content):
    (tmp_path / "frames-ab.npy").write_bytes(content)
    with pytest.warns(UserWarning, match="damaged"):
        assert np.array_equal(cached_frames("ab", SHAPE, Maker(), folder=tmp_path), FRAMES)


def test_an_entry_of_another_shape_is_not_taken(tmp_path):
    cached_frames("ab", SHAPE, Maker(), folder=tmp_path)
    turned = FRAMES.reshape(3, 2, 4, 5, 5)
    with pytest.warns(UserWarning, match="damaged"):
        found = cached_frames("ab", turned.shape, lambda: iter(turned), folder=tmp_path)
    assert np.array_equal(found, turned)


def test_an_interrupted_or_failing_maker_leaves_nothing(tmp_path):
    def broken(error):
        yield FRAMES[0]
        raise error

    for error in (KeyboardInterrupt(), DataError("recording x is broken")):
        with pytest.raises(type(error)):
            cached_frames("ab", SHAPE, lambda error=error: broken(error), folder=tmp_path)
        assert entries(tmp_path) == []


def test_the_least_recently_used_entries_make_room(tmp_path):
    limit = 2 * ENTRY_BYTES
    for used_s, key in enumerate("ab"):
        cached_frames(key, SHAPE, Maker(), folder=tmp_path, limit_bytes=limit)
        os.utime(tmp_path / f"frames-{key}.npy", (used_s, used_s))
    again = Maker()
    cached_frames("a", SHAPE, again, folder=tmp_path, limit_bytes=limit)
    assert again.calls == 0
    (tmp_path / "other.txt").write_text("not ours")
    cached_frames("c", SHAPE, Maker(), folder=tmp_path, limit_bytes=limit)
    assert entries(tmp_path) == ["frames-a.npy", "frames-c.npy", "other.txt"]


def test_opening_an_entry_counts_as_use(tmp_path):
    cached_frames("a", SHAPE, Maker(), folder=tmp_path)
    path = tmp_path / "frames-a.npy"
    os.utime(path, (1000, 1000))
    cached_frames("a", SHAPE, Maker(), folder=tmp_path)
    assert time.time() - path.stat().st_mtime < 3600


def test_what_a_killed_process_left_is_deleted_and_what_another_writes_is_not(tmp_path):
    old, new = tmp_path / ".frames-x.npy.0.tmp", tmp_path / ".frames-y.npy.1.tmp"
    for path in (old, new):
        path.write_bytes(b"x")
    os.utime(old, (1000, 1000))
    cached_frames("ab", SHAPE, Maker(), folder=tmp_path)
    assert entries(tmp_path) == [new.name, "frames-ab.npy"]


def test_frames_beyond_the_limit_are_not_kept(tmp_path):
    make = Maker()
    with pytest.warns(UserWarning, match=rf"{ENTRY_BYTES} bytes and .* limited to 700; choose"):
        assert cached_frames("ab", SHAPE, make, folder=tmp_path, limit_bytes=700) is None
    assert make.calls == 0
    assert entries(tmp_path) == []


def test_a_folder_that_cannot_be_made_means_not_cached(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.warns(UserWarning, match=r"file/cache: .*; set SNNBENCH_CACHE to a folder"):
        assert cached_frames("ab", SHAPE, Maker(), folder=tmp_path / "file" / "cache") is None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_means_not_cached(tmp_path, monkeypatch):
    opened = Path.open

    def full(path: Path, mode: str = "r"):
        return opened(Path("/dev/full") if mode == "xb" else path, mode.replace("x", "w"))

    monkeypatch.setattr(Path, "open", full)
    with pytest.warns(UserWarning, match="not kept, .*No space left on device"):
        assert cached_frames("ab", SHAPE, Maker(), folder=tmp_path) is None
    assert entries(tmp_path) == []


def test_several_at_once_end_up_with_one_entry(tmp_path):
    def slow():
        for frames in FRAMES:
            time.sleep(0.01)
            yield frames

    with ThreadPoolExecutor(4) as pool:
        found = list(
            pool.map(lambda _: cached_frames("ab", SHAPE, slow, folder=tmp_path), range(4))
        )
    assert all(np.array_equal(frames, FRAMES) for frames in found)
    assert entries(tmp_path) == ["frames-ab.npy"]


def test_the_folder_is_the_users_choice(monkeypatch, tmp_path):
    monkeypatch.setenv(frame_cache.FOLDER_VARIABLE, str(tmp_path))
    assert default_folder() == tmp_path
    monkeypatch.delenv(frame_cache.FOLDER_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder().is_absolute()
    assert default_folder().name == "frames"
