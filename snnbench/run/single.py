"""Count one model on one input, for ``snnbench profile`` and the pytest fixture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from itertools import chain

import torch
from torch import Tensor, nn

from snnbench.core.errors import UsageError
from snnbench.core.process import memory_shortage_explained, seed_everything
from snnbench.count import clock
from snnbench.count.profiler import profile
from snnbench.nn.layout import LAYOUTS, Layout
from snnbench.nn.meters import evaluating
from snnbench.results.environment import capture
from snnbench.results.run import (
    Accuracy,
    DataInfo,
    RunConfig,
    RunResult,
    WeightsInfo,
)
from snnbench.run.target import (
    current_folder_importable,
    import_model,
    import_neuron,
    user_errors,
)
from snnbench.zoo.choice import check_range
from snnbench.zoo.weight_files import is_dense, state_sha256

_environment = cache(capture)

# how a model takes its input -> the layout of what the profiler sees of a call
_PROFILED: dict[str, clock.Layout] = {"step": "step", "loop": "step", "TN": "TN", "NT": "NT"}


def count_model(
    model: nn.Module,
    x: Tensor,
    *,
    benchmark: str,
    weights: str,
    data: Callable[[int], DataInfo],
    timesteps: int,
    layout: str,
    batch_size: int | None = None,
    seed: int = 0,
    ann: bool = False,
    neurons: tuple[type[nn.Module], ...] = (),
    accuracy: tuple[int, int] | None = None,
    strict: bool = False,
    call: Callable[[Tensor], object] | None = None,
) -> RunResult:
    """Run a model on one input in evaluation mode and count it.

    Its mode is restored afterwards, its state is not.

    Args:
        model: Any module.
        x: Input, [T, N, ...] (``step``, ``TN``), [N, T, ...] (``NT``) or [N, ...] (``loop``).
        benchmark: Name of the result.
        weights: Origin of the weights, in words.
        data: Makes the record of the data, given the number of samples.
        timesteps: T.
        layout: How the model is called: once per timestep (``step``), once and loops over time
            itself (``loop``), or once with all timesteps (``TN``, ``NT``).
        batch_size: N, if it does not follow from the shape of ``x``.
        seed: Seed that the caller used, if any.
        ann: Count every operation as a MAC.
        neurons: Further classes of spiking neurons.
        accuracy: Numbers of correct answers and samples, to store with the counts.
        strict: Stop at the first operation that has no counting rule.
        call: Function that calls the model; by default the model itself.

    Returns:
        A result without twin and without timings.

    Raises:
        UsageError: An argument is wrong, or N is unknown.
        UncountedOperationError: An operation has no rule, under ``strict``.
    """
    if layout not in LAYOUTS:
        msg = f"layout must be one of {', '.join(LAYOUTS)}, not {layout!r}"
        raise UsageError(msg)
    axes = LAYOUTS[layout]
    _check_timesteps(x, timesteps, layout)
    if not x.numel():
        msg = f"an input of {list(x.shape)} holds nothing to count"
        raise UsageError(msg)
    dense = {name: value for name, value in model.state_dict().items() if is_dense(value)}
    sha = state_sha256(dense)
    with (
        evaluating(model),
        torch.no_grad(),
        profile(
            model,
            timesteps=timesteps,
            layout=_PROFILED[layout],
            batch_size=batch_size,
            strict=strict,
            dense=ann,
            neurons=neurons,
        ) as counted,
    ):
        for each in axes.calls(x):
            (call or model)(each)
    counts = counted.result
    if counts.samples is None:
        msg = f"the number of samples in {list(x.shape)} is unknown: pass batch_size"
        raise UsageError(msg)
    samples = batch_size or counts.samples
    threads, device = torch.get_num_threads(), _device(model, x)
    return RunResult(
        benchmark=benchmark,
        benchmark_version=None,
        title=type(model).__name__,
        input_shape=_sample_shape(x, timesteps, samples, axes),
        config=RunConfig(
            benchmark=benchmark,
            timesteps=timesteps,
            samples=samples,
            batch_size=samples,
            seed=seed,
            threads=threads,
            device=device,
            layout=layout,
            strict=strict,
            latency=False,
        ),
        environment=_environment(threads, device),
        weights=WeightsInfo(status="unknown", description=weights, sha256=sha),
        data=data(samples),
        snn=counts,
        accuracy=None if accuracy is None else _accuracy(*accuracy),
        created_utc=datetime.now(tz=UTC).isoformat(timespec="seconds"),
    )


@memory_shortage_explained("--input, --batch-size or --timesteps")
@current_folder_importable()
def profile_target(
    target: str,
    *,
    shape: str,
    timesteps: int = 1,
    layout: str = "step",
    batch_size: int = 1,
    values: str = "normal",
    seed: int = 0,
    ann: bool = False,
    neurons: tuple[str, ...] = (),
    strict: bool = False,
) -> RunResult:
    """Import a model and count it on one random batch; the process keeps the seed.

    Args:
        target: ``module:factory``; the factory is a module, or callable without arguments.
        shape: Shape of one sample, such as ``3x32x32``.
        timesteps: T.
        layout: ``step``, ``loop``, ``TN`` or ``NT``, as for ``count_model``.
        batch_size: N.
        values: ``normal``, ``uniform`` or ``spikes:RATE``.
        seed: Seed of the model's initialisation and of the input.
        ann: Count every operation as a MAC.
        neurons: Further neuron classes, each ``module:Class``.
        strict: Stop at the first operation that has no counting rule.

    Raises:
        UsageError: The target, the shape or a value is wrong, or the model does not take the input.
        UncountedOperationError: An operation has no rule, under ``strict``.
    """
    check_range("timesteps", timesteps)
    check_range("batch-size", batch_size)
    sample = _parse_shape(shape)
    seed_everything(seed)
    model = import_model(target)
    steps = _draw(values, (timesteps, batch_size, *sample))
    x = LAYOUTS[layout].arrange(steps)
    drawn = steps if layout == "loop" else x  # all timesteps are hashed, seen or not

    def call(each: Tensor) -> None:
        size = "x".join(map(str, each.shape))
        refused = f"{target} does not take an input of {size} (--layout {layout})"
        # PyTorch's composite operations reach the profiler whole only in inference mode
        with torch.inference_mode(), user_errors(refused):
            model(each)

    result = count_model(
        model,
        x,
        benchmark=target,
        weights=f"as {target} made them",
        data=lambda samples: DataInfo(
            name=f"random {values}",
            description=f"random {values} values, seed {seed}: no real data",
            sha256=sha256(drawn.contiguous().numpy().tobytes()).hexdigest(),
            samples=samples,
            labelled=False,
        ),
        timesteps=timesteps,
        layout=layout,
        batch_size=batch_size,
        seed=seed,
        ann=ann,
        neurons=tuple(map(import_neuron, neurons)),
        strict=strict,
        call=call,
    )
    return replace(result, title=f"{result.title} ({target})")


def _parse_shape(shape: str) -> tuple[int, ...]:
    try:
        sizes = tuple(int(size) for size in shape.lower().split("x"))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        msg = f"--input must be positive sizes joined by x, such as 3x32x32, not {shape!r}"
        raise UsageError(msg)
    return sizes


def _draw(values: str, shape: tuple[int, ...]) -> Tensor:
    if values == "normal":
        return torch.randn(shape)
    if values == "uniform":
        return torch.rand(shape)
    kind, _, rate = values.partition(":")
    try:
        probability = float(rate)
    except ValueError:
        probability = -1.0
    if kind != "spikes" or not 0 <= probability <= 1:
        msg = f"--values must be normal, uniform or spikes:RATE with 0 <= RATE <= 1, not {values!r}"
        raise UsageError(msg)
    return torch.bernoulli(torch.full(shape, probability))


def _check_timesteps(x: Tensor, timesteps: int, layout: str) -> None:
    axes = LAYOUTS[layout]
    if axes.time is not None and list(x.shape[axes.time : axes.time + 1]) != [timesteps]:
        named = "T, N" if axes.time == 0 else "N, T"
        msg = (
            f'layout="{layout}" takes x of [{named}, ...] with T = {timesteps}, not '
            f"{list(x.shape)}; to show one x of [N, ...] at every timestep pass "
            f"torch.stack([x] * {timesteps}, dim={axes.time})"
        )
        raise UsageError(msg)


def _sample_shape(x: Tensor, timesteps: int, samples: int, layout: Layout) -> tuple[int, ...]:
    """Shape of one sample, without time."""
    timed = layout.time is not None and len(x.shape) > 1
    leading = timed and set(x.shape[:2]) == {timesteps, samples}
    return tuple(x.shape[2:] if leading else x.shape[1:])


def _device(model: nn.Module, x: Tensor) -> str:
    tensors = chain(model.parameters(), model.buffers(), [x])
    return str(next(iter(tensors)).device)


def _accuracy(correct: int, samples: int) -> Accuracy:
    if not 0 <= correct <= samples:
        msg = f"accuracy is (correct, samples), such as (93, 100), not ({correct}, {samples})"
        raise UsageError(msg)
    return Accuracy(correct=correct, samples=samples)
