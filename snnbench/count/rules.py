"""Counting rules, one per operation of the dispatcher.

Three things differ: a rule, an operation declared free (``free.py``), and absence, which is listed
as uncounted. Register a rule for another operation with ``@rule("name")``; a name registered twice
raises.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from snnbench.count.alphabet import Counts, Mask, count_axis
from snnbench.count.audit import Audit, Operation, Rule
from snnbench.count.fanout import ConvGeometry, adaptive_pool_taps, axis_fanout
from snnbench.count.ledger import Row
from snnbench.records import DENSE

RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register a counting rule for the dispatcher's operations ``names``.

    Raises:
        ValueError: One of them has a rule already.
    """

    def register(function: Rule) -> Rule:
        for name in names:
            if name in RULES:
                msg = f"operation {name!r} has a counting rule already"
                raise ValueError(msg)
            RULES[name] = function
        return function

    return register


def _per_axis(value: Sequence[int] | int, axes: int) -> tuple[int, ...]:
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * axes if len(values) == 1 else values


# -- convolutions --


@rule("convolution", "_convolution", "convolution_overrideable")
def convolution(audit: Audit, op: Operation) -> None:
    """Convolutions of 1 to 3 axes, transposed, dilated and grouped ones included."""
    x, weight, bias, stride, padding, dilation, transposed, _, groups = op.args[:9]
    axes = weight.dim() - 2
    geometry = ConvGeometry(
        batch=x.shape[0],
        in_channels=x.shape[1],
        out_channels=op.out.shape[1],
        groups=groups,
        inputs=tuple(x.shape[2:]),
        outputs=tuple(op.out.shape[2:]),
        kernel=tuple(weight.shape[2:]),
        stride=_per_axis(stride, axes),
        padding=_per_axis(padding, axes),
        dilation=_per_axis(dilation, axes),
        transposed=transposed,
        zero_margin=audit.zero_margins.get(x, ((0, 0),) * axes)[-axes:],
    )
    row = audit.synapse_row(op, weight, tuple(weight.shape))
    mask = audit.mask_of(x)
    row.see_input(mask)
    audit.add_synops(
        row,
        (x.shape[0],),
        dense=geometry.dense,
        in_image=geometry.in_image,
        effective=geometry.effective(count_axis(mask.nonzero, 1)),
    )
    if bias is not None:
        row.side["bias_adds"] += op.out.numel()


