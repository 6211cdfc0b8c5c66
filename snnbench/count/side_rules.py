"""Counting rules of work outside synapses: normalisation, additions, products, pools."""

from __future__ import annotations

import math

from snnbench.count.audit import Audit, Operation
from snnbench.count.fanout import adaptive_pool_taps, fanouts
from snnbench.count.rules import per_axis, rule


@rule("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training")
@rule("_batch_norm_with_update", "_batch_norm_no_update", "cudnn_batch_norm")
@rule("native_layer_norm", "native_group_norm", "_fused_rms_norm")
def normalisation(audit: Audit, op: Operation) -> None:
    """Count one scale and shift per element."""
    audit.add_side("norm_ops", op.args[0].numel())


@rule("add", "sub", "add_", "sub_", "rsub")
@rule("index_add", "index_add_", "scatter_add", "scatter_add_")
def addition(audit: Audit, op: Operation) -> None:
    """Count an elementwise addition of two tensors: a bias if one is a weight, else a residual."""
    if _elementwise_pair(op):
        if any(map(audit.is_weight, op.tensors)):
            audit.add_bias(op.out.numel())
        else:
            audit.add_side("residual_adds", op.out.numel())


@rule("mul", "div", "mul_", "div_", "glu")
def multiplication(audit: Audit, op: Operation) -> None:
    """Count a product of two tensors (gate, scale, mask); ``glu`` gates its input with a half."""
    if _elementwise_pair(op) or op.packet == "glu":
        audit.add_side("elementwise_muls", op.out.numel())


@rule("addcmul", "addcmul_", "addcdiv", "addcdiv_", "lerp", "lerp_")
def multiply_and_add(audit: Audit, op: Operation) -> None:
    """Count an elementwise product and addition in one operation."""
    audit.add_side("elementwise_muls", op.out.numel())
    audit.add_side("residual_adds", op.out.numel())


def _elementwise_pair(op: Operation) -> bool:
    """Tell whether two floating-point tensors meet, neither of them a scalar."""
    tensors = [t for t in op.tensors if t.is_floating_point() and t.dim()]
    return len(tensors) > 1


@rule("sum", "nansum", "mean", "cumsum", "cumsum_", "var", "var_mean", "std", "std_mean", "prod")
@rule("linalg_vector_norm", "norm", "dist", "logcumsumexp", "cumprod", "col2im")
@rule("mse_loss", "smooth_l1_loss", "huber_loss", "nll_loss_forward", "nll_loss2d_forward")
@rule("binary_cross_entropy", "binary_cross_entropy_with_logits")
def reduction(audit: Audit, op: Operation) -> None:
    """Count the elements that enter a reduction."""
    if op.args[0].is_floating_point():
        audit.add_side("pool_ops", op.args[0].numel())


@rule("avg_pool1d", "avg_pool2d", "avg_pool3d", "max_pool1d", "max_pool2d", "max_pool3d")
@rule("max_pool2d_with_indices", "max_pool3d_with_indices", "mkldnn_max_pool2d")
def pool(audit: Audit, op: Operation) -> None:
    """Count the taps of a pool's windows inside the image."""
    x, kernel, *rest = op.args
    out = op.out[0] if isinstance(op.out, tuple) else op.out
    is_max = "max_pool" in op.packet
    axes = int(op.packet.split("pool")[1][0])
    kernel = per_axis(kernel, axes)
    stride = per_axis(rest[0], axes) if rest and rest[0] else kernel
    padding = per_axis(rest[1], axes) if len(rest) > 1 else (0,) * axes
    dilation = per_axis(rest[2], axes) if is_max and len(rest) > 2 else (1,) * axes
    inside = fanouts(
        inputs=x.shape[-axes:],
        outputs=out.shape[-axes:],
        kernel=kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
    )
    taps = math.prod(int(fanout.sum()) for fanout in inside)
    audit.add_side("pool_ops", math.prod(x.shape[:-axes]) * taps)


@rule("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_max_pool2d", "adaptive_max_pool3d")
def adaptive_pool(audit: Audit, op: Operation) -> None:
    """Count the taps of an adaptive pool's windows."""
    x = op.args[0]
    out = op.out[0] if isinstance(op.out, tuple) else op.out
    axes = 3 if op.packet.endswith("3d") else 2
    taps = adaptive_pool_taps(x.shape[-axes:], out.shape[-axes:])
    audit.add_side("pool_ops", math.prod(x.shape[:-axes]) * taps)
