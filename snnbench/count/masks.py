"""Masks of tensors: the non-zero elements, and the alphabet of their values."""

from __future__ import annotations

import copy
import math
import weakref
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from snnbench.results.counts import DENSE, Alphabet, AlphabetKind

Counts = npt.NDArray[np.int64]
_BYTES_PER_WORD = 8
_LONG_ROW = 1024  # from here on, numpy's count of a whole row beats everything
_MAX_ADDENDS = 255  # a byte counts this far before it would carry into its neighbour


class Mask:
    """Non-zero pattern of a tensor, as one byte an element on the CPU.

    Args:
        tensor: Any shape, dtype and device; NaN counts as non-zero.

    Attributes:
        nonzero: Boolean array of the tensor's shape, C-contiguous.
        total: Number of non-zero elements.
    """

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor.detach()
        self.nonzero: npt.NDArray[np.bool_] = self._tensor.bool().contiguous().cpu().numpy()
        self.total = int(np.count_nonzero(self.nonzero))
        self._alphabet: Alphabet | None = None

    def reshaped(self, shape: tuple[int, ...]) -> Mask:
        """Return the same elements in another shape."""
        other = copy.copy(self)
        other.nonzero = self.nonzero.reshape(shape)
        other._tensor = self._tensor.view(shape)
        return other

    def join(self, known: Alphabet) -> Alphabet:
        """Join ``known`` with the values of this tensor; free once DENSE is reached."""
        if known.kind is AlphabetKind.DENSE or not self.total:
            return known
        if self._alphabet is None:
            self._alphabet = self._measure()
        return known.join(self._alphabet)

    def _measure(self) -> Alphabet:
        if self._tensor.is_complex():
            return DENSE
        # numpy lacks bfloat16, which widens exactly to float32
        bfloat16 = self._tensor.dtype is torch.bfloat16
        values = (self._tensor.float() if bfloat16 else self._tensor).cpu().numpy()
        first = np.unravel_index(int(self.nonzero.argmax()), self.nonzero.shape)
        scale = float(values[first])
        if not math.isfinite(scale):
            return DENSE
        hits = _count_equal(values, scale)
        if hits == self.total:
            return Alphabet(kind=AlphabetKind.BINARY, scale=scale)
        signed = self._tensor.dtype.is_signed
        if signed and hits + _count_equal(values, -scale) == self.total:
            return Alphabet(kind=AlphabetKind.TERNARY, scale=abs(scale))
        return DENSE


def _count_equal(values: npt.NDArray[Any], value: float) -> int:
    return int(np.count_nonzero(values == values.dtype.type(value)))


def count_axis(mask: npt.NDArray[np.bool_], axis: int) -> Counts:
    """Count the True elements along ``axis``, exactly.

    Eight one-byte counters are added at once as the bytes of a 64-bit word, in groups of at most
    255 so that none overflows: an order of magnitude faster than an integer sum of booleans.
    """
    axis %= mask.ndim
    before, length = math.prod(mask.shape[:axis]), mask.shape[axis]
    after = math.prod(mask.shape[axis + 1 :])
    shape = mask.shape[:axis] + mask.shape[axis + 1 :]
    bytes_ = np.ascontiguousarray(mask).view(np.uint8).reshape(before, length, after)
    if after % _BYTES_PER_WORD == 0 and mask.size:
        return _sum_columns(bytes_, after).reshape(shape)
    if after == 1 and length >= _LONG_ROW:
        rows = np.ascontiguousarray(mask).reshape(before, length)
        return np.array([np.count_nonzero(row) for row in rows], dtype=np.int64).reshape(shape)
    if after == 1 and length % _BYTES_PER_WORD == 0 and mask.size:
        words = bytes_.reshape(before, length // _BYTES_PER_WORD, _BYTES_PER_WORD)
        return np.asarray(_sum_columns(words, _BYTES_PER_WORD).sum(axis=1)).reshape(shape)
    return np.asarray(bytes_.sum(axis=1, dtype=np.int64)).reshape(shape)


def _sum_columns(bytes_: npt.NDArray[np.uint8], width: int) -> Counts:
    """Sum over axis 1 of [before, length, width] with ``width`` a multiple of eight."""
    words = bytes_.view(np.uint64)
    total = np.zeros((bytes_.shape[0], width), dtype=np.int64)
    for start in range(0, bytes_.shape[1], _MAX_ADDENDS):
        group = np.add.reduce(words[:, start : start + _MAX_ADDENDS], axis=1)
        total += np.ascontiguousarray(group).view(np.uint8)
    return total


class MaskCache:
    """The mask of a tensor that several layers read, made once.

    A neuron's output is next read, often as another view of the same memory, by one or two
    convolutions. An entry holds while the tensor it was made from lives unchanged; it keeps the
    mask (a byte an element) of the latest tensors only.
    """

    _SIZE = 2

    def __init__(self) -> None:
        self._entries: list[tuple[weakref.ref[Tensor], tuple[int, ...], Mask]] = []

    def mask_of(self, tensor: Tensor) -> Mask:
        """Return the mask of ``tensor``, in its shape."""
        if tensor.is_inference() or not tensor.is_contiguous():
            return Mask(tensor)  # no version counter that shows changes, or another memory order
        key = _memory_key(tensor)
        for source, known, mask in self._entries:
            alive = source()
            if known == key and alive is not None and _memory_key(alive) == key:
                return mask.reshaped(tuple(tensor.shape))
        mask = Mask(tensor)
        self._entries = [*self._entries[1 - self._SIZE :], (weakref.ref(tensor), key, mask)]
        return mask


def _memory_key(tensor: Tensor) -> tuple[int, ...]:
    return tensor.data_ptr(), tensor.numel(), tensor.element_size(), tensor._version
