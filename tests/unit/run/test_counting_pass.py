"""Counts that outlive their process."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.factories import snn_profile, twin_profile

from snnbench.run import counting_pass
from snnbench.run.counting_pass import FILE_NAME, Partial


def add_batch(counts: Partial) -> None:
    snn = snn_profile()
    counts.add(snn, twin_profile(snn), samples=2, correct=(1, 2))


def count_until_ctrl_c(counts: Partial, batches: int) -> None:
    with counts.kept():
        for _ in range(batches):
            add_batch(counts)
        raise KeyboardInterrupt


def test_counts_reach_the_disk_while_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = Partial(tmp_path, "key")
    add_batch(counts)
    assert not (tmp_path / FILE_NAME).exists(), "not with every batch"
    monkeypatch.setattr(counting_pass, "_SAVE_INTERVAL_S", 0.0)
    add_batch(counts)
    assert Partial(tmp_path, "key").counts == counts.counts
    assert counts.counts.done == 4


@pytest.mark.parametrize("batches", [1, 2])
def test_counts_are_kept_however_the_block_ends(tmp_path: Path, batches: int) -> None:
    counts = Partial(tmp_path, "key")
    with pytest.raises(KeyboardInterrupt):
        count_until_ctrl_c(counts, batches)
    found = Partial(tmp_path, "key").counts
    assert (found.done, found.correct, found.twin_correct) == (2 * batches, batches, 2 * batches)
    assert found.snn == counts.counts.snn
    assert Partial(tmp_path, "another key").counts.done == 0
    counting_pass.discard(tmp_path)
    assert Partial(tmp_path, "key").counts.done == 0


def test_a_moved_folder_resumes(tmp_path: Path) -> None:
    counts = Partial(tmp_path, "key")
    with counts.kept():
        add_batch(counts)
    moved = tmp_path / "moved"
    moved.mkdir()
    (tmp_path / FILE_NAME).rename(moved / FILE_NAME)
    assert Partial(moved, "key").counts == counts.counts


def test_a_damaged_file_counts_from_the_start(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text('{"key": "')
    assert Partial(tmp_path, "key").counts.done == 0


def test_without_a_folder_nothing_is_kept() -> None:
    counts = Partial(None, "key")
    with counts.kept():
        add_batch(counts)
    assert counts.counts.done == 2
