"""What one neuron step computes and adds, for all kinds of currents and weight formats."""

from __future__ import annotations

import pytest
import torch
from support.engine_cases import FORMATS, Case, Convolution, Pair, check, real, spikes, weights

every_format = pytest.mark.parametrize("weights_dtype", FORMATS)
both_threads = pytest.mark.parametrize("threads", [1, 2])


@every_format
@pytest.mark.parametrize("kernel", [(1, 1), (2, 2), (3, 3), (5, 5), (7, 7), (1, 3), (4, 1), (7, 2)])
def test_kernels_and_strides(weights_dtype: str, kernel: Pair):
    for index, stride in enumerate([(1, 1), (2, 2), (3, 3), (1, 3), (3, 2)]):
        conv = Convolution(
            spikes(3, 2, 5, 9, 8, seed=index),
            weights(weights_dtype, 6, 5, *kernel, seed=index),
            stride=stride,
            padding=(kernel[0] // 2, kernel[1] // 2),
        )
        check(Case(convs=[conv]), weights_dtype, threads=1 + index % 2)


@pytest.mark.parametrize("padding", [(0, 0), (1, 1), (9, 0), (2, 5)])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (4, 6)])
def test_padding_beyond_the_kernel(padding: Pair, size: Pair):
    for kernel in [(1, 1), (2, 3), (3, 3)]:
        if min(size[i] + 2 * padding[i] - kernel[i] for i in range(2)) < 0:
            continue
        for stride in [(1, 1), (2, 3), (5, 4)]:
            conv = Convolution(
                spikes(2, 2, 3, *size, rate=0.6),
                weights("float32", 4, 3, *kernel),
                stride=stride,
                padding=padding,
            )
            check(Case(convs=[conv]))


@every_format
@pytest.mark.parametrize("inputs", [1, 16, 17, 33])
@pytest.mark.parametrize("outputs", [1, 17, 33, 100])
def test_channels_that_fill_no_word_and_no_block(weights_dtype: str, inputs: int, outputs: int):
    conv = Convolution(
        spikes(2, 1, inputs, 3, 4), weights(weights_dtype, outputs, inputs, 3, 3), padding=(1, 1)
    )
    check(Case(convs=[conv]), weights_dtype)


@every_format
@both_threads
def test_several_blocks_of_input_channels(weights_dtype: str, threads: int):
    conv = Convolution(
        spikes(2, 2, 300, 3, 3, rate=0.2), weights(weights_dtype, 40, 300, 3, 3), padding=(1, 1)
    )
    case = Case(convs=[conv], threshold=4.0)
    packed = case.kernel(weights_dtype, threads)
    assert len(packed.pass_layers) > 1
    check(case, weights_dtype, threads)


@every_format
def test_more_rows_than_fit_int16_at_once(weights_dtype: str):
    # all fire and every weight is the largest: the sum of 144 rows leaves int16 far behind
    weight = torch.full((3, 16, 3, 3), 2047 / 2048 if weights_dtype == "int16" else 1.0)
    weight[1] = -weight[1]
    conv = Convolution(torch.ones(1, 1, 16, 3, 3), weight)
    case = Case(convs=[conv], threshold=143.0)
    expected = case.expected()
    assert expected.reshape(-1).int().tolist() == [1, 0, 1]  # 144, -144, 144 (times 2047 / 2048)
    check(case, weights_dtype)


@every_format
@both_threads
def test_linear_layers(weights_dtype: str, threads: int):
    conv = Convolution(spikes(4, 3, 100), weights(weights_dtype, 37, 100, 1, 1))
    check(Case(convs=[conv], vector=True), weights_dtype, threads)


@every_format
@both_threads
def test_all_currents_into_one_neuron_step(weights_dtype: str, threads: int):
    T, N, C, H, W = 3, 2, 20, 5, 6
    generator = torch.Generator().manual_seed(3)

    def eighths(*shape: int) -> torch.Tensor:
        return torch.randint(-8, 9, shape, generator=generator) / 8

    case = Case(
        convs=[
            Convolution(
                spikes(T, N, 7, H, W, seed=1), weights(weights_dtype, C, 7, 3, 3), padding=(1, 1)
            ),
            Convolution(
                spikes(T, N, 33, 2 * H, 2 * W, seed=2),
                weights(weights_dtype, C, 33, 1, 1, seed=4),
                stride=(2, 2),
            ),
        ],
        scales=[
            (spikes(T, N, C, H, W, seed=5), eighths(C)),
            (spikes(T, N, C, H, W, seed=6), eighths(C)),
        ],
        dense=[eighths(T, N, C, H, W).to(real(weights_dtype)), eighths(N, C, H, W)],
        bias=eighths(C),
    )
    check(case, weights_dtype, threads)


@pytest.mark.parametrize("parts", ["scale", "two scales", "static", "moving", "both", "all"])
@pytest.mark.parametrize("vector", [False, True])
def test_steps_without_convolutions(parts: str, vector: bool):
    T, N, C = 3, 2, 19
    size = () if vector else (4, 3)
    generator = torch.Generator().manual_seed(0)

    def halves(*shape: int) -> torch.Tensor:
        return torch.randint(-4, 5, shape, generator=generator) / 2

    scales = [(spikes(T, N, C, *size, seed=seed), halves(C)) for seed in (1, 2)]
    moving, static = halves(T, N, C, *size), halves(N, C, *size)
    case = Case(
        scales={"scale": scales[:1], "two scales": scales, "all": scales}.get(parts, ()),
        dense={
            "static": [static, halves(T, N, C, *size)],
            "moving": [moving],
            "both": [moving, static],
            "all": [static, moving],
        }.get(parts, ()),
        bias=0.5,
        vector=vector,
    )
    check(case)
