"""How a network for a GPU is chosen, with stand-ins for the GPU."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from snnbench.engine.dense.triton_lif import TritonLIF
from snnbench.nn.neuron import LIF
from snnbench.run.timing import cuda

NO_COMPILER = RuntimeError("Failed to find C compiler.\nSet CC.")


def is_fused(call: object) -> bool:
    return isinstance(call, nn.Module) and any(isinstance(m, TritonLIF) for m in call.modules())


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[object, str]]:
    """Chooses between networks of given seconds; a fused network may fail."""

    def choose(
        network: nn.Module,
        *,
        plain: float = 1.0,
        fused: float = 1.0,
        error: Exception | None = None,
    ) -> tuple[object, str]:
        def capture(network: nn.Module, x: Tensor) -> tuple[object, str]:
            if is_fused(network) and error:
                raise error
            return network, "CUDA graph"

        monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
        monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
        monkeypatch.setattr(cuda, "capture", capture)
        monkeypatch.setattr(
            cuda, "time_calls", lambda call, x, number: fused if is_fused(call) else plain
        )
        return cuda.prepare(network, torch.zeros(2, 1, 2))

    return choose


def test_the_faster_neuron_is_chosen_by_measurement(gpu: Callable[..., tuple[object, str]]) -> None:
    call, how = gpu(nn.Sequential(LIF()), plain=2.0, fused=1.0)
    assert is_fused(call)
    assert how == "CUDA graph, Triton LIF"
    call, how = gpu(nn.Sequential(LIF()), plain=1.0, fused=2.0)
    assert not is_fused(call)
    assert how == "CUDA graph, PyTorch LIF (faster than Triton)"


def test_without_a_working_triton_pytorch_runs(gpu: Callable[..., tuple[object, str]]) -> None:
    call, how = gpu(nn.Sequential(LIF()), error=NO_COMPILER)
    assert not is_fused(call)
    reason = "(Triton failed: RuntimeError: Failed to find C compiler.)"
    assert how == f"CUDA graph, PyTorch LIF {reason}"


def test_a_network_without_neurons_has_no_choice(gpu: Callable[..., tuple[object, str]]) -> None:
    assert gpu(nn.Sequential(nn.Conv2d(2, 2, 1)))[1] == "CUDA graph"


def test_the_fastest_of_several_trials() -> None:
    seconds = iter([1.0, 9.0] + [5.0, 0.5] + [5.0, 5.0] * 3)
    assert cuda.fastest([abs, abs], lambda call: next(seconds)) == 1
