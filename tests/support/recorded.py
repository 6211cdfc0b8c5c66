"""Recordings of event cameras written by hand."""

from pathlib import Path

import numpy as np

AEDAT2 = b"#!AER-DAT2.0\r\n# a jAER recording\r\n"

Rows = list[tuple[int, int, int, int]]


def write_aer(path: Path, rows: Rows) -> Path:
    """N-MNIST's events from (x, y, microseconds, polarity)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        b"".join(bytes([x, y]) + (p << 23 | t).to_bytes(3, "big") for x, y, t, p in rows)
    )
    return path


def write_gesture(path: Path, rows: list[tuple], dtype: type = np.float64) -> Path:
    """tonic's array of (x, y, polarity, milliseconds)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.array(rows, dtype=dtype))
    return path


def write_aedat2(path: Path, rows: Rows) -> Path:
    """The original CIFAR10-DVS from (raw x, raw y, microseconds, raw polarity)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    events = [(x << 1 | y << 8 | p, t) for x, y, t, p in rows]
    path.write_bytes(AEDAT2 + np.array(events, ">u4").tobytes())
    return path
