"""Hypothesis strategies for networks whose operations the tests predict.

Every layer the counter has a rule for can appear, with any hyperparameters torch accepts, on one to
three axes, run as a loop over T or as one multi-step call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from support.toynets import (
    LIF,
    FunctionalConv,
    Multistep,
    Residual,
    Stepwise,
    ZeroPadded,
    exact_weights,
)

Shape = tuple[int, ...]
Layers = tuple[Callable[..., nn.Module], ...]

CONVS: Layers = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED: Layers = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
AVERAGE: Layers = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
ADAPTIVE: Layers = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
MAXIMUM: Layers = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
NORMS: Layers = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


ARRANGEMENTS = ("loop", "TN", "TN flat", "NT", "NT flat")


@dataclass(frozen=True)
class Case:
    """A network, its inputs and how to run it.

    Attributes:
        layers: In order, ending in a neuron.
        inputs: One [T, N, C, *S] per model call.
        arrangement: Loop over T inside the model, or multi-step with time or batch first, the
            model's input flattened to [T * N, ...] or not.
        layout: As given to ``profile``.
        mode: Gradient mode.
        train: Whether the layers are in training mode.
        dense: Whether to count as an ANN.
    """

    layers: list[nn.Module]
    inputs: list[Tensor]
    arrangement: str
    layout: Literal["auto", "step", "TN", "NT"]
    mode: str
    train: bool
    dense: bool

    def model(self, x: Tensor) -> nn.Module:
        """The network for inputs like ``x``; equal arrangements share their layers."""
        if self.arrangement == "loop":
            return Stepwise(self.layers)
        lead = tuple(self.order(x).shape[:2])
        flat = self.arrangement.endswith("flat")
        return Multistep(self.layers, (lead[0], lead[1]) if flat else None)

    def order(self, x: Tensor) -> Tensor:
        """[T, N, ...] with the leading axes in the order the layers see them."""
        return x.transpose(0, 1) if self.arrangement.startswith("NT") else x

    def arrange(self, x: Tensor) -> Tensor:
        """[T, N, ...] as the model's input."""
        x = self.order(x)
        return x.flatten(0, 1) if self.arrangement.endswith("flat") else x

    def frames(self, module: nn.Module, seen: list[Tensor], x: Tensor) -> list[Tensor]:
        """T tensors [N, ...]: what ``module`` saw during the model call on ``x``."""
        if self.arrangement == "loop":
            return seen
        (whole,) = seen
        lead = self.order(x).shape[:2]
        whole = whole if isinstance(module, LIF) else whole.reshape(*lead, *whole.shape[1:])
        return list(self.order(whole))


def _axes(draw: st.DrawFn, shape: Shape, low: int, high: int) -> Shape:
    return tuple(draw(st.integers(low, high)) for _ in shape[1:])


def _kernel(draw: st.DrawFn, shape: Shape) -> Shape:
    return tuple(draw(st.integers(1, min(3, size))) for size in shape[1:])


