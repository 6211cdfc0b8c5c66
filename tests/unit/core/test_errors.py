"""Errors: one line each."""

from __future__ import annotations

import pickle

from snnbench.core.errors import DataError, SnnbenchError, UsageError


def test_lines_of_a_library_become_one() -> None:
    assert str(UsageError("a.bin cannot be read: bad\nvalue\r\n; name another")) == (
        "a.bin cannot be read: bad value ; name another"
    )


def test_errors_pass_between_processes() -> None:
    error = pickle.loads(pickle.dumps(DataError("no file")))
    assert (type(error), str(error), isinstance(error, SnnbenchError)) == (
        DataError,
        "no file",
        True,
    )
