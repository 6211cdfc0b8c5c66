"""The register of the dispatcher's operations: which have a counting rule, and which are free.

Free operations do no synaptic work: they move, select, compare or transform elements. Views and
elementwise functions are recognised by torch's own tags. An operation that has no rule and is
neither tagged nor listed here is reported as uncounted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from snnbench.count.audit import Rule

RULES: dict[str, Rule] = {}

_MOVES = """
    cat stack split unsafe_split split_with_sizes unsafe_split_with_sizes unsafe_chunk split_copy
    unbind_copy chunk clone copy copy_ contiguous
    _to_copy to lift_fresh lift_fresh_copy detach detach_ alias set_ resize_ as_strided_
    repeat repeat_interleave roll flip rot90 tile _unsafe_view reshape unfold im2col
    unfold_copy pixel_shuffle pixel_unshuffle channel_shuffle native_channel_shuffle
    index index_select index_put index_put_ _unsafe_index gather scatter scatter_ select_scatter
    slice_scatter masked_fill masked_fill_ masked_select masked_scatter take take_along_dim
    where fill fill_ zero zero_ tril triu tril_ triu_ diag_embed one_hot
    embedding reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d
    replication_pad2d replication_pad3d _pad_circular upsample_nearest1d upsample_nearest2d
    upsample_nearest3d _upsample_nearest_exact2d nonzero unique_dim _unique2
    _pack_padded_sequence _pad_packed_sequence
    index_copy index_copy_ index_fill index_fill_ masked_scatter_ _unsafe_index_put
    _unsafe_masked_index diagonal_scatter as_strided_scatter block_diag max_unpool2d max_unpool3d
    t_ transpose_ unsqueeze_ squeeze_ permute_copy expand_copy view_copy transpose_copy t_copy
    squeeze_copy unsqueeze_copy split_with_sizes_copy _reshape_copy narrow_copy alias_copy
    complex polar _pin_memory _resize_output_
"""
_CREATES = """
    empty empty_like empty_strided new_empty new_empty_strided zeros zeros_like new_zeros ones
    ones_like new_ones full full_like new_full arange linspace eye scalar_tensor
"""
_COMPARES = """
    max min amax amin argmax argmin aminmax sort topk kthvalue any all equal allclose
    count_nonzero is_nonzero _local_scalar_dense item is_same_size bucketize searchsorted
    _assert_async _assert_scalar _functional_assert_async _assert_tensor_metadata sym_size
    unique_consecutive bincount histc isin median nanmedian mode cummax cummin nonzero_static
    fractional_max_pool2d
"""
_TRANSFORMS = """
    hardswish hardswish_ _prelu_kernel rrelu_with_noise rrelu_with_noise_ log_sigmoid_forward
    floor_divide floor_divide_ _thnn_fused_lstm_cell
"""
_NORMALISES_OVER_A_DIMENSION = """
    _softmax softmax _log_softmax log_softmax _safe_softmax logsumexp
"""
_DRAWS = """
    native_dropout dropout bernoulli bernoulli_ rand rand_like randn randn_like randint randperm
    normal normal_ uniform uniform_ poisson multinomial exponential_ geometric_ log_normal_
    tril_indices triu_indices logspace hann_window
"""
_FREE = frozenset(
    f"{_MOVES} {_CREATES} {_COMPARES} {_TRANSFORMS} {_NORMALISES_OVER_A_DIMENSION} {_DRAWS}".split()
)


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register a counting rule for the dispatcher's operations ``names``.

    Operations of ``aten`` go by their name, those of other libraries by ``namespace.name``.

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


def per_axis(value: Sequence[int] | int, axes: int) -> tuple[int, ...]:
    """Return one value per spatial axis."""
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * axes if len(values) == 1 else values


def is_free(func: Any) -> bool:
    """Tell whether the dispatcher's operation ``func``, an ``OpOverload``, does no synaptic work.

    Outside the ``aten`` and ``prim`` namespaces none is free, since what a custom kernel computes
    is unknown.
    """
    if func.namespace not in {"aten", "prim", "prims"}:
        return False
    name = func.overloadpacket.__name__
    return (
        func.is_view
        or name in _FREE
        or _is_pointwise(func)
        or _is_pointwise(_out_of_place(func, name))
    )


def _out_of_place(func: Any, name: str) -> Any:
    """Return the out-of-place variant of an in-place operation; it carries the tags."""
    if not name.endswith("_"):
        return None
    packet = getattr(torch.ops.aten, name.rstrip("_"), None)
    return None if packet is None else getattr(packet, func._overloadname, None)


def _is_pointwise(func: Any) -> bool:
    return func is not None and torch.Tag.pointwise in func.tags
