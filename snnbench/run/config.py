"""What a run does by default, and which arguments make sense."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Literal

import torch

from snnbench.core.errors import UsageError
from snnbench.core.process import available_cores
from snnbench.data.open import kind_of
from snnbench.results.run import RunConfig, option_fields
from snnbench.zoo.card import Card
from snnbench.zoo.choice import check_range, choose
from snnbench.zoo.registry import Benchmark
from snnbench.zoo.shipped import find

EngineMode = Literal["auto", "event", "dense", "off"]
WeightsDtype = Literal["float32", "int16", "bfloat16"]

# dense MACs that a default run counts: some ten seconds of counting on two slow cores
_DEFAULT_WORK_MACS = 1.8e11
_DEFAULT_SAMPLES = range(2, 65)
_MOST_THREADS = 1024


def configure(
    benchmark: Benchmark,
    *,
    timesteps: int | None = None,
    samples: int | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    threads: int | None = None,
    device: str = "cpu",
    width: float | None = None,
    options: Mapping[str, str] | None = None,
    data: str | None = None,
    weights: str | None = None,
    twin_weights: str | None = None,
    untrained: bool = False,
    strict: bool = False,
    with_latency: bool = True,
    latency_batches: tuple[int, ...] | None = None,
    engine: EngineMode = "auto",
    weights_dtype: WeightsDtype = "float32",
) -> RunConfig:
    """Fill in the defaults of a run.

    Args:
        benchmark: What is to run.
        timesteps: T; by default as the weights were trained, else the card's.
        samples: Samples to count; by default what some ten seconds of counting allow, 2 to 64.
        batch_size: Samples at once; 1 for large images, else up to 16.
        seed: Seed of weights, data and everything else.
        threads: PyTorch threads; all cores this process may use by default.
        device: ``cpu`` or a CUDA device.
        width: Channel multiplier; by default that of the weights, given or shipped, else 1.
        options: Options of the card; by default those of the weights, else the card's.
        data: Path or ``KIND=PATH`` of the user's data; embedded data by default.
        weights: File of trained weights, or ``shipped:NAME``; by default those that come with the
            benchmark and fit data, width and options, if there are any.
        twin_weights: The same for the ANN twin, which else has the SNN's.
        untrained: Use random weights even if trained ones come with the benchmark.
        strict: Stop at the first operation without a counting rule.
        with_latency: Time the networks as well.
        latency_batches: Samples per timed call; 1 by default, and 32 where that is affordable.
        engine: How steps run: ``event`` all that can, ``dense`` none, ``auto`` the faster way;
            ``off`` leaves the engine out.
        weights_dtype: Number format of the engine's weights.

    Raises:
        UsageError: A value is out of range, an option for timing without timing, or
            weights of another network.
        WeightsError: The file of weights cannot be read.
        DataError: The data's path cannot be read.
    """
    card, options = benchmark.card, options or {}
    if untrained and weights is not None:
        msg = f"--untrained and --weights {weights} contradict each other; leave one out"
        raise UsageError(msg)
    fitting = partial(
        find,
        benchmark,
        kind=kind_of(card.input, data),
        options=card.fill_options(options),
    )
    shipped = None if untrained or weights else fitting(width=width, timesteps=timesteps)
    choice = choose(
        benchmark,
        weights or shipped,
        twin=False,
        timesteps=timesteps,
        width=width,
        options=options,
    )
    timesteps, width = choice.timesteps, choice.width
    if shipped is not None:
        twin_weights = twin_weights or fitting(width=width, twin=True)
    if twin_weights is not None:  # the spiking network's would fit, and pass for a trained ANN
        choose(benchmark, twin_weights, twin=True)
    samples = _default_samples(card, timesteps, width) if samples is None else samples
    batch_size = _default_batch(card, samples) if batch_size is None else batch_size
    threads = available_cores() if threads is None else threads
    check_range("samples", samples)
    check_range("batch-size", batch_size)
    check_range("threads", threads, most=_MOST_THREADS)
    for batch in latency_batches or ():
        check_range("latency-batches", batch)
    unused = {"engine": engine != "auto", "weights-dtype": weights_dtype != "float32"}
    if not with_latency and any(unused.values()):
        named = ", ".join(f"--{option}" for option, given in unused.items() if given)
        msg = f"{named} have no effect with --no-latency, which only counts; leave one out"
        raise UsageError(msg)
    _check_device(device)
    return RunConfig(
        benchmark=card.name,
        timesteps=timesteps,
        samples=samples,
        batch_size=min(batch_size, samples),
        seed=seed,
        threads=threads,
        device=device,
        width=width,
        **option_fields(choice.options),
        data=data,
        weights=weights or shipped,
        twin_weights=twin_weights,
        strict=strict,
        latency=with_latency,
        latency_batches=latency_batches and tuple(sorted(set(latency_batches))),
        engine=engine,
        weights_dtype=weights_dtype,
    )


def _default_samples(card: Card, timesteps: int, width: float) -> int:
    if card.expected is None:
        return _DEFAULT_SAMPLES.start
    work = card.expected.twin_dense_macs * max(timesteps, 1) * max(width, 0.01) ** 2
    affordable = int(_DEFAULT_WORK_MACS / work)
    return min(max(affordable, _DEFAULT_SAMPLES.start), _DEFAULT_SAMPLES[-1])


def _default_batch(card: Card, samples: int) -> int:
    _, height, width = card.input.shape
    return 1 if height * width > 64 * 64 else min(samples, 16)


def _check_device(device: str) -> None:
    try:
        kind = torch.device(device).type
    except RuntimeError:
        kind = ""
    if kind not in {"cpu", "cuda"}:
        msg = f"unknown device {device!r}; use cpu, cuda or cuda:N"
        raise UsageError(msg)
    if kind == "cuda" and not torch.cuda.is_available():
        msg = f"device {device} is not available: this PyTorch sees no CUDA GPU; use --device cpu"
        raise UsageError(msg)