@rule("constant_pad_nd")
def constant_pad(audit: Audit, op: Operation) -> None:
    """Remember zeros written around a tensor: a convolution of it has them as padding."""
    x, pad = op.args[0], op.args[1]
    value = op.args[2] if len(op.args) > 2 else 0
    if value == 0:
        margins = [(0, 0)] * x.dim()
        for i in range(len(pad) // 2):
            margins[-1 - i] = (pad[2 * i], pad[2 * i + 1])
        audit.zero_margins[op.out] = tuple(margins)


# -- matrix products --


@rule("mm", "mv", "dot", "vdot", "bmm")
def product(audit: Audit, op: Operation) -> None:
    """Products without a bias."""
    _product(audit, op, op.args[0], op.args[1])


@rule("addmm", "addmv", "baddbmm", "addbmm", "addmm_", "addmv_", "baddbmm_", "addbmm_")
@rule("_addmm_activation")
def product_with_addend(audit: Audit, op: Operation) -> None:
    """Products with an addend: a bias if it is a weight, else an addition of activations."""
    addend, a, b = op.args[:3]
    _product(audit, op, a, b)
    if audit.is_weight(addend):
        _synapse_row(audit, op, a, b).side["bias_adds"] += op.out.numel()
    else:
        audit.add_side("residual_adds", op.out.numel())


def _synapse_row(audit: Audit, op: Operation, a: Tensor, b: Tensor) -> Row:
    weight = b if audit.is_weight(b) else a if audit.is_weight(a) else None
    return audit.synapse_row(op, weight, (a.shape[-1], b.shape[-1]))


def _product(audit: Audit, op: Operation, a: Tensor, b: Tensor) -> None:
    """``a @ b`` as [B, M, K] @ [B, K, N] of a weight and an input, or of two activations."""
    row = _synapse_row(audit, op, a, b)
    left = a.reshape(1, 1, -1) if a.dim() == 1 else a.reshape(-1, *a.shape[-2:])
    right = b.reshape(1, -1, 1) if b.dim() == 1 else b.reshape(-1, *b.shape[-2:])
    if audit.is_weight(b):
        _left_times_weight(audit, row, left, right.shape[2])
    elif audit.is_weight(a):
        _weight_times_right(audit, row, right, left.shape[1])
    else:
        _two_activations(audit, row, left, right)


def _left_times_weight(audit: Audit, row: Row, x: Tensor, columns: int) -> None:
    mask = audit.mask_of(x)
    row.see_input(mask)
    dense = x.numel() * columns
    effective = count_axis(mask.nonzero, 2).reshape(-1) * columns
    audit.add_synops(row, (len(effective),), dense=dense, in_image=dense, effective=effective)


def _weight_times_right(audit: Audit, row: Row, x: Tensor, rows: int) -> None:
    mask = audit.mask_of(x)
    row.see_input(mask)
    dense = x.numel() * rows
    effective = count_axis(mask.nonzero, 1) * rows
    # a lone matrix has its samples in columns
    effective = effective.reshape(-1) if len(effective) == 1 else effective.sum(axis=1)
    audit.add_synops(row, (len(effective),), dense=dense, in_image=dense, effective=effective)


def _two_activations(audit: Audit, row: Row, a: Tensor, b: Tensor) -> None:
    left, right = audit.mask_of(a), audit.mask_of(b)
    row.see_input(left)
    row.see_operand(right)
    dense = a.shape[0] * a.shape[1] * a.shape[2] * b.shape[2]
    effective = _pairs(left, right)
    if a.shape[0] == 1:  # a lone matrix has its samples in rows
        effective = left.nonzero[0].astype(np.int64) @ count_axis(right.nonzero, 2)[0]
    audit.add_synops(row, (len(effective),), dense=dense, in_image=dense, effective=effective)


def _pairs(left: Mask, right: Mask) -> Counts:
    """Non-zero pairs of [B, M, K] and [B, K, N] per matrix: sum over k of column x row counts."""
    pairs: Counts = (count_axis(left.nonzero, 1) * count_axis(right.nonzero, 2)).sum(axis=1)
    return pairs


# -- attention and recurrent layers that stay fused --


@rule(
    "scaled_dot_product_attention",
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
)
def attention(audit: Audit, op: Operation) -> None:
    """Fused attention as its two products, ``q k^T`` and ``softmax(...) v``.

    A key that the mask excludes has probability exactly 0 and costs nothing in the second product.
    """
    q, k, v = op.args[:3]
    k, v = (_repeat_heads(t, q) for t in (k, v))
    scores = audit.synapse_row(op, None, (0,))
    _two_activations(audit, scores, _flat(q), _flat(k).transpose(1, 2))
    values = audit.synapse_row(op, None, (1,))
    values.input_alphabet = DENSE
    probabilities = _attended(op, q, k)
    _two_activations(audit, values, _flat(probabilities), _flat(v))


def _repeat_heads(t: Tensor, q: Tensor) -> Tensor:
    """Grouped queries share keys and values: one of them stands for several heads."""
    if t.dim() > 2 and t.shape[-3] != q.shape[-3]:
        t = t.repeat_interleave(q.shape[-3] // t.shape[-3], dim=-3)
    return t.expand(*q.shape[:-2], *t.shape[-2:])


def _flat(t: Tensor) -> Tensor:
    return t.reshape(-1, *t.shape[-2:])


def _attended(op: Operation, q: Tensor, k: Tensor) -> Tensor:
    """Pattern of the attention probabilities: 1 where attended, else 0."""
    length, keys = q.shape[-2], k.shape[-2]
    pattern = q.new_ones(*q.shape[:-2], length, keys)
    mask = op.kwargs.get("attn_mask")
    if mask is None and op.packet == "scaled_dot_product_attention" and len(op.args) > 3:
        mask = op.args[3]
    if mask is None and op.packet == "_scaled_dot_product_efficient_attention":
        mask = op.args[3]
    if mask is not None:
        allowed = mask if not mask.is_floating_point() else mask != -math.inf
        pattern = pattern * allowed
    if _is_causal(op):
        pattern = pattern.tril()
    return pattern


def _is_causal(op: Operation) -> bool:
    position = {
        "scaled_dot_product_attention": 5,
        "_scaled_dot_product_efficient_attention": 6,
        "_scaled_dot_product_cudnn_attention": 6,
    }.get(op.packet, 4)
    return bool(op.kwargs.get("is_causal", len(op.args) > position and op.args[position]))


@rule("mkldnn_rnn_layer")
def fused_lstm_layer(audit: Audit, op: Operation) -> None:
    """One direction of one LSTM layer: every step multiplies its input and its hidden state."""
    x, w_ih, w_hh, _, _, h0, _, reverse = op.args[:8]
    hidden = op.out[0]
    before = hidden[:-1] if not reverse else hidden[1:]
    for weight, operands in ((w_ih, (x,)), (w_hh, (h0.reshape(1, *hidden.shape[1:]), before))):
        row = audit.synapse_row(op, weight, ())
        for operand in operands:
            if operand.numel():
                _left_times_weight(
                    audit, row, operand.reshape(1, -1, operand.shape[-1]), weight.shape[0]
                )
    if op.args[13]:  # has_biases
        row = audit.synapse_row(op, w_ih, ())
        row.side["bias_adds"] += 2 * x.shape[0] * x.shape[1] * w_ih.shape[0]


# -- work outside synapses --


@rule(
    "native_batch_norm",
    "_native_batch_norm_legit",
    "_native_batch_norm_legit_no_training",
    "_batch_norm_with_update",
    "_batch_norm_no_update",
    "cudnn_batch_norm",
    "native_layer_norm",
    "native_group_norm",
    "_fused_rms_norm",
)
def normalisation(audit: Audit, op: Operation) -> None:
    """One scale and shift per element."""
    audit.add_side("norm_ops", op.args[0].numel())


@rule(
    "add", "sub", "add_", "sub_", "rsub", "index_add", "index_add_", "scatter_add", "scatter_add_"
)
def addition(audit: Audit, op: Operation) -> None:
    """Elementwise addition of two tensors: a bias if one is a weight, else a residual."""
    if _elementwise_pair(op):
        kind = "bias_adds" if any(map(audit.is_weight, op.tensors)) else "residual_adds"
        audit.add_side(kind, op.out.numel())


@rule("mul", "div", "mul_", "div_", "glu")
def multiplication(audit: Audit, op: Operation) -> None:
    """Elementwise product of two tensors (gates, scales, masks); ``glu`` gates with its half."""
    if _elementwise_pair(op) or op.packet == "glu":
        audit.add_side("elementwise_muls", op.out.numel())


@rule("addcmul", "addcmul_", "addcdiv", "addcdiv_", "lerp", "lerp_")
def multiply_and_add(audit: Audit, op: Operation) -> None:
    """Elementwise product and addition in one."""
    audit.add_side("elementwise_muls", op.out.numel())
    audit.add_side("residual_adds", op.out.numel())


def _elementwise_pair(op: Operation) -> bool:
    """Whether two real tensors meet, neither of them a scalar (without dimensions)."""
    tensors = [t for t in op.tensors if t.is_floating_point() and t.dim()]
    return len(tensors) > 1


@rule("sum", "nansum", "mean", "cumsum", "cumsum_", "var", "var_mean", "std", "std_mean", "prod")
@rule("linalg_vector_norm", "norm", "dist", "logcumsumexp", "cumprod", "col2im")
@rule("mse_loss", "smooth_l1_loss", "huber_loss", "nll_loss_forward", "nll_loss2d_forward")
@rule("binary_cross_entropy", "binary_cross_entropy_with_logits")
def reduction(audit: Audit, op: Operation) -> None:
    """Elements entering a reduction."""
    if op.args[0].is_floating_point():
        audit.add_side("pool_ops", op.args[0].numel())


@rule(
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "max_pool2d",
    "max_pool1d",
    "max_pool3d",
    "max_pool2d_with_indices",
    "max_pool3d_with_indices",
    "mkldnn_max_pool2d",
)
def pool(audit: Audit, op: Operation) -> None:
    """Window taps inside the image."""
    x, kernel, *rest = op.args
    out = op.out[0] if isinstance(op.out, tuple) else op.out
    is_max = "max_pool" in op.packet
    axes = int(op.packet.split("pool")[1][0])
    kernel = _per_axis(kernel, axes)
    stride = _per_axis(rest[0], axes) if rest and rest[0] else kernel
    padding = _per_axis(rest[1], axes) if len(rest) > 1 else (0,) * axes
    dilation = _per_axis(rest[2], axes) if is_max and len(rest) > 2 else (1,) * axes
    taps = math.prod(x.shape[:-axes])
    for axis in range(axes):
        fanout = axis_fanout(
            inputs=x.shape[axis - axes],
            outputs=out.shape[axis - axes],
            kernel=kernel[axis],
            stride=stride[axis],
            padding=padding[axis],
            dilation=dilation[axis],
        )
        taps *= int(fanout.sum())
    audit.add_side("pool_ops", taps)


@rule("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_max_pool2d", "adaptive_max_pool3d")
def adaptive_pool(audit: Audit, op: Operation) -> None:
    """Window taps of an adaptive pool."""
    x = op.args[0]
    out = op.out[0] if isinstance(op.out, tuple) else op.out
    axes = 3 if op.packet.endswith("3d") else 2
    taps = adaptive_pool_taps(x.shape[-axes:], out.shape[-axes:])
    audit.add_side("pool_ops", math.prod(x.shape[:-axes]) * taps)
