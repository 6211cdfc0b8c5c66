"""Running and timing a network on a GPU. Nothing here has been measured yet.

Convolutions keep PyTorch's default precision, which is TF32 where the GPU has it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from snnbench.core.units import MS_PER_S

Call = Callable[[Tensor], object]

_WARMUP_CALLS = 3
_CHOICE_CALLS = 10
_CHOICE_TRIALS = 5
_NO_TRITON = (ImportError, OSError, RuntimeError, subprocess.SubprocessError)
"""Errors if Triton, a C compiler or the headers of Python are missing."""


def time_calls(call: Call, x: Tensor, number: int) -> float:
    """Seconds that pass on the GPU from the first of ``number`` calls to the end of the last."""
    torch.cuda.synchronize(x.device)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(number):
        call(x)
    end.record()
    end.synchronize()
    milliseconds: float = start.elapsed_time(end)
    return milliseconds / MS_PER_S


def prepare(network: nn.Module, x: Tensor) -> tuple[Call, str]:
    """Find the fastest way to run a network on its GPU.

    Weights become channels last, cuDNN searches its algorithms, and a CUDA graph replays the calls
    where one can be captured. Neurons run in one Triton kernel if that is faster now.

    Args:
        network: Network on the GPU, for inference; the layout of its weights is changed.
        x: Input of the network; later inputs must have the same shape.

    Returns:
        A call of the network, and how it runs, in words. A call may overwrite the output of the
        one before.
    """
    from snnbench.engine.dense.triton_lif import TritonLIF, fuse_lif_for_cuda

    torch.cuda.set_device(x.device)
    torch.backends.cudnn.benchmark = True
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    plain, execution = capture(network, x)
    fused_network = fuse_lif_for_cuda(network)
    if not any(isinstance(module, TritonLIF) for module in fused_network.modules()):
        return plain, execution
    try:
        fused, fused_execution = capture(fused_network, x)
    except _NO_TRITON as error:
        return plain, f"{execution}, PyTorch LIF (Triton failed: {_line(error)})"
    if fastest([plain, fused], partial(time_calls, x=x, number=_CHOICE_CALLS)):
        return fused, f"{fused_execution}, Triton LIF"
    return plain, f"{execution}, PyTorch LIF (faster than Triton)"


def fastest(calls: list[Call], timed: Callable[[Call], float]) -> int:
    """Index of the call that took the least time, tried in turn."""
    trials = [[timed(call) for call in calls] for _ in range(_CHOICE_TRIALS)]
    best = [min(times) for times in zip(*trials, strict=True)]
    return best.index(min(best))


def capture(network: nn.Module, x: Tensor) -> tuple[Call, str]:
    """Make a call that replays the network as a CUDA graph, or else runs it eagerly.

    Returns:
        The call, and ``CUDA graph`` or ``eager`` with the reason.
    """
    fixed = x.clone(memory_format=torch.channels_last) if x.ndim == 4 else x.clone()
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    failure: BaseException | None = None
    # A capture that fails leaves its stream current; this outer context restores the caller's.
    with torch.cuda.stream(stream):
        for _ in range(_WARMUP_CALLS):  # libraries allocate and choose algorithms, Triton compiles
            network(fixed)
        try:
            with torch.cuda.graph(graph, stream=stream):
                output: Tensor = network(fixed)
        except RuntimeError as error:
            failure = error.__context__ or error  # ending a broken capture raises once more
    torch.cuda.current_stream().wait_stream(stream)
    if failure is not None:
        return network, f"eager (capture failed: {_line(failure)})"

    def replay(x: Tensor) -> Tensor:
        fixed.copy_(x)
        graph.replay()
        return output

    return replay, "CUDA graph"


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
