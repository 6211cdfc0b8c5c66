"""A disk cache for ``numba.njit``, one file per build, in place of the one that numba has.

Numba's own cache does not notice that intrinsics in another file have changed, refuses to import
a function where no folder is writable, fails on a truncated file, and can mix up two builds that
two processes save at once. Here a file's name is a digest of all that a build depends on, its
content begins with a digest of the rest, and where no folder is private and writable, kernels are
compiled anew, with a warning that says so.
"""

from __future__ import annotations

import os
import pickle
import sys
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core import config
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps
from numba.misc.appdirs import AppDirs

from snnbench.core.errors import OutputError
from snnbench.core.files import write_atomically

_HERE = Path(__file__).parents[1]
_DIGEST_BYTES = 32
_WRITABLE_BY_OTHERS = 0o022


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile with ``numba.njit``; ``cache=True`` keeps the build in this module's cache."""
    cached = options.pop("cache", False)

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher = numba.njit(**options)(function)
        if cached:
            dispatcher._cache = KernelCache(function)
        return dispatcher

    return decorate


class KernelCache(NullCache):  # type: ignore[misc]  # numba is not typed
    """Builds of one function; numba asks before it compiles, and hands over what it compiled.

    Args:
        function: A function of a module, without a closure; intrinsics that it uses from other
            files are in the folder ``vector`` beside its own.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        code = function.__code__
        source = Path(code.co_filename)
        self._name = f"{source.stem}.{function.__name__}"
        sources = (source, *_included(source))
        self._stamp = (
            *(sys.version, numba.__version__, llvmlite.__version__, code.co_firstlineno),
            *(sha256(source.read_bytes()).hexdigest() for source in sources),
        )

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Read the build for these argument types; ``None`` if there is none to trust."""
        target_context.refresh()
        path = self._path(sig, target_context.codegen())
        if path is None:
            return None
        try:
            content = path.read_bytes()
        except OSError:  # not there, or only for another user to read
            return None
        digest, data = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if sha256(data).digest() != digest:  # truncated, as by a full disk or a crash
            return None
        # The folder belongs to this user, and others cannot write there.
        return CompileResult._rebuild(target_context, *pickle.loads(data))  # noqa: S301

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a build; where that fails, say so once."""
        path = self._path(sig, data.codegen)
        if path is None or data.lifted or data.library.has_dynamic_globals:
            return
        payload: bytes = dumps(data._reduce())  # type: ignore[no-untyped-call]
        try:
            write_atomically(path, sha256(payload).digest() + payload)
        except OutputError as error:
            warnings.warn(f"compiled kernels are not kept: {error}", stacklevel=2)

    def _path(self, sig: Any, codegen: Any) -> Path | None:
        builds = folder()
        if builds is None:
            return None
        key = repr((self._stamp, str(sig), codegen.magic_tuple())).encode()
        return builds / f"{self._name}.{sha256(key).hexdigest()[:32]}.kernel"


def _included(source: Path) -> list[Path]:
    """List the files whose intrinsics the functions of ``source`` use."""
    return sorted((source.parent / "vector").glob("*.py"))


@cache
def folder() -> Path | None:
    """Find the folder of compiled kernels; ``None``, with a warning, if no place is safe.

    It is the first of ``NUMBA_CACHE_DIR/snnbench``, ``__pycache__`` beside the sources and the
    user's cache folder that this user can write and others cannot.
    """
    user_folder = AppDirs("snnbench", False).user_cache_dir  # type: ignore[no-untyped-call]
    candidates = [_HERE / "__pycache__", Path(user_folder)]
    chosen: str = getattr(config, "CACHE_DIR")  # noqa: B009 - numba makes its settings at run time
    if chosen:
        candidates.insert(0, Path(chosen) / "snnbench")
    for candidate in candidates:
        if candidate.is_absolute() and _is_usable(candidate):
            return candidate
    names = ", ".join(str(candidate) for candidate in candidates)
    warnings.warn(
        f"compiled kernels are not kept, so every process compiles them again: none of {names} is "
        "private and writable; set NUMBA_CACHE_DIR to a folder of your own",
        stacklevel=2,
    )
    return None


def _is_usable(candidate: Path) -> bool:
    """Say whether this user, and no other, can write there: what is read back is executed."""
    try:
        candidate.mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=candidate).close()
        status = candidate.stat()
    except OSError:
        return False
    if not hasattr(os, "getuid"):
        return True
    # who owns the sources decides what runs anyway
    owners = {os.getuid(), _HERE.stat().st_uid}
    return status.st_uid in owners and not status.st_mode & _WRITABLE_BY_OTHERS
