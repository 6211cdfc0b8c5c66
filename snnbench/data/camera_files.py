"""Readers of event cameras' files: N-MNIST's, and the DVS128's (Lichtsteiner et al. 2008)."""

from __future__ import annotations

import importlib
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import numpy.typing as npt

from snnbench.core.errors import DataError
from snnbench.data.events import Events
from snnbench.data.folders import read_bytes
from snnbench.data.saccades import EVENT_DTYPE

DVS128_SIDE = 128
NMNIST_SIDE = 34

_NMNIST_EVENT_BYTES = 5
_US_PER_MS = 1000
_AEDAT2 = b"#!AER-DAT2"
_SPECIAL = 2**15
"""Bit of an address that marks a signal of the camera instead of an event of a pixel."""
_LONGEST_US = 2**53

Column = npt.NDArray[Any]


def read_nmnist(path: Path) -> Events:
    """Read one N-MNIST recording (Orchard et al. 2015): 5-byte address events, 34 x 34 pixels.

    Raises:
        DataError: The file is unreadable, empty, cut inside an event, or of another sensor.
    """
    from tonic.io import read_mnist_file

    size = len(read_bytes(path))
    if size == 0 or size % _NMNIST_EVENT_BYTES:
        msg = (
            f"recording {path} has {size} bytes, not a positive multiple of {_NMNIST_EVENT_BYTES}: "
            "it is truncated or not an N-MNIST recording; replace or remove it"
        )
        raise DataError(msg)
    events: Events = read_mnist_file(str(path), dtype=EVENT_DTYPE)
    _check_addresses(path, NMNIST_SIDE, events["x"], events["y"])
    if np.any(np.diff(events["t"]) < 0):
        msg = f"recording {path} has timestamps that go back; replace or remove it"
        raise DataError(msg)
    return events


def read_gesture(path: Path) -> Events:
    """Read one gesture of DVS-Gesture as tonic publishes it: rows of x, y, polarity and ms.

    Raises:
        DataError: The file is another kind of array, truncated, empty, or of another camera.
    """
    try:
        # unlike numpy.load it reads nothing but arrays, and it checks the length
        rows = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, OverflowError, SyntaxError, TokenError) as error:
        raise _unreadable(path, "a NumPy array of numbers") from error
    if rows.ndim != 2 or rows.shape[1] != 4 or rows.dtype.kind not in "iuf":
        msg = (
            f"recording {path} is an array {rows.dtype} {rows.shape}, not one row of x, y, "
            "polarity and milliseconds per event; replace or remove it"
        )
        raise DataError(msg)
    x, y, on, t_ms = np.asarray(rows).T
    return _events(path, x, y, t_ms.astype(np.float64) * _US_PER_MS, on)


def read_cifar10_dvs(path: Path) -> Events:
    """Read one recording of CIFAR10-DVS, ``.aedat4`` or the original ``.aedat`` (version 2).

    The original is turned as SpikingJelly turns it, which makes it look like DVS-Gesture.

    Raises:
        DataError: The package ``aedat`` is needed and missing; the file is of another format or
            camera, truncated, or empty.
    """
    return _read_aedat4(path) if path.suffix == ".aedat4" else _read_aedat2(path)


def _read_aedat4(path: Path) -> Events:
    """Read the first stream of events."""
    try:
        aedat = importlib.import_module("aedat")  # an optional package, unknown to mypy
    except ModuleNotFoundError as error:
        msg = (
            f"recording {path} is in AEDAT 4, which the package aedat reads: pip install aedat; "
            "the original .aedat recordings of CIFAR10-DVS need no package"
        )
        raise DataError(msg) from error
    try:
        decoder = aedat.Decoder(str(path))
        streams = decoder.id_to_stream().items()
        first = min((number for number, kind in streams if kind["type"] == "events"), default=None)
        packets = [packet["events"] for packet in decoder if packet["stream_id"] == first]
    except RuntimeError as error:
        raise _unreadable(path, "AEDAT 4") from error
    if not packets:
        raise _empty(path)
    events = np.concatenate(packets)
    # by position: the package has renamed the polarity
    t_us, x, y, on = (events[name] for name in events.dtype.names or ())
    return _events(path, x, y, t_us, on)


def _read_aedat2(path: Path) -> Events:
    """Read eight bytes per event after a header of lines that begin with ``#``.

    The reader of tonic 1.7 fails on every file: it unpacks two of the header's three values.
    """
    content = read_bytes(path)
    start = 0
    while content[start : start + 1] == b"#" and b"\n" in content[start:]:
        start = content.index(b"\n", start) + 1
    if not (start and content.startswith(_AEDAT2)) or (len(content) - start) % 8:
        raise _unreadable(path, "AEDAT 2 with 8 bytes per event")
    address, t_us = np.frombuffer(content, ">u4", offset=start).reshape(-1, 2).T
    of_pixel = address & _SPECIAL == 0
    address, t_us = address[of_pixel].astype(np.int64), t_us[of_pixel]
    last = DVS128_SIDE - 1
    return _events(path, last - (address >> 8), last - (address >> 1 & last), t_us, ~address & 1)


def _events(path: Path, x: Column, y: Column, t_us: Column, on: Column) -> Events:
    """Check the columns and return events sorted by time, which begins with the first."""
    if len(x) == 0:
        raise _empty(path)
    _check_addresses(path, DVS128_SIDE, x, y)
    if not float(t_us.max()) - float(t_us.min()) < _LONGEST_US:
        msg = f"recording {path} has timestamps that cannot be microseconds; replace or remove it"
        raise DataError(msg)
    events = np.empty(len(x), dtype=EVENT_DTYPE)
    events["x"], events["y"], events["p"] = x, y, on.astype(bool)
    events["t"] = t_us - t_us.min()
    # packets of a camera may overlap in time; frames do not depend on their order
    return events[np.argsort(events["t"], kind="stable")]


def _check_addresses(path: Path, side: int, *columns: Column) -> None:
    if not all(np.all((column >= 0) & (column < side)) for column in columns):
        msg = (
            f"recording {path} has addresses outside {side} x {side} pixels: it comes from another "
            "camera; replace or remove it"
        )
        raise DataError(msg)


def _unreadable(path: Path, what: str) -> DataError:
    return DataError(f"recording {path} is truncated or not {what}; replace or remove it")


def _empty(path: Path) -> DataError:
    return DataError(f"recording {path} holds no events; replace or remove it")
