"""Brute-force operation counts: loops over every tap and output position, nothing clever.

The oracle of the counting tests. It shares no code with ``snnbench.count`` and reads only what a
definition needs: the values that went in, the shape of the weight and the layer's hyperparameters.
The only vectorised steps are counting the non-zero channels at one input position and multiplying
by the number of outputs they reach there.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from snnbench.results.counts import Alphabet, AlphabetKind

Array = npt.NDArray[np.float64]
Padding = Sequence[tuple[int, int]]

PAD_MODES = {"circular": "wrap", "reflect": "reflect", "replicate": "edge"}


@dataclass(frozen=True)
class Count:
    """Operations of one call.

    Attributes:
        dense: Every synapse, padding taps included.
        in_image: Taps on real input (transposed: real output) elements.
        effective: Of those, taps on non-zero inputs, per entry of the leading dimension, [B].
        outputs: Output elements.
    """

    dense: int
    in_image: int
    effective: tuple[int, ...]
    outputs: int


def values(tensor: torch.Tensor) -> Array:
    """The tensor's values in float64, whatever its precision, device and grad mode."""
    array: Array = tensor.detach().cpu().double().numpy()
    return array


def alphabet(tensors: Iterable[torch.Tensor]) -> Alphabet:
    """Alphabet of all values together, by listing the distinct ones."""
    seen = {float(v) for tensor in tensors for v in np.unique(values(tensor))} - {0.0}
    if not seen:
        return Alphabet()
    if len(seen) == 1:
        return Alphabet(kind=AlphabetKind.BINARY, scale=seen.pop())
    if len(seen) == 2 and sum(seen) == 0.0:
        return Alphabet(kind=AlphabetKind.TERNARY, scale=max(seen))
    return Alphabet(kind=AlphabetKind.DENSE)


def _positions(shape: Sequence[int]) -> Iterator[tuple[int, ...]]:
    return itertools.product(*(range(size) for size in shape))


def _inside(position: Sequence[int], shape: Sequence[int]) -> bool:
    return all(0 <= p < size for p, size in zip(position, shape, strict=True))


