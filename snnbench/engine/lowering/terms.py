"""``Term``, a node of the recorded network without time and batch; why it has no event kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from snnbench.engine.lowering.trace import Call
from snnbench.nn.norm import ChannelAffine

Role = Literal["input", "neuron", "synapse", "scale", "add", "reshape", "dense"]
SYNAPSES = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)
AVERAGE_POOLS = (nn.AvgPool2d, nn.AdaptiveAvgPool2d)
MAX_POOLS = (nn.MaxPool2d, nn.AdaptiveMaxPool2d)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Term:
    """One quantity that the network computes, whatever layout time and batch have.

    Attributes:
        name: Name of the layer, or of the module around the operation.
        role: Kind of the operation that makes it.
        inputs: Indices of other terms.
        shape: Shape without time and batch.
        static: Whether it is the same at every timestep.
        spikes: Whether it holds zeros and ones only.
        module: The layer, if one makes it.
        call: The recorded call.
        reason: Why it is dense; ``None`` if it is not, or if ``lower`` finds the reason.
        unsupported: Whether it is dense by a limit of the engine, not by nature.
        keeps_time: Whether it is made from [T, N, ...] as a whole.
    """

    name: str
    role: Role
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    static: bool = False
    spikes: bool = False
    module: nn.Module | None = None
    call: Call | None = None
    reason: str | None = None
    unsupported: bool = False
    keeps_time: bool = False


def event_limit(layer: Term, source: Term) -> str | None:
    """Say why event kernels cannot run a synapse or scale on its spikes; ``None`` if they can."""
    module = layer.module
    if type(module) in (ChannelAffine, nn.Linear):
        ranks = (1, 3) if type(module) is ChannelAffine else (1,)
        fits = len(source.shape) in ranks
        return None if fits else f"spikes of shape {list(source.shape)} for each sample"
    if not isinstance(module, nn.Conv2d) or type(module) is not nn.Conv2d:
        return f"no event kernel for {type(module).__name__}"
    limits = (
        (module.groups != 1, f"{module.groups} groups"),
        (module.dilation != (1, 1), f"dilation {module.dilation}"),
        (module.padding_mode != "zeros", f"padding mode {module.padding_mode}"),
        (isinstance(module.padding, str), f"padding {module.padding!r}"),
    )
    return next((f"no event kernel with {text}" for applies, text in limits if applies), None)


def why_dense(call: Call, *, whole: bool) -> tuple[str, bool]:
    """Say why a layer has no event kernel, and whether that is a limit of the engine.

    A layer works on [T, N, ...] as a ``whole`` if its forward was called with that shape.
    """
    if call.reason is not None:
        return f"its forward {call.reason}", True
    if call.module is None:
        return f"no event kernel for '{call.operation}'", True
    kind = type(call.module).__name__
    if isinstance(call.module, AVERAGE_POOLS):
        return "averages are not spikes", False
    if isinstance(call.module, MAX_POOLS):
        return "pools densely; its output is spikes if its input is", False
    if whole:
        return f"{kind} works on [T, N, ...] as a whole", True
    return f"no event kernel for {kind}", True
