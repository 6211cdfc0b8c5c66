"""Masks, alphabets and byte counters."""

from __future__ import annotations

import gc
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from snnbench.count.masks import Mask, MaskCache, count_axis
from snnbench.results.counts import DENSE, Alphabet, AlphabetKind


def alphabet(values: list[float], dtype: torch.dtype = torch.float32) -> Alphabet:
    return Mask(torch.tensor(values, dtype=dtype)).join(Alphabet())


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], Alphabet()),
        ([0.0, -0.0], Alphabet()),
        ([0.0, 1.0], Alphabet(kind=AlphabetKind.BINARY, scale=1.0)),
        ([0.0, -2.0], Alphabet(kind=AlphabetKind.BINARY, scale=-2.0)),
        ([1.0, 1.0], Alphabet(kind=AlphabetKind.BINARY, scale=1.0)),
        ([0.5, 0.0, -0.5], Alphabet(kind=AlphabetKind.TERNARY, scale=0.5)),
        ([-0.5, 0.0, 0.5], Alphabet(kind=AlphabetKind.TERNARY, scale=0.5)),
        ([1.0, 2.0], DENSE),
        ([1.0, -1.0, 2.0], DENSE),
        ([0.0, math.nan], DENSE),
        ([math.inf, math.inf], DENSE),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_alphabet_of_values(values: list[float], expected: Alphabet, dtype: torch.dtype) -> None:
    assert alphabet(values, dtype) == expected


def test_integers_booleans_and_complex_numbers() -> None:
    assert alphabet([0, 3], torch.int64).scale == 3.0
    assert alphabet([0, 1], torch.bool).kind is AlphabetKind.BINARY
    assert alphabet([0, 1], torch.complex64) == DENSE
    assert alphabet([0, 1, 255], torch.uint8) == DENSE


def test_a_count_of_ones_does_not_saturate_in_half_precision() -> None:
    """A sum of 3000 ones in bfloat16 is 256, in float16 2048."""
    for dtype in (torch.bfloat16, torch.float16):
        assert Mask(torch.ones(3000, dtype=dtype)).total == 3000


def test_nothing_is_measured_once_dense() -> None:
    mask = Mask(torch.ones(3))
    assert mask.join(DENSE) == DENSE
    assert mask._alphabet is None


@pytest.mark.parametrize("shape", [(3, 256, 8), (2, 300, 16), (2, 8), (5, 7), (2, 2048), (0, 3)])
@pytest.mark.parametrize("value", [True, False])
def test_count_axis_equals_a_sum(shape: tuple[int, ...], value: bool) -> None:
    """All paths: words of columns (more than 255 rows would overflow a byte), long rows, odd."""
    random = np.random.default_rng(0).random(shape) < 0.5
    for mask in (np.full(shape, value), random):
        for axis in range(len(shape)):
            counts = count_axis(mask, axis)
            assert counts.dtype == np.int64
            assert counts.tolist() == mask.sum(axis=axis).tolist()


class TestMaskCache:
    def test_a_view_of_the_same_memory_shares_the_mask(self) -> None:
        cache, x = MaskCache(), torch.ones(2, 3)
        first, second = cache.mask_of(x), cache.mask_of(x.view(6))
        assert np.shares_memory(first.nonzero, second.nonzero)
        assert second.nonzero.shape == (6,)

    def test_a_change_in_place_makes_a_new_mask(self) -> None:
        cache, x = MaskCache(), torch.ones(2, 3)
        assert cache.mask_of(x).total == 6
        x[0] = 0
        assert cache.mask_of(x).total == 3

    def test_memory_used_again_is_not_mistaken(self) -> None:
        cache = MaskCache()
        gc.freeze()  # what earlier tests left would be searched at every turn
        for _ in range(20):
            assert cache.mask_of(torch.ones(1024)).total == 1024
            gc.collect()
            assert cache.mask_of(torch.zeros(1024)).total == 0
        gc.unfreeze()

    def test_a_transposed_view_has_a_mask_of_its_own(self) -> None:
        cache, x = MaskCache(), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
        assert cache.mask_of(x).nonzero.tolist() == [[True, False]] * 2
        assert cache.mask_of(x.t()).nonzero.tolist() == [[True, True], [False, False]]

    def test_inference_tensors_are_never_cached(self) -> None:
        cache = MaskCache()
        with torch.inference_mode():
            x: Tensor = torch.ones(4)
            assert cache.mask_of(x).total == 4
            x.zero_()
            assert cache.mask_of(x).total == 0