def _nonzero_channels(x: Array, position: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Non-zero channels at one position of [B, C, *S], per entry of B."""
    index: tuple[slice | int, ...] = (slice(None), slice(None), *position)
    return np.asarray(np.count_nonzero(x[index], axis=1), dtype=np.int64)


def convolution(
    x: Array,
    weight_shape: Sequence[int],
    *,
    stride: Sequence[int],
    padding: Padding,
    dilation: Sequence[int],
    groups: int,
) -> Count:
    """Triples (input element, tap, output position) of a convolution.

    Args:
        x: Input without its zero padding, [B, C_in, *S].
        weight_shape: [C_out, C_in / groups, *K].
        stride: Per axis.
        padding: Zeros (before, after) per axis.
        dilation: Per axis.
        groups: Channel groups.
    """
    batch, c_in, *size = x.shape
    c_out, _, *kernel = weight_shape
    out = [
        (n + lo + hi - d * (k - 1) - 1) // s + 1
        for n, (lo, hi), d, k, s in zip(size, padding, dilation, kernel, stride, strict=True)
    ]
    fan_out = c_out // groups
    dense = in_image = 0
    effective = np.zeros(batch, dtype=np.int64)
    for o, k in itertools.product(_positions(out), _positions(kernel)):
        dense += batch * c_in * fan_out
        source = tuple(
            oi * s - lo + ki * d
            for oi, s, (lo, _), ki, d in zip(o, stride, padding, k, dilation, strict=True)
        )
        if _inside(source, size):
            in_image += batch * c_in * fan_out
            effective += _nonzero_channels(x, source) * fan_out
    return Count(dense, in_image, tuple(effective.tolist()), batch * c_out * math.prod(out))


def transposed_convolution(
    x: Array,
    weight_shape: Sequence[int],
    *,
    stride: Sequence[int],
    padding: Sequence[int],
    output_padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Count:
    """Triples (input element, tap, output position) of a transposed convolution.

    Args:
        x: Input, [B, C_in, *S].
        weight_shape: [C_in, C_out / groups, *K].
        stride: Per axis.
        padding: Outputs cropped on both sides, per axis.
        output_padding: Outputs added at the far side, per axis.
        dilation: Per axis.
        groups: Channel groups.
    """
    batch, c_in, *size = x.shape
    fan_out, kernel = weight_shape[1], weight_shape[2:]
    out = [
        (n - 1) * s - 2 * p + d * (k - 1) + op + 1
        for n, s, p, d, k, op in zip(
            size, stride, padding, dilation, kernel, output_padding, strict=True
        )
    ]
    in_image = 0
    effective = np.zeros(batch, dtype=np.int64)
    for i, k in itertools.product(_positions(size), _positions(kernel)):
        target = tuple(
            ii * s - p + ki * d
            for ii, s, p, ki, d in zip(i, stride, padding, k, dilation, strict=True)
        )
        if _inside(target, out):
            in_image += batch * c_in * fan_out
            effective += _nonzero_channels(x, i) * fan_out
    dense = batch * c_in * math.prod(size) * fan_out * math.prod(kernel)
    outputs = batch * fan_out * groups * math.prod(out)
    return Count(dense, in_image, tuple(effective.tolist()), outputs)


def linear(x: Array, out_features: int) -> Count:
    """Pairs (input element, output) of a linear map of the last dimension, x: [B, ..., K]."""
    per_entry = tuple(int(np.count_nonzero(entry)) * out_features for entry in x)
    rows = x.size // x.shape[-1]
    return Count(x.size * out_features, x.size * out_features, per_entry, rows * out_features)


def product(a: Array, b: Array) -> Count:
    """Pairs of a batched matrix product of two activations, a: [B, M, K], b: [B, K, N]."""
    _, M, K = a.shape
    N = b.shape[-1]
    effective = [
        sum(
            bool(left[m, k]) and bool(right[k, n])
            for m, k, n in itertools.product(range(M), range(K), range(N))
        )
        for left, right in zip(a, b, strict=True)
    ]
    dense = len(effective) * M * K * N
    return Count(dense, dense, tuple(effective), len(effective) * M * N)


def pool_taps(
    shape: Sequence[int],
    kernel: Sequence[int],
    *,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    out: Sequence[int],
) -> int:
    """Window taps on real elements of a pool, shape: [B, C, *S], ``out``: its output's [*S]."""
    planes, size = shape[0] * shape[1], shape[2:]
    taps = 0
    for o, k in itertools.product(_positions(out), _positions(kernel)):
        source = [
            oi * s - p + ki * d
            for oi, s, p, ki, d in zip(o, stride, padding, k, dilation, strict=True)
        ]
        taps += _inside(source, size)
    return taps * planes


def adaptive_pool_taps(shape: Sequence[int], out: Sequence[int]) -> int:
    """Elements in the windows of an adaptive pool, which may overlap, shape: [B, C, *S]."""
    planes, size = shape[0] * shape[1], shape[2:]
    windows = [
        sum(math.ceil((i + 1) * n / o) - i * n // o for i in range(o))
        for n, o in zip(size, out, strict=True)
    ]
    return planes * math.prod(windows)


def _pairs(value: int | Sequence[int], axes: int) -> tuple[int, ...]:
    return (value,) * axes if isinstance(value, int) else tuple(value)


def _zeros_around(module: nn.modules.conv._ConvNd) -> list[tuple[int, int]]:
    if module.padding == "valid":
        return [(0, 0)] * len(module.kernel_size)
    if module.padding == "same":
        totals = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
        return [(total // 2, total - total // 2) for total in totals]
    return [(int(p), int(p)) for p in module.padding]


def of_convolution(module: nn.modules.conv._ConvNd, x: torch.Tensor) -> Count:
    """Count of a convolution module of either direction on one input, [B, C, *S]."""
    array, shape = values(x), tuple(module.weight.shape)
    if module.transposed:
        return transposed_convolution(
            array,
            shape,
            stride=module.stride,
            padding=[int(p) for p in module.padding],
            output_padding=module.output_padding,
            dilation=module.dilation,
            groups=module.groups,
        )
    padding = _zeros_around(module)
    if module.padding_mode != "zeros":
        array = np.pad(array, [(0, 0), (0, 0), *padding], mode=PAD_MODES[module.padding_mode])  # type: ignore[call-overload]
        padding = [(0, 0)] * len(padding)
    return convolution(
        array,
        shape,
        stride=module.stride,
        padding=padding,
        dilation=module.dilation,
        groups=module.groups,
    )


def of_linear(module: nn.Linear, x: torch.Tensor) -> Count:
    """Count of a linear module on one input, [B, ..., K]."""
    return linear(values(x), module.out_features)


def of_synapse(module: nn.Module, x: torch.Tensor) -> Count:
    """Count of a convolution or linear module on one input."""
    if isinstance(module, nn.Linear):
        return of_linear(module, x)
    assert isinstance(module, nn.modules.conv._ConvNd), type(module)
    return of_convolution(module, x)


def of_pool(module: nn.Module, x: torch.Tensor, y: torch.Tensor) -> int:
    """Taps of an average, max or adaptive average pool module, x: [B, C, *S]."""
    axes = x.ndim - 2
    if isinstance(module, nn.modules.pooling._AdaptiveAvgPoolNd):
        return adaptive_pool_taps(x.shape, y.shape[2:])
    return pool_taps(
        x.shape,
        _pairs(module.kernel_size, axes),  # type: ignore[arg-type]
        stride=_pairs(module.stride, axes),  # type: ignore[arg-type]
        padding=_pairs(module.padding, axes),  # type: ignore[arg-type]
        dilation=_pairs(getattr(module, "dilation", 1), axes),
        out=y.shape[2:],
    )
