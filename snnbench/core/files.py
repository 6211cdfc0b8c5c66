"""Files written completely or not at all, safe file names, TOML, and temporary folders."""

from __future__ import annotations

import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import BinaryIO, TypeVar

from snnbench.core.errors import OutputError, UsageError
from snnbench.core.signals import StopRequest

_Content = TypeVar("_Content")
_MOST_CHARACTERS = 80
_HASH_DIGITS = 10
_SAFE = re.compile(rf"[a-z0-9_-][a-z0-9._-]{{0,{_MOST_CHARACTERS - 1}}}", re.ASCII)
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+", re.ASCII)


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write ``data`` to ``path``; a failure or interruption leaves an earlier file as it was.

    The bytes go to a temporary file in the same folder, reach the disk, and then take the name.

    Args:
        path: A file in an existing folder; a link is followed, not replaced.
        data: The whole content.

    Raises:
        OutputError: The folder is missing or read-only, the disk is full, or ``path`` is a folder
            or a device.
    """
    try:
        _replace(Path(path), data)
    except OSError as error:
        msg = f"cannot write {path}: {error.strerror}; free space or choose a writable folder"
        raise OutputError(msg) from error


def _replace(path: Path, data: bytes) -> None:
    target = path.resolve()
    if target.exists() and not target.is_file():
        msg = f"cannot write {path}: it exists and is not a regular file; choose another path"
        raise OutputError(msg)
    if not target.parent.is_dir():
        msg = f"cannot write {path}: there is no folder {target.parent}; create it first"
        raise OutputError(msg)
    with replacing(target) as file:
        file.write(data)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside ``path`` that reaches the disk and takes its name at the end.

    If the block raises, the temporary file is deleted and an earlier file stays as it was.
    """
    temporary = path.with_name(f".{path.name[:64]}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_toml(path: Path | Traversable, what: str, kind: type[_Content]) -> _Content:
    """Read and validate a TOML file.

    Args:
        path: The file.
        what: What messages call it, such as ``card``.
        kind: Type of the content, as msgspec takes it.

    Raises:
        UsageError: The file cannot be read, is not TOML, or does not fit; the message says where.
    """
    import msgspec

    try:
        return msgspec.toml.decode(path.read_bytes(), type=kind)
    except OSError as error:
        msg = f"{what} {path} cannot be read: {error.strerror}; name a TOML file"
        raise UsageError(msg) from None
    except (msgspec.MsgspecError, ValueError) as error:
        msg = f"{what} {path} is not valid: {' '.join(str(error).split())}"
        raise UsageError(msg) from error


def ensure_writable_folder(folder: Path) -> Path:
    """Make ``folder`` if it is missing, and prove that a file can be written in it.

    Raises:
        OutputError: The folder cannot be made or written, or a file is in the way.
    """
    probe = folder / f".{secrets.token_hex(8)}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        msg = f"cannot write to folder {folder}: {error.strerror}; choose another with --out"
        raise OutputError(msg) from error
    return folder


def file_stem(name: str) -> str:
    """Turn any ``name`` into a file name, without suffix, that every file system accepts.

    A name that has to be changed gets a hash, so that no two names become the same. Capital letters
    are changed too: some file systems take ``Net`` and ``net`` for the same.

    >>> file_stem("resnet19")
    'resnet19'
    >>> file_stem("tests/test_net.py::test_counts[TN]")
    'tests_test_net.py_test_counts_TN_d63e6ebd88'
    """
    if _SAFE.fullmatch(name):
        return name
    digest = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]
    readable = _UNSAFE.sub("_", name)[:_MOST_CHARACTERS].strip("._")
    return f"{readable}_{digest}" if readable else digest


@contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """Make an empty folder, removed when the block ends, by Ctrl-C too.

    A signal that arrives while the folder is made or removed is delivered right after, so that its
    handler, which may raise (Python's for Ctrl-C does), never leaves a half-made folder behind.
    """
    folder = None
    try:
        with StopRequest() as stop:
            folder = tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)
        stop.grant()
        yield Path(folder.name)
    finally:
        if folder is not None:
            with StopRequest() as stop:
                folder.cleanup()
            stop.grant()
