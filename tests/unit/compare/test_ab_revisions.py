"""Revisions are found, and checked out without a trace in the user's repository."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import venv
from pathlib import Path

import pytest

from snnbench.compare.ab import revisions
from snnbench.compare.ab.environments import benchmarks, create, environment
from snnbench.compare.ab.processes import RunError, run
from snnbench.core.errors import UsageError

PROJECT = '[project]\nname = "toy"\nversion = "1"\ndependencies = ["torch>=2"]\n'


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    variables = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    done = subprocess.run(
        ("git", *identity, *arguments),
        cwd=folder,
        env=variables,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits, a tag on the first, and a hook that must not run."""
    folder = tmp_path / "a repository"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / ".gitignore").write_text("ignored\n")
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "gone.py").write_text("")
    (folder / "code.py").write_text("x = 1\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    git(folder, "tag", "v1")
    (folder / "code.py").write_text("x = 2\n")
    git(folder, "commit", "-q", "-am", "second")
    hook = folder / ".git/hooks/post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    return folder


def test_a_revision_is_checked_out_and_leaves_no_trace(repository: Path, tmp_path: Path) -> None:
    top = revisions.top_of(repository)
    first = revisions.resolve(top, "v1")
    with revisions.checkout(top, first, tmp_path / "source") as source:
        assert (source / "code.py").read_text() == "x = 1\n"
        assert revisions.requirements(source) == {"torch>=2"}
    assert not source.exists()
    assert len(git(repository, "worktree", "list").splitlines()) == 1
    assert git(repository, "status", "--porcelain") == ""
    assert (repository / "code.py").read_text() == "x = 2\n"


def test_the_working_tree_with_all_its_changes(repository: Path, tmp_path: Path) -> None:
    (repository / "code.py").write_text("x = 3\n")
    (repository / "new ü.py").write_text("")
    (repository / "ignored").write_text("")
    (repository / "gone.py").unlink()
    before = git(repository, "status", "--porcelain")
    top = revisions.top_of(repository)
    now = revisions.resolve(top, ".")
    assert now.changed
    with revisions.checkout(top, now, tmp_path / "source") as source:
        names = {path.name for path in source.iterdir()}
        assert names == {".git", ".gitignore", "pyproject.toml", "code.py", "new ü.py"}
        assert (source / "code.py").read_text() == "x = 3\n"
        # a result made there says from which commit, and that it was changed
        assert git(source, "rev-parse", "HEAD").strip() == now.commit
        assert git(source, "status", "--porcelain") == before
    assert git(repository, "status", "--porcelain") == before


def test_new_files_are_changes_whatever_git_is_told_to_hide(repository: Path) -> None:
    git(repository, "config", "status.showUntrackedFiles", "no")
    (repository / "new.py").write_text("")
    assert revisions.resolve(revisions.top_of(repository), ".").changed


def test_a_broken_index_is_not_taken_for_no_change(repository: Path) -> None:
    top = revisions.top_of(repository)
    (repository / ".git/index").write_bytes(b"damaged")
    with pytest.raises(UsageError, match=r"^`git status .* failed: "):
        revisions.resolve(top, ".")


def test_a_clean_working_tree_is_its_commit(repository: Path) -> None:
    top = revisions.top_of(repository / ".git/..")
    tree, head = revisions.resolve(top, "."), revisions.resolve(top, "main")
    assert (tree.commit, tree.changed) == (head.commit, False)
    assert str(head) == f"main ({head.commit[:7]})"
    assert str(revisions.resolve(top, head.commit)) == head.commit[:7]


@pytest.mark.parametrize("asked", ["nowhere", "--help", "HEAD:code.py", ""])
def test_what_is_no_revision(repository: Path, asked: str) -> None:
    with pytest.raises(UsageError, match=r"has no revision .*fetch it first.*fetch-depth: 0"):
        revisions.resolve(revisions.top_of(repository), asked)


def test_what_is_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        UsageError, match="is not in a git repository; name a folder of one with --repo"
    ):
        revisions.top_of(tmp_path)
    with pytest.raises(UsageError, match="is not a folder"):
        revisions.top_of(tmp_path / "missing")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="git is not installed"):
        revisions.top_of(tmp_path)


@pytest.mark.parametrize("text", [None, "[project\n"])
def test_a_revision_without_a_project(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(UsageError, match=r"no readable pyproject.toml, so it cannot be installed"):
        revisions.requirements(tmp_path)


@pytest.mark.parametrize("text", ["project = 1\n", "build-system = []\n"])
def test_a_project_that_is_no_table(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(UsageError, match="is not a table: it cannot be installed"):
        revisions.requirements(tmp_path)


def test_a_failing_process_says_which_and_its_last_words(tmp_path: Path) -> None:
    code = "import sys; print('a\\n\\nb', file=sys.stderr); sys.exit(7)"
    log = tmp_path / "log"
    with pytest.raises(
        RunError, match=r"^run 1 of base failed with exit code 7: a \| b$"
    ) as caught:
        run([sys.executable, "-c", code], environment(tmp_path), log, "run 1 of base")
    assert caught.value.exit_code == 3
    assert log.read_text().split() == ["a", "b"]


def test_a_module_may_print_when_it_is_loaded(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho loading\necho '[\"toy\"]'\n")
    python.chmod(0o755)
    assert benchmarks(python, tmp_path, "base") == {"toy"}
    python.write_text("#!/bin/sh\necho '[\"toy\"]'\necho bye\n")
    with pytest.raises(RunError, match="of base cannot be listed: a module prints"):
        benchmarks(python, tmp_path, "base")


def test_an_environment_without_pip_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise subprocess.CalledProcessError(1, "ensurepip")

    monkeypatch.setattr(venv.EnvBuilder, "create", fail)
    with pytest.raises(UsageError, match=r"base cannot get pip; install ensurepip"):
        create(tmp_path / "environment", tmp_path, "base", install=True)


def test_an_interrupted_process_and_its_own_may_clean_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import os, pathlib, signal, sys, time\n"
        "who = 'parent' if (child := os.fork()) else 'child'\n"
        "ended = pathlib.Path(who)\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(ended.touch()))\n"
        "pathlib.Path('ready').touch() if not child else None\n"
        "time.sleep(0.2)\n"
        "pathlib.Path('started').touch() if child else None\n"
        "time.sleep(600)\n"
    )
    monkeypatch.chdir(tmp_path)
    original = subprocess.Popen.communicate

    def interrupted(self: subprocess.Popen[bytes], *args: object, **options: object) -> object:
        if options:  # waiting for it to end
            return original(self, *args, **options)  # type: ignore[arg-type]
        while not (Path("started").exists() and Path("ready").exists()):
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "communicate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run([sys.executable, "-c", code], environment(tmp_path), tmp_path / "log", "it")
    # both hold the pipe that `run` reads to its end
    assert Path("parent").exists()
    assert Path("child").exists()
