"""Count one call of a test's model, as the result that a file holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from itertools import chain

import torch
from torch import Tensor, nn

from snnbench.core.errors import UsageError
from snnbench.count.clock import Layout
from snnbench.count.profiler import profile
from snnbench.results.environment import capture
from snnbench.results.run import (
    Accuracy,
    DataInfo,
    Environment,
    RunConfig,
    RunResult,
    WeightsInfo,
)
from snnbench.zoo.weight_files import is_dense, state_sha256

# what the user says of the calls -> what the profiler is told
_LAYOUTS: dict[str, Layout] = {"step": "step", "loop": "step", "TN": "TN", "NT": "NT"}


def count(
    model: nn.Module,
    x: Tensor,
    *,
    benchmark: str,
    timesteps: int,
    layout: str,
    batch_size: int | None = None,
    neurons: tuple[type[nn.Module], ...] = (),
    accuracy: tuple[int, int] | None = None,
    strict: bool = False,
) -> RunResult:
    """Call ``model`` in evaluation mode and count it; its mode is restored, its state is not.

    Args:
        model: Any module.
        x: [T, N, ...] for ``step`` and ``TN``, [N, T, ...] for ``NT``, [N, ...] for ``loop``.
        benchmark: What the result is called.
        timesteps: T.
        layout: ``step``: the model is called once per timestep; ``loop``: once, it loops itself;
            ``TN``, ``NT``: once with all timesteps.
        batch_size: N, where the shape of ``x`` leaves it open.
        neurons: Further classes of spiking neurons.
        accuracy: Correct answers and samples, to store with the counts.
        strict: Stop at the first operation without a rule.

    Returns:
        A result without twin and without times.

    Raises:
        UsageError: An argument is wrong, or N is not evident.
        UncountedOperationError: Under ``strict``.
    """
    if layout not in _LAYOUTS:
        msg = f"layout must be one of {', '.join(_LAYOUTS)}, not {layout!r}"
        raise UsageError(msg)
    calls = _calls(x, timesteps, layout)
    sha = state_sha256({k: value for k, value in model.state_dict().items() if is_dense(value)})
    with (
        _evaluating(model),
        torch.no_grad(),
        profile(
            model,
            timesteps=timesteps,
            layout=_LAYOUTS[layout],
            batch_size=batch_size,
            strict=strict,
            neurons=neurons,
        ) as counted,
    ):
        for each in calls:
            model(each)
    counts = counted.result
    if counts.samples is None:
        msg = f"the samples in an input of {list(x.shape)} are not evident: pass batch_size"
        raise UsageError(msg)
    threads, device = torch.get_num_threads(), _device(model, x)
    return RunResult(
        benchmark=benchmark,
        benchmark_version=None,
        title=type(model).__name__,
        input_shape=_sample_shape(x, timesteps, counts.samples, layout),
        config=RunConfig(
            benchmark=benchmark,
            timesteps=timesteps,
            samples=counts.samples,
            batch_size=counts.samples,
            seed=0,  # the hashes of weights and data say more than a seed
            threads=threads,
            device=device,
            layout=layout,
            strict=strict,
            latency=False,
        ),
        environment=_environment(threads, device),
        weights=WeightsInfo(status="unknown", description="as the test made them", sha256=sha),
        data=DataInfo(
            name="test input",
            description="the tensor that the test passed",
            sha256=state_sha256({"x": x.detach().cpu()}),
            samples=counts.samples,
            labelled=accuracy is not None,
        ),
        snn=counts,
        accuracy=None if accuracy is None else _accuracy(*accuracy),
        created_utc=datetime.now(tz=UTC).isoformat(timespec="seconds"),
    )


def _calls(x: Tensor, timesteps: int, layout: str) -> tuple[Tensor, ...]:
    """The inputs of the model's calls, in order."""
    if layout != "step":
        return (x,)
    if x.dim() == 0 or x.shape[0] != timesteps:
        msg = (
            f'layout="step" takes x of [T, N, ...] with T = {timesteps}, not {list(x.shape)}; '
            "to show one x at every timestep pass x.expand(T, *x.shape)"
        )
        raise UsageError(msg)
    return tuple(x.unbind(0))


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _sample_shape(x: Tensor, timesteps: int, samples: int, layout: str) -> tuple[int, ...]:
    """Shape of one sample, without time."""
    timed = layout != "loop" and len(x.shape) > 1
    leading = timed and set(x.shape[:2]) == {timesteps, samples}
    return tuple(x.shape[2:] if leading else x.shape[1:])


def _device(model: nn.Module, x: Tensor) -> str:
    tensors = chain(model.parameters(), model.buffers(), [x])
    return str(next(iter(tensors)).device)


@cache
def _environment(threads: int, device: str) -> Environment:
    return capture(threads, device)


def _accuracy(correct: int, samples: int) -> Accuracy:
    if not 0 <= correct <= samples:
        msg = f"accuracy is (correct, samples), such as (93, 100), not ({correct}, {samples})"
        raise UsageError(msg)
    return Accuracy(correct=correct, samples=samples)
