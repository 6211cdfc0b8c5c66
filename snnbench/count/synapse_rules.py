"""Counting rules of synaptic operations: convolutions, matrix products, attention, LSTM."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from snnbench.count.audit import Audit, Operation
from snnbench.count.fanout import ConvGeometry
from snnbench.count.ledger import Row
from snnbench.count.masks import count_axis
from snnbench.count.rules import per_axis, rule
from snnbench.results.counts import DENSE

# -- convolutions --


@rule("convolution", "_convolution", "convolution_overrideable")
def convolution(audit: Audit, op: Operation) -> None:
    """Count a convolution of 1 to 3 axes, be it transposed, dilated or grouped."""
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
        stride=per_axis(stride, axes),
        padding=per_axis(padding, axes),
        dilation=per_axis(dilation, axes),
        transposed=transposed,
        zero_margin=_zero_margin(audit, x)[-axes:],
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
        audit.zero_margins[op.out] = (_version(op.out), tuple(margins))


def _zero_margin(audit: Audit, x: Tensor) -> tuple[tuple[int, int], ...]:
    """Return the zeros that an explicit pad wrote around ``x``, unless it was changed since."""
    version, margins = audit.zero_margins.get(x, (None, None))
    return margins if margins and version == _version(x) else ((0, 0),) * x.dim()


def _version(x: Tensor) -> int | None:
    return None if x.is_inference() else x._version


# -- matrix products --


@rule("mm", "mv", "dot", "vdot", "bmm")
def product(audit: Audit, op: Operation) -> None:
    """Count a product without a bias."""
    _product(audit, op, op.args[0], op.args[1])


@rule("addmm", "addmv", "baddbmm", "addbmm", "addmm_", "addmv_", "baddbmm_", "addbmm_")
@rule("_addmm_activation")
def product_with_addend(audit: Audit, op: Operation) -> None:
    """Count a product with an addend: a bias if it is a weight, else a residual addition."""
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
    """Count ``a @ b`` as [B, M, K] @ [B, K, N], of a weight and an input or of two activations."""
    row = _synapse_row(audit, op, a, b)
    left = a.reshape(1, 1, -1) if a.dim() == 1 else _flat(a)
    right = b.reshape(1, -1, 1) if b.dim() == 1 else _flat(b)
    if audit.is_weight(b):
        _times_weight(audit, row, left, right.shape[2], axis=2)
    elif audit.is_weight(a):
        _times_weight(audit, row, right, left.shape[1], axis=1)
    else:
        _two_activations(audit, row, left, right)


def _times_weight(audit: Audit, row: Row, x: Tensor, outputs: int, *, axis: int) -> None:
    """Count the product of ``x``, summed over ``axis``, and a weight of so many outputs."""
    mask = audit.mask_of(x)
    row.see_input(mask)
    dense = x.numel() * outputs
    effective = count_axis(mask.nonzero, axis) * outputs
    # samples are rows before a weight; after it columns, if there is a single matrix
    by_position = axis == 2 or len(effective) == 1
    effective = effective.reshape(-1) if by_position else effective.sum(axis=1)
    audit.add_synops(row, (len(effective),), dense=dense, in_image=dense, effective=effective)


def _two_activations(audit: Audit, row: Row, a: Tensor, b: Tensor) -> None:
    left, right = audit.mask_of(a), audit.mask_of(b)
    row.see_input(left)
    row.see_operand(right)
    dense = a.numel() * b.shape[2]
    per_row = count_axis(right.nonzero, 2)
    if a.shape[0] == 1:  # a single matrix has its samples in rows
        effective = left.nonzero[0].astype(np.int64) @ per_row[0]
    else:  # non-zero pairs of each matrix: sum over k of column counts times row counts
        effective = (count_axis(left.nonzero, 1) * per_row).sum(axis=1)
    audit.add_synops(row, (len(effective),), dense=dense, in_image=dense, effective=effective)


# -- attention and recurrent layers that stay fused --


@rule("scaled_dot_product_attention", "_scaled_dot_product_flash_attention_for_cpu")
@rule("_scaled_dot_product_flash_attention", "_scaled_dot_product_efficient_attention")
@rule("_scaled_dot_product_cudnn_attention")
def attention(audit: Audit, op: Operation) -> None:
    """Count fused attention as its two products, ``q k^T`` and ``softmax(...) v``.

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
    """Repeat keys or values that several heads of grouped queries share."""
    if t.dim() > 2 and t.shape[-3] != q.shape[-3]:
        t = t.repeat_interleave(q.shape[-3] // t.shape[-3], dim=-3)
    return t.expand(*q.shape[:-2], *t.shape[-2:])


def _flat(t: Tensor) -> Tensor:
    return t.reshape(math.prod(t.shape[:-2]), *t.shape[-2:])


def _attended(op: Operation, q: Tensor, k: Tensor) -> Tensor:
    """Return the pattern of the attention probabilities: 1 where attended, else 0."""
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
    """Count one direction of one LSTM layer: each step multiplies its input and hidden state."""
    x, w_ih, w_hh, _, _, h0, _, reverse = op.args[:8]
    hidden = op.out[0]
    before = hidden[:-1] if not reverse else hidden[1:]
    for weight, operands in ((w_ih, (x,)), (w_hh, (h0.reshape(1, *hidden.shape[1:]), before))):
        row = audit.synapse_row(op, weight, ())
        for operand in operands:
            if operand.numel():
                x_rows = operand.reshape(1, -1, operand.shape[-1])
                _times_weight(audit, row, x_rows, weight.shape[0], axis=2)
    if op.args[13]:  # has_biases
        row = audit.synapse_row(op, w_ih, ())
        row.side["bias_adds"] += 2 * x.shape[0] * x.shape[1] * w_ih.shape[0]
