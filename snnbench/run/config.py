"""Defaults of a run, and checks of its arguments."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Literal

from snnbench.core.errors import UsageError
from snnbench.core.process import available_cores, check_device
from snnbench.data.open import kind_of
from snnbench.results.run import RunConfig, option_fields
from snnbench.zoo.card import Card
from snnbench.zoo.choice import MOST_THREADS, check_range, choose
from snnbench.zoo.registry import Benchmark
from snnbench.zoo.shipped import find

EngineMode = Literal["auto", "event", "dense", "off"]
WeightsDtype = Literal["float32", "int16", "bfloat16"]

# dense MACs that a default run counts: some ten seconds of counting on two slow cores
_DEFAULT_WORK_MACS = 1.8e11
_DEFAULT_SAMPLES = range(2, 65)


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
    """Check the arguments of a run and fill in its defaults.

    Args:
        benchmark: Benchmark to run.
        timesteps: T; by default that of the weights, else the card's.
        samples: Samples to count; by default what some ten seconds of counting allow, 2 to 64.
        batch_size: Samples per forward pass; by default 1 for large images, else up to 16.
        seed: Seed of weights, data and everything else.
        threads: PyTorch threads; by default all cores this process may use.
        device: ``cpu`` or a CUDA device.
        width: Factor on all channel numbers; by default that of the weights, else 1.
        options: Options of the card; by default those of the weights, else the card's.
        data: Path or ``KIND=PATH`` of the user's data; embedded data by default.
        weights: File of trained weights, or ``shipped:NAME``; by default those that come with the
            benchmark and fit data, width and options, if there are any.
        twin_weights: File or ``shipped:NAME`` of the ANN twin's weights; by default those
            shipped with the SNN's shipped weights, else the SNN's own.
        untrained: Use random weights even if trained ones come with the benchmark.
        strict: Stop at the first operation without a counting rule.
        with_latency: Time the networks as well.
        latency_batches: Samples per timed call; 1 by default, and 32 where that is affordable.
        engine: How steps run: ``event`` all that can, ``dense`` none, ``auto`` the faster way;
            ``off`` leaves the engine out.
        weights_dtype: Number format of the engine's weights.

    Raises:
        UsageError: A value is out of range, an option for timing is given without timing, or
            the weights are for another network.
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
    check_range("threads", threads, most=MOST_THREADS)
    for batch in latency_batches or ():
        check_range("latency-batches", batch)
    unused = {"engine": engine != "auto", "weights-dtype": weights_dtype != "float32"}
    if not with_latency and any(unused.values()):
        named = ", ".join(f"--{option}" for option, given in unused.items() if given)
        msg = f"{named} have no effect with --no-latency, which only counts; leave one out"
        raise UsageError(msg)
    check_device(device)
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
