"""Atomic writing: a file is either the old one or the complete new one."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from snnbench.core.errors import OutputError


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
    temporary = target.with_name(f".{target.name[:64]}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def ensure_writable_folder(folder: Path) -> Path:
    """Make ``folder`` if it is missing and prove that a file can be written in it.

    Raises:
        OutputError: It cannot be made or written, or a file is in the way.
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
