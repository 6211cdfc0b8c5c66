"""Count a model of the user's own: import it, feed it, profile it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256

import torch
from torch import Tensor, nn

from snnbench.core.errors import UsageError
from snnbench.core.process import memory_shortage_explained, seed_everything
from snnbench.count.clock import Layout
from snnbench.count.profiler import profile
from snnbench.results.environment import capture
from snnbench.results.run import DataInfo, RunConfig, RunResult, WeightsInfo
from snnbench.zoo.weight_files import is_dense, state_sha256

# what --layout says of the calls -> what the profiler is told
_LAYOUTS: dict[str, Layout] = {"step": "step", "loop": "step", "TN": "TN", "NT": "NT"}

# what code of the user's may reasonably raise; a bug of another kind keeps its traceback
_USER_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    SyntaxError,
    SystemExit,
    TypeError,
    ValueError,
)


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
    """Count one batch through a model; the process keeps the seed.

    Args:
        target: ``module:factory``; the factory is a module object, or callable without arguments.
        shape: Of one sample, such as ``3x32x32``.
        timesteps: T.
        layout: ``step``, ``loop``, ``TN`` or ``NT``; see ``snnbench profile --help``.
        batch_size: N.
        values: ``normal``, ``uniform`` or ``spikes:RATE``.
        seed: Of the model's initialisation and of the input.
        ann: Count every operation as a MAC.
        neurons: Further neuron classes, each ``module:Class``.
        strict: Stop at the first operation without a rule.

    Returns:
        A result without twin and without times.

    Raises:
        UsageError: The target, the shape or a value is wrong, or the model does not take the input.
    """
    for label, number in (("timesteps", timesteps), ("batch-size", batch_size)):
        if number < 1:
            msg = f"--{label} must be at least 1, got {number}"
            raise UsageError(msg)
    sample = _parse_shape(shape)
    seed_everything(seed)
    with (
        memory_shortage_explained("--input, --batch-size or --timesteps"),
        _current_folder_importable(),
    ):
        model = _import_model(target).eval()
        sha = _sha256(model)
        steps = _draw(values, (timesteps, batch_size, *sample))
        inputs = steps.transpose(0, 1) if layout == "NT" else steps
        with (
            profile(
                model,
                timesteps=timesteps,
                layout=_LAYOUTS[layout],
                batch_size=batch_size,
                strict=strict,
                dense=ann,
                neurons=tuple(map(_import_neuron, neurons)),
            ) as counted,
            torch.inference_mode(),
        ):
            _feed(model, inputs, layout, target)
    threads = torch.get_num_threads()
    return RunResult(
        benchmark=target,
        benchmark_version=None,
        title=f"{type(model).__name__} ({target})",
        input_shape=sample,
        config=RunConfig(
            benchmark=target,
            timesteps=timesteps,
            samples=batch_size,
            batch_size=batch_size,
            seed=seed,
            threads=threads,
            device="cpu",
            layout=layout,
            strict=strict,
            latency=False,
        ),
        environment=capture(threads, "cpu"),
        weights=WeightsInfo(status="unknown", description=f"as {target} made them", sha256=sha),
        data=DataInfo(
            name=f"random {values}",
            description=f"random {values} values, seed {seed}: no real data",
            sha256=sha256(inputs.contiguous().numpy().tobytes()).hexdigest(),
            samples=batch_size,
            labelled=False,
        ),
        snn=counted.result,
        created_utc=datetime.now(tz=UTC).isoformat(timespec="seconds"),
    )


def _parse_shape(shape: str) -> tuple[int, ...]:
    try:
        sizes = tuple(int(size) for size in shape.lower().split("x"))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        msg = f"--input must be positive sizes joined by x, such as 3x32x32, not {shape!r}"
        raise UsageError(msg)
    return sizes


@contextmanager
def _current_folder_importable() -> Iterator[None]:
    """As under ``python -m``; imports inside the user's functions find it as well."""
    sys.path.insert(0, "")
    try:
        yield
    finally:
        sys.path.remove("")


def _sha256(model: nn.Module) -> str:
    """Hash of the weights; extra state and tensors without values are left out."""
    state = model.state_dict()
    return state_sha256({name: value for name, value in state.items() if is_dense(value)})


def _import_model(target: str) -> nn.Module:
    return _made_by(_import(target, "FACTORY, such as mynets:make_net"), target)


def _import_neuron(target: str) -> type[nn.Module]:
    neuron = _import(target, "CLASS, such as mynets:MyLIF")
    if not (isinstance(neuron, type) and issubclass(neuron, nn.Module)):
        msg = f"--neuron {target} is not a class of torch.nn.Module"
        raise UsageError(msg)
    return neuron


def _import(target: str, expected: str) -> object:
    """The object that ``module:name`` names."""
    module_name, _, name = target.partition(":")
    if not module_name or not name:
        msg = f"{target!r} must be MODULE:{expected}"
        raise UsageError(msg)
    try:
        module = importlib.import_module(module_name)
    except _USER_ERRORS as error:
        msg = f"cannot import {module_name}: {_told(error)}"
        raise UsageError(msg) from error
    found: object = getattr(module, name, None)
    if found is None:
        msg = f"module {module_name} has no {name!r}"
        raise UsageError(msg)
    return found


def _made_by(factory: object, target: str) -> nn.Module:
    if not isinstance(factory, nn.Module):
        if not callable(factory):
            msg = f"{target} is a {type(factory).__name__}, neither a module nor a function"
            raise UsageError(msg)
        try:
            factory = factory()
        except _USER_ERRORS as error:
            msg = f"{target}() failed: {_told(error)}"
            raise UsageError(msg) from error
    if not isinstance(factory, nn.Module):
        msg = f"{target}() returned a {type(factory).__name__}, not a torch.nn.Module"
        raise UsageError(msg)
    return factory


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


def _feed(model: nn.Module, inputs: Tensor, layout: str, target: str) -> None:
    """Call the model as ``layout`` says, with inputs [T, N, ...] ([N, T, ...] if NT)."""
    calls = {"step": inputs, "loop": inputs[:1]}.get(layout, inputs[None])
    try:
        for step in calls:
            model(step)
    except _USER_ERRORS as error:
        shape = "x".join(map(str, calls[0].shape))
        msg = f"{target} does not take an input of {shape} (--layout {layout}): {_told(error)}"
        raise UsageError(msg) from error


def _told(error: BaseException) -> str:
    """Type and first line of an exception."""
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
