"""Where compiled kernels are kept, what makes them stale, and what is survived."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numba
import pytest

from snnbench.core import numba_cache
from snnbench.core.errors import OutputError

PACKAGE = Path(numba_cache.__file__).parents[1]

UNPACK = """
import torch
from snnbench.engine.kernels import loops, masks
x = torch.eye(20).reshape(1, 1, 20, 4, 5)
for dtype in (torch.float32, torch.float64)[::ORDER]:
    assert torch.equal(masks.unpack(masks.pack(x), 20, dtype), x.to(dtype))
stats = loops.unpack_words.stats
print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""


def twice(x: float) -> float:
    return x + x


@pytest.fixture
def chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder chosen by NUMBA_CACHE_DIR."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "chosen"))
    numba_cache.folder.cache_clear()
    yield tmp_path / "chosen" / "snnbench"
    numba_cache.folder.cache_clear()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the sources, with a user cache elsewhere."""
    sources = tmp_path / "engine"
    sources.mkdir()
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.setattr(numba_cache, "_HERE", sources)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    numba_cache.folder.cache_clear()
    yield sources
    numba_cache.folder.cache_clear()


def build() -> tuple[Any, str]:
    """A fresh build of ``twice``, run, and whether it came from the cache."""
    dispatcher = numba_cache.njit(cache=True)(twice)
    assert dispatcher(21.0) == 42.0
    return dispatcher, "hit" if sum(dispatcher.stats.cache_hits.values()) else "miss"


def only_file(folder: Path) -> Path:
    (path,) = folder.glob("*.kernel")
    return path


def test_a_build_is_found_again(chosen: Path):
    assert [build()[1] for _ in range(3)] == ["miss", "hit", "hit"]
    assert only_file(chosen).stat().st_size > 1000


def test_each_signature_has_its_own_file(chosen: Path):
    for value in (1.0, 1):
        numba_cache.njit(cache=True)(twice)(value)
    assert len(list(chosen.glob("*.kernel"))) == 2
    assert numba_cache.njit(cache=True)(twice)(2**40) == 2**41


def test_a_file_of_another_user_is_compiled_anew(chosen: Path, monkeypatch: pytest.MonkeyPatch):
    read_bytes = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.suffix == ".kernel":
            raise PermissionError(path)
        return read_bytes(path)

    build()
    assert only_file(chosen).is_file()
    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert build()[1] == "miss"


@pytest.mark.parametrize("damage", ["empty", "half", "one byte less", "one bit", "other bytes"])
def test_damaged_files_are_compiled_anew(chosen: Path, damage: str):
    build()
    path = only_file(chosen)
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    path.write_bytes(
        {
            "empty": b"",
            "half": content[: len(content) // 2],
            "one byte less": content[:-1],
            "one bit": bytes(flipped),
            "other bytes": b"cposix\nsystem\n(S'false'\ntR.",
        }[damage]
    )
    assert [build()[1] for _ in range(2)] == ["miss", "hit"]
    assert only_file(chosen) == path


@pytest.mark.parametrize("changed", ["numba", "llvmlite"])
def test_another_version_compiles_anew(chosen: Path, monkeypatch: pytest.MonkeyPatch, changed: str):
    build()
    with monkeypatch.context() as other:
        other.setattr(getattr(numba_cache, changed), "__version__", "0.0.0")
        assert [build()[1] for _ in range(2)] == ["miss", "hit"]
    assert build()[1] == "hit"  # both versions have their files


def test_a_change_of_what_kernels_include_compiles_anew(
    chosen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    build()
    included = tmp_path / "rows.py"
    included.write_text("changed = True\n")
    monkeypatch.setattr(numba_cache, "_included", lambda _source: [included])
    assert [build()[1] for _ in range(2)] == ["miss", "hit"]


def test_another_processor_compiles_anew(tmp_path: Path):
    assert _run(UNPACK, tmp_path, NUMBA_CPU_NAME="generic") == "0 2"
    assert _run(UNPACK, tmp_path) == "0 2"


def test_a_full_disk_costs_a_warning(chosen: Path, monkeypatch: pytest.MonkeyPatch):
    def full(path: Path, data: bytes) -> None:
        msg = "cannot write there: No space left on device"
        raise OutputError(msg)

    monkeypatch.setattr(numba_cache, "write_atomically", full)
    with pytest.warns(UserWarning, match="not kept: cannot write there: No space left"):
        assert build()[1] == "miss"


def test_the_first_choice_is_beside_the_sources(installed: Path):
    assert numba_cache.folder() == installed / "__pycache__"


def test_a_read_only_installation_uses_the_users_cache(installed: Path, tmp_path: Path):
    (installed / "__pycache__").write_text("a file in the way, which stops even root")
    found = numba_cache.folder()
    assert found is not None
    assert found.is_relative_to(tmp_path / "home")
    assert found.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o757])
def test_a_folder_that_others_can_write_is_not_trusted(installed: Path, tmp_path: Path, mode: int):
    (installed / "__pycache__").mkdir()
    (installed / "__pycache__").chmod(mode)
    found = numba_cache.folder()
    assert found is not None
    assert found.is_relative_to(tmp_path / "home")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can chown")
def test_a_folder_of_another_user_is_not_trusted(installed: Path, tmp_path: Path):
    (installed / "__pycache__").mkdir()
    os.chown(installed / "__pycache__", 65534, 65534)
    found = numba_cache.folder()
    assert found is not None
    assert found.is_relative_to(tmp_path / "home")


def test_a_home_that_cannot_be_told_is_not_a_folder_here(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (installed / "__pycache__").write_text("in the way")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    with pytest.warns(UserWarning, match="every process compiles them again"):
        assert numba_cache.folder() is None
    assert not (tmp_path / "relative").exists()


def test_where_nothing_is_writable_kernels_run_and_one_line_says_so(
    installed: Path, monkeypatch: pytest.MonkeyPatch
):
    (installed / "__pycache__").write_text("in the way")
    monkeypatch.setenv("HOME", os.devnull)
    with pytest.warns(UserWarning, match="set NUMBA_CACHE_DIR to a folder of your own") as caught:
        assert build()[1] == "miss"
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)
    assert build()[1] == "miss"


def test_a_read_only_installation_without_home_imports_and_runs(tmp_path: Path):
    copy = tmp_path / "snnbench"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "__pycache__").write_text("in the way")
    done = subprocess.run(
        [sys.executable, "-B", "-c", UNPACK.replace("ORDER", "1")],
        env=_environment(PYTHONPATH=str(tmp_path), HOME=os.devnull, PYTHONWARNINGS="default"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["0", "2"]
    assert done.stderr.count("compiled kernels are not kept") == 1
    assert not list(tmp_path.rglob("*.kernel"))


@pytest.mark.slow
def test_eight_processes_compile_at_once(tmp_path: Path):
    scripts = [UNPACK.replace("ORDER", str(order)) for order in (1, -1)] * 4
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            env=_environment(NUMBA_CACHE_DIR=str(tmp_path)),
            stdout=subprocess.PIPE,
            text=True,
        )
        for script in scripts
    ]
    assert [p.communicate()[0] != "" and p.returncode for p in processes] == [0] * 8
    # whoever came first, each build is whole and is the one that its name says
    assert _run(UNPACK, tmp_path) == "2 0"
    assert len(list(tmp_path.rglob("*unpack_words*.kernel"))) == 2
    assert not list(tmp_path.rglob("*.tmp"))


def _environment(**changes: str) -> dict[str, str]:
    removed = {"NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "NUMBA_CPU_NAME"}
    return {k: v for k, v in os.environ.items() if k not in removed} | changes


def _run(script: str, folder: Path, **environment: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", script.replace("ORDER", "1")],
        env=_environment(NUMBA_CACHE_DIR=str(folder), **environment),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
