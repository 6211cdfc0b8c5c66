"""Framed recordings kept on disk: made once, verified whenever opened, mapped into memory.

An entry is named by a digest of all that its frames depend on. It is a NumPy array file, readable
with ``numpy.load``, followed by the SHA-256 of its bytes. The least recently used entries make room
for new ones.
"""

from __future__ import annotations

import io
import math
import os
import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt

from snnbench.core.files import replacing

FOLDER_VARIABLE = "SNNBENCH_CACHE"
LIMIT_BYTES = 8 * 2**30

_DIGEST_BYTES = 32
_ABANDONED_S = 24 * 3600
"""Age of a temporary file whose writer must have been killed."""

Frames = npt.NDArray[np.uint8]


def default_folder() -> Path:
    """Return ``SNNBENCH_CACHE`` if it is set, else ``frames`` in the user's cache folder."""
    from numba.misc.appdirs import AppDirs

    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    return Path(AppDirs("snnbench", False).user_cache_dir) / "frames"


def cached_frames(
    key: str,
    shape: tuple[int, ...],
    make: Callable[[], Iterable[Frames]],
    *,
    folder: Path,
    limit_bytes: int = LIMIT_BYTES,
) -> Frames | None:
    """Open the entry ``key``; make it if it is missing or damaged.

    Processes that make the same entry at once do the work twice and end up with one file. Each
    keeps what it has mapped, even if another deletes it.

    Args:
        key: Hexadecimal digest of all that decides the frames.
        shape: Shape of the whole array, samples first.
        make: Yields the frames of one sample after the other, each of ``shape[1:]``; they are
            written as they come. If it raises, no entry is left.
        folder: Folder of the entries; made if missing.
        limit_bytes: Largest size of all entries together, including the bytes that other processes
            have written so far.

    Returns:
        Frames, ``uint8`` on disk, read-only; ``None``, with a warning that says why, if they cannot
        be kept.
    """
    path = folder / f"frames-{key}.npy"
    header = _header(shape)
    size = len(header) + math.prod(shape) + _DIGEST_BYTES
    frames = _open(path, header, size)
    if frames is None:
        if size > limit_bytes:
            _warn(
                f"they take {size} bytes and the cache is limited to {limit_bytes}; "
                "choose fewer timesteps or smaller frames"
            )
            return None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _make_room(folder, limit_bytes - size)
            _write(path, header, make())
        except OSError as error:
            problem = error.strerror or str(error)
            _warn(f"{folder}: {problem}; set {FOLDER_VARIABLE} to a folder with room")
            return None
        frames = _open(path, header, size)
    return None if frames is None else frames.reshape(shape)


def _warn(problem: str) -> None:
    warnings.warn(
        f"frames of events are not kept, so each batch is framed anew: {problem}", stacklevel=3
    )


def _header(shape: tuple[int, ...]) -> bytes:
    """Make the header of a NumPy file of ``uint8``."""
    header = io.BytesIO()
    described = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, described)
    return header.getvalue()


def _open(path: Path, header: bytes, size: int) -> Frames | None:
    """Map the flat payload; ``None`` if the entry is missing, unreadable or damaged."""
    try:
        whole = path.stat().st_size == size
        content = np.asarray(np.memmap(path, np.uint8, "r")) if whole else np.empty(0, np.uint8)
    except OSError:
        return None
    covered, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
    # the header is a function of the shape, so it is compared, not parsed
    begins = covered[: len(header)].tobytes() == header
    if not begins or sha256(covered.data).digest() != digest.tobytes():
        warnings.warn(f"cached frames {path} are damaged; they are made anew", stacklevel=3)
        return None
    with suppress(OSError):  # entries of another user
        os.utime(path)  # last used now
    return covered[len(header) :]


def _write(path: Path, header: bytes, frames: Iterable[Frames]) -> None:
    """Stream an entry to disk, which takes its name when complete."""
    digest = sha256(header)
    with replacing(path) as file:
        file.write(header)
        for sample in frames:
            data = sample.tobytes()
            file.write(data)
            digest.update(data)
        file.write(digest.digest())


def _make_room(folder: Path, limit_bytes: int) -> None:
    """Delete abandoned files, then the least recently used entries beyond a size."""
    total_bytes = 0
    for used_s, size_bytes, path in _by_last_use(folder, ".frames-*.tmp"):
        if time.time() - used_s > _ABANDONED_S:
            path.unlink(missing_ok=True)
        else:
            total_bytes += size_bytes
    for _, size_bytes, path in _by_last_use(folder, "frames-*.npy"):
        total_bytes += size_bytes
        if total_bytes > limit_bytes:
            path.unlink(missing_ok=True)


def _by_last_use(folder: Path, pattern: str) -> list[tuple[float, int, Path]]:
    """List files with times of modification in seconds and sizes in bytes, the latest first."""
    files = []
    for path in folder.glob(pattern):
        with suppress(FileNotFoundError):  # another process deletes too
            status = path.stat()
            files.append((status.st_mtime, status.st_size, path))
    return sorted(files, reverse=True)
