"""Revisions of a git repository, and checkouts of them outside its working tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snnbench.core.errors import UsageError
from snnbench.core.process import variables_without_git

WORKING_TREE = "."
"""The user's name for the files as they are, with uncommitted changes and new files."""

_SHORT = 7
_NO_HOOKS = ("-c", f"core.hooksPath={os.devnull}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A commit, or the working tree.

    Attributes:
        name: Name that the user gave.
        commit: Full hash.
        changed: Whether there are uncommitted changes on top of the commit.
    """

    name: str
    commit: str
    changed: bool = False

    def __str__(self) -> str:
        short = f"{self.commit[:_SHORT]}{' with changes' if self.changed else ''}"
        return short if self.commit.startswith(self.name) else f"{self.name} ({short})"


def top_of(folder: Path) -> Path:
    """Find the top folder of the repository that ``folder`` is in.

    Raises:
        UsageError: The folder is in no repository, or git is not installed.
    """
    if not folder.is_dir():
        msg = f"{folder} is not a folder; name a folder of a git repository with --repo"
        raise UsageError(msg)
    top = _git(folder, "rev-parse", "--show-toplevel")
    if not top:
        msg = f"{folder.resolve()} is not in a git repository; name a folder of one with --repo"
        raise UsageError(msg)
    return Path(top)


def resolve(repository: Path, name: str) -> Revision:
    """Find the commit that ``name`` stands for, or the working tree.

    Raises:
        UsageError: There is no such commit, or git cannot say what changed.
    """
    base = "HEAD" if name == WORKING_TREE else name
    commit = None
    if not base.startswith("-"):
        commit = _git(repository, "rev-parse", "--verify", "--quiet", f"{base}^{{commit}}")
    if not commit:
        msg = (
            f"{repository} has no revision {base}; fetch it first (a CI checkout often has only "
            "one commit; fetch-depth: 0 gets all)"
        )
        raise UsageError(msg)
    # whatever the user's configuration hides: new files belong to the working tree
    status = ("status", "--porcelain", "--untracked-files=normal")
    changed = name == WORKING_TREE and bool(_must(repository, *status))
    return Revision(name=name, commit=commit, changed=changed)


@contextmanager
def checkout(repository: Path, revision: Revision, folder: Path) -> Iterator[Path]:
    """Put the files of a revision in ``folder``, which is removed afterwards.

    The repository's own working tree, index and branches stay as they are.

    Raises:
        UsageError: git cannot check it out.
    """
    arguments = ("--no-checkout",) if revision.changed else ()
    add = (*_NO_HOOKS, "worktree", "add", "--quiet", "--detach", *arguments, str(folder))
    try:
        _must(repository, *add, revision.commit)
        if revision.changed:
            _copy_files(repository, folder)
            _must(folder, "reset", "--quiet")  # the index of the commit; files stay
        yield folder
    finally:
        # twice: an interrupted `add` leaves its worktree locked
        _git(repository, "worktree", "remove", "--force", "--force", str(folder))
        shutil.rmtree(folder, ignore_errors=True)


def requirements(folder: Path) -> frozenset[str]:
    """Return the dependencies that the project in ``folder`` declares; raises as ``pyproject``."""
    listed: list[str] = pyproject(folder).get("project", {}).get("dependencies", [])
    return frozenset(listed)


def pyproject(folder: Path) -> dict[str, Any]:
    """Read ``pyproject.toml`` in ``folder``.

    Raises:
        UsageError: The file is missing, is not TOML, or a table of it is not a table.
    """
    path = folder / "pyproject.toml"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"a revision has no readable pyproject.toml, so it cannot be installed: {error}"
        raise UsageError(msg) from error
    for name in ("build-system", "project"):
        if not isinstance(content.get(name, {}), dict):
            msg = f"[{name}] in a revision's pyproject.toml is not a table: it cannot be installed"
            raise UsageError(msg)
    return content


def _copy_files(repository: Path, folder: Path) -> None:
    """Copy every file that git tracks or does not ignore, as it is now."""
    listed = _must(repository, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        source, target = repository / name, folder / name
        if source.is_symlink() or source.is_file():  # a deleted one is listed, too
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)


def _must(folder: Path, *command: str) -> str:
    done = _run(folder, *command)
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        msg = f"`git {' '.join(command)}` in {folder} failed: {last}"
        raise UsageError(msg)
    return done.stdout


def _git(folder: Path, *command: str) -> str | None:
    """Return what git prints; ``None`` if it fails."""
    done = _run(folder, *command)
    return None if done.returncode else done.stdout.removesuffix("\n")


def _run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ("git", *command),
            cwd=folder,
            env=variables_without_git() | {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
            capture_output=True,
            text=True,
            errors="surrogateescape",
            check=False,
        )
    except FileNotFoundError as error:
        msg = "git is not installed; `snnbench ab` needs it"
        raise UsageError(msg) from error
