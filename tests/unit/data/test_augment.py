"""Augmentation of batches of images."""

import torch
from hypothesis import given, strategies as st
from support.labelled_sets import shifted_slowly, views_of

from snnbench.data.augment import mirrored, shifted


@given(
    st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(3, 20), st.integers(3, 20)),
    st.integers(0, 2**31),
)
def test_shifting_equals_moving_pixel_by_pixel(shape, seed):
    images = torch.randint(256, shape, generator=torch.Generator().manual_seed(seed)).to(
        torch.uint8
    )
    views = views_of(shape[0], seed)
    assert torch.equal(shifted(images, views), shifted_slowly(images, views))


def test_the_largest_view_stays_inside():
    images = torch.arange(32 * 32, dtype=torch.float32).view(1, 1, 32, 32)
    corner = shifted(images, torch.full((1, 3), 1 - 2**-24))
    assert torch.equal(corner[0, 0, :28, :28], images[0, 0, 4:, 4:])
    assert not corner[0, 0, 28:].any()


def test_mirroring_below_a_half():
    images = torch.arange(6).view(1, 1, 2, 3).repeat(2, 1, 1, 1)
    found = mirrored(images, torch.tensor([[0.9, 0.9, 0.49], [0.1, 0.1, 0.5]]))
    assert found[0, 0].tolist() == [[2, 1, 0], [5, 4, 3]]
    assert torch.equal(found[1], images[1])
