import numpy as np
import pytest
import torch

from snnbench.engine.kernels import masks


def test_bit_b_of_word_i_is_channel_16_i_plus_b():
    spikes = torch.zeros(1, 1, 40, 1, 1)
    spikes[0, 0, [0, 3, 15, 16, 31, 39]] = 1
    packed = masks.pack(spikes)
    # word 0: channels 0, 3, 15; word 1: channels 16, 31; word 2: channel 39 is bit 7
    assert packed.shape == (1, 1, 1, 1, 3)
    assert packed.dtype == np.uint16
    assert packed.reshape(-1).tolist() == [1 + 8 + 0x8000, 1 + 0x8000, 1 << 7]


def test_axes_are_time_sample_row_column_word():
    spikes = torch.zeros(2, 3, 1, 4, 5)
    spikes[1, 2, 0, 3, 4] = 1
    packed = masks.pack(spikes)
    assert packed.shape == (2, 3, 4, 5, 1)
    assert np.argwhere(packed).tolist() == [[1, 2, 3, 4, 0]]


def test_features_are_an_image_of_one_site():
    spikes = torch.zeros(2, 1, 17)
    spikes[1, 0, 16] = 1
    packed = masks.pack(spikes)
    assert packed.shape == (2, 1, 1, 1, 2)
    assert packed[1, 0, 0, 0].tolist() == [0, 1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bool, torch.int64])
def test_whatever_is_not_zero_is_a_spike(dtype: torch.dtype):
    spikes = torch.tensor([[[1, 0, 1]]]).to(dtype)
    assert masks.pack(spikes).reshape(-1).tolist() == [0b101]


@pytest.mark.parametrize("channels", [1, 15, 16, 17, 32, 33, 100])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_unpack_undoes_pack(channels: int, dtype: torch.dtype):
    generator = torch.Generator().manual_seed(channels)
    spikes = (torch.rand(2, 3, channels, 4, 5, generator=generator) < 0.5).to(dtype)
    packed = masks.pack(spikes)
    assert packed.shape[-1] == masks.words(channels) == (channels + 15) // 16
    back = masks.unpack(packed, channels, dtype)
    assert back.dtype == dtype
    assert torch.equal(back, spikes)
    assert back.stride(2) == 1  # channels last


def test_strided_spikes_pack_like_contiguous_ones():
    spikes = (torch.rand(2, 2, 6, 5, 20, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    turned = spikes.movedim(-1, 2)
    assert np.array_equal(masks.pack(turned), masks.pack(turned.contiguous()))


@pytest.mark.parametrize("shape", [(0, 2, 3, 4, 4), (2, 0, 3, 4, 4), (2, 0, 3)])
def test_nothing_packs_to_nothing(shape: tuple[int, ...]):
    packed = masks.pack(torch.zeros(shape))
    assert packed.size == 0
    assert packed.shape[:2] == shape[:2]
    assert masks.unpack(packed, 3, torch.float32).shape[:3] == shape[:3]
