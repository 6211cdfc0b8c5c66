from __future__ import annotations

import copy

import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from snnbench.nn.neuron import LIF
from snnbench.nn.norm import ThresholdDependentBatchNorm2d
from snnbench.train.fast.fused import spikes_of

sizes = st.integers(1, 5)


@st.composite
def cases(draw: st.DrawFn) -> dict[str, object]:
    return {
        "shape": (
            draw(st.integers(1, 9)),
            draw(sizes),
            draw(st.integers(1, 70)),
            *(draw(sizes) for _ in range(2)),
        ),
        "neuron": LIF(
            decay=draw(st.sampled_from([0.0, 0.25, 0.5, 1.0])),
            threshold=draw(st.floats(0.2, 2)),
            surrogate_width=draw(st.floats(0.1, 4)),
        ),
        "training": draw(st.booleans()),
        "second": draw(st.sampled_from(["none", "norm", "identity"])),
        "layout": draw(st.sampled_from(["rows", "images", "strided", "same"])),
        "seed": draw(st.integers(0, 2**31)),
    }


def leaf(shape: tuple[int, ...], layout: str) -> tuple[Tensor, Tensor]:
    """A tensor that wants gradients, and a view of it with another layout in memory."""
    if layout == "same":
        source = torch.randn(1, *shape[1:], dtype=torch.float64, requires_grad=True)
        return source, source.expand(shape)
    source = torch.randn(*shape, 2, dtype=torch.float64, requires_grad=True)
    view = source[..., 0]
    if layout == "rows":
        view = view.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
    return source, view.contiguous() if layout == "images" else view


@settings(max_examples=150)
@given(cases())
def test_equals_the_plain_layers(case: dict):
    torch.manual_seed(case["seed"])
    T, N, C, H, W = case["shape"]
    if T * N * H * W == 1:
        return
    norms = [ThresholdDependentBatchNorm2d(C, alpha=0.7).double() for _ in range(2)]
    for norm in norms:
        torch.nn.init.normal_(norm.weight, 1, 0.3)
        torch.nn.init.normal_(norm.bias, 0, 0.3)
        norm.running_mean.normal_()
        norm.train(case["training"])
    if case["second"] == "identity":
        norms[1] = None
    branches = 1 if case["second"] == "none" else 2
    leaves = [leaf(case["shape"], case["layout"]) for _ in range(branches)]
    weights = torch.randn(case["shape"], dtype=torch.float64)
    found = []
    for fused in (True, False):
        mine = copy.deepcopy(norms[:branches])
        currents = [view for _, view in leaves]
        if fused:
            spikes = spikes_of(currents, mine, case["neuron"].spec)
        else:
            spikes = case["neuron"](
                sum(
                    # PyTorch's own batch norm mixes up positions in evaluation mode where sizes
                    # of 1 let an input pass for both layouts (its gradients, torch 2.13)
                    x if norm is None else norm(x.flatten(0, 1).contiguous()).view(x.shape)
                    for x, norm in zip(currents, mine, strict=True)
                )
            )
        parameters = [p for norm in mine if norm is not None for p in norm.parameters()]
        sources = [source for source, _ in leaves]
        grads = torch.autograd.grad(
            (spikes * weights).sum(), [*sources, *parameters], retain_graph=True
        )
        buffers = [b for norm in mine if norm is not None for b in norm.buffers()]
        found.append([spikes.detach(), *grads, *buffers])
    for got, want in zip(*found, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-8, atol=1e-8)
