"""File names made of names that users chose: safe on every file system, and never two the same."""

from __future__ import annotations

import re
from hashlib import sha256

_MOST_CHARACTERS = 80
_HASH_DIGITS = 10
_SAFE = re.compile(rf"[a-z0-9_-][a-z0-9._-]{{0,{_MOST_CHARACTERS - 1}}}", re.ASCII)
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+", re.ASCII)


def file_stem(name: str) -> str:
    """``name`` as the stem of a file, with a hash where it had to be changed.

    Capital letters count as a change: some file systems take ``Net`` and ``net`` for the same.

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