def _conv(draw: st.DrawFn, shape: Shape) -> nn.Module:
    groups = draw(st.sampled_from([g for g in (1, 2, 3) if shape[0] % g == 0]))
    kernel = _kernel(draw, shape)
    padding: str | Shape = draw(st.sampled_from(["same", "valid", "numbers", "numbers"]))
    stride = (1,) * len(kernel) if padding == "same" else _axes(draw, shape, 1, 3)
    dilation = tuple(
        1 if k == 1 else draw(st.integers(1, max(1, (size - 1) // (k - 1))))
        for k, size in zip(kernel, shape[1:], strict=True)
    )
    if padding == "numbers":
        padding = tuple(draw(st.integers(0, min(2, size - 1))) for size in shape[1:])
    return CONVS[len(shape) - 2](
        shape[0],
        groups * draw(st.integers(1, 2)),
        kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        bias=draw(st.booleans()),
        padding_mode=draw(
            st.sampled_from(["zeros", "zeros", "zeros", "circular", "reflect", "replicate"])
        ),
    )


def _transposed(draw: st.DrawFn, shape: Shape) -> nn.Module:
    groups = draw(st.sampled_from([g for g in (1, 2, 3) if shape[0] % g == 0]))
    stride = _axes(draw, shape, 1, 3)
    dilation = _axes(draw, shape, 1, 2)
    return TRANSPOSED[len(shape) - 2](
        shape[0],
        groups * draw(st.integers(1, 2)),
        _kernel(draw, shape),
        stride=stride,
        padding=_axes(draw, shape, 0, 1),
        output_padding=tuple(
            draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)
        ),
        dilation=dilation,
        groups=groups,
        bias=draw(st.booleans()),
    )


def _linear(draw: st.DrawFn, shape: Shape) -> nn.Module:
    linear = nn.Linear(shape[-1], draw(st.integers(1, 4)), bias=draw(st.booleans()))
    return linear if draw(st.booleans()) else nn.Sequential(nn.Identity(), linear)


def _lif(draw: st.DrawFn, shape: Shape) -> nn.Module:
    return LIF(height=draw(st.sampled_from([1.0, 1.0, 0.25, -2.0])), signed=draw(st.booleans()))


def _average(draw: st.DrawFn, shape: Shape) -> nn.Module:
    kernel = _kernel(draw, shape)
    return AVERAGE[len(shape) - 2](
        kernel,
        stride=_axes(draw, shape, 1, 3),
        padding=tuple(draw(st.integers(0, k // 2)) for k in kernel),
        ceil_mode=draw(st.booleans()),
    )


def _maximum(draw: st.DrawFn, shape: Shape) -> nn.Module:
    kernel = _kernel(draw, shape)
    return MAXIMUM[len(shape) - 2](
        kernel,
        stride=_axes(draw, shape, 1, 3),
        padding=tuple(draw(st.integers(0, k // 2)) for k in kernel),
        ceil_mode=draw(st.booleans()),
    )


def _adaptive(draw: st.DrawFn, shape: Shape) -> nn.Module:
    return ADAPTIVE[len(shape) - 2](_axes(draw, shape, 1, 3))


def _norm(draw: st.DrawFn, shape: Shape) -> nn.Module:
    # zero mean, unit variance and eps 0: a scale and shift by quarters, exact in float32
    return NORMS[len(shape) - 2](shape[0], eps=0.0).eval()


def _residual(draw: st.DrawFn, shape: Shape) -> nn.Module:
    size = draw(st.sampled_from([1, 3]))
    conv = CONVS[len(shape) - 2]
    body = conv(shape[0], shape[0], size, padding=size // 2, bias=draw(st.booleans()))
    return Residual(body, conv(shape[0], shape[0], 1) if draw(st.booleans()) else None)


def _functional(draw: st.DrawFn, shape: Shape) -> nn.Module:
    return FunctionalConv(shape[0], draw(st.integers(1, 3)), _kernel(draw, shape))


def _zero_padded(draw: st.DrawFn, shape: Shape) -> nn.Module:
    conv = CONVS[len(shape) - 2](shape[0], 2, _kernel(draw, shape), padding=draw(st.integers(0, 1)))
    before, after = draw(st.integers(-1, 2)), draw(st.integers(-1, 2))
    return ZeroPadded(conv, before, after, len(shape) - 1)


BUILDERS: tuple[Callable[[st.DrawFn, Shape], nn.Module], ...] = (
    _conv,
    _conv,
    _conv,
    _transposed,
    _transposed,
    _linear,
    _lif,
    _lif,
    _average,
    _maximum,
    _adaptive,
    _norm,
    _residual,
    _functional,
    _zero_padded,
)


def _output_shape(layer: nn.Module, shape: Shape) -> Shape | None:
    """Shape after the layer, [C, *S]; ``None`` if torch refuses or the result is too large."""
    if isinstance(layer, LIF):
        return shape
    try:
        with torch.no_grad():
            out = tuple(layer(torch.zeros(1, *shape)).shape[1:])
    except RuntimeError:
        return None
    return out if 0 < torch.Size(out).numel() <= 200 else None


def _values(draw: st.DrawFn, shape: Shape) -> Tensor:
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**20)))
    kind = draw(st.sampled_from(["binary", "scaled", "ternary", "graded", "real", "zero"]))
    if kind == "zero":
        return torch.zeros(shape)
    if kind == "real":
        return torch.randint(-64, 65, shape, generator=generator) / 64
    low, high = {"ternary": (-1, 2), "graded": (0, 4)}.get(kind, (0, 2))
    height = 1.0 if kind == "binary" else draw(st.sampled_from([1.0, 0.5, 3.0, -0.25]))
    return torch.randint(low, high, shape, generator=generator) * height


@st.composite
def synapses_with_input(draw: st.DrawFn) -> tuple[nn.Module, Tensor]:
    """A convolution of either direction on one or two axes, and an input it accepts."""
    shape = (2, *(draw(st.integers(2, 4)) for _ in range(draw(st.integers(1, 2)))))
    layer = draw(st.sampled_from([_conv, _transposed]))(draw, shape)
    if _output_shape(layer, shape) is None:
        layer = CONVS[len(shape) - 2](2, 2, 1)
    return layer, _values(draw, (2, *shape))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A network of one to five layers with one or two input batches."""
    axes = draw(st.sampled_from([1, 1, 2, 2, 2, 3]))
    shape: Shape = (
        draw(st.integers(1, 3)),
        *(draw(st.integers(2, 3 if axes == 3 else 5)) for _ in range(axes)),
    )
    T, input_shape = draw(st.integers(1, 3)), shape
    layers: list[nn.Module] = []
    for _ in range(draw(st.integers(1, 4))):
        layer = draw(st.sampled_from(BUILDERS))(draw, shape)
        after = _output_shape(layer, shape)
        if after is not None:
            layers.append(layer)
            shape = after
    layers.append(LIF())
    exact_weights(nn.ModuleList(layers), seed=draw(st.integers(0, 2**20)))
    arrangement = draw(st.sampled_from(ARRANGEMENTS))
    for layer in layers:
        if isinstance(layer, LIF):
            layer.time_axis = {"loop": None, "TN": 0, "NT": 1}[arrangement[:4].split()[0]]
    declared: Literal["step", "TN", "NT"] = (
        "step" if arrangement == "loop" else "NT" if arrangement[0] == "N" else "TN"
    )
    batches = draw(st.lists(st.integers(1, 3), min_size=1, max_size=2))
    if arrangement.endswith("flat"):
        batches = batches[:1] * len(batches)
    # shapes alone tell a loop and [T, N, ...] apart from the rest, once there is more than one step
    told_by_shapes = T > 1 and arrangement in {"loop", "TN"}
    return Case(
        layers=layers,
        inputs=[_values(draw, (T, N, *input_shape)) for N in batches],
        arrangement=arrangement,
        layout=draw(st.sampled_from(["auto", declared])) if told_by_shapes else declared,
        mode=draw(st.sampled_from(["grad", "no_grad", "inference_mode"])),
        train=draw(st.booleans()),
        dense=draw(st.sampled_from([False, False, False, True])),
    )
