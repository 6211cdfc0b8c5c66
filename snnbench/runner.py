"""The order of passes of one benchmark: build, check, count, fold, time. Nowhere else."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from snnbench import env, latency, registry, weights
from snnbench.card import Card
from snnbench.convert.fuse import fold_batch_norm, measure_folding
from snnbench.convert.twin import ann_twin, check_twin, fvcore_macs, twin_input
from snnbench.count.profiler import profile
from snnbench.data.load import Samples, load_samples
from snnbench.errors import UsageError
from snnbench.nn.blocks import Shortcut
from snnbench.nn.norm import calibrate_batch_norm
from snnbench.partial import Partial
from snnbench.records import (
    Accuracy,
    Check,
    Folding,
    Profile,
    RunConfig,
    RunResult,
    Timing,
    WeightsInfo,
)
from snnbench.registry import Benchmark

# dense MACs that a default run counts: some ten seconds of counting on two slow cores
_DEFAULT_WORK_MACS = 1.8e11
_DEFAULT_SAMPLES = range(2, 65)
_TIMING_BUDGET_S = 12.0
_TIMING_RUNS = range(3, 31)
_PERCENT = 100


class Reporter(Protocol):
    """Where a run says how far it is."""

    def stage(self, title: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Begin a stage of ``total`` ticks; the callable takes how many are done."""
        ...

    def note(self, message: str) -> None:
        """Say something the user should know now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Networks and input of a run, ready to be counted.

    Attributes:
        network: The spiking network, in evaluation mode.
        twin: Its ANN twin.
        samples: What they are fed.
        weights: Provenance.
        checks: Structural cross-checks.
    """

    network: nn.Module
    twin: nn.Module
    samples: Samples
    weights: WeightsInfo
    checks: tuple[Check, ...]


def configure(
    name: str,
    *,
    timesteps: int | None = None,
    samples: int | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    threads: int | None = None,
    device: str = "cpu",
    width: float = 1.0,
    shortcut: Shortcut = "paper",
    data: str | None = None,
    weights_path: str | None = None,
    strict: bool = False,
    with_latency: bool = True,
) -> RunConfig:
    """Fill in the defaults of a run.

    Args:
        name: Benchmark.
        timesteps: T; the card's by default.
        samples: Samples to count; by default what some ten seconds of counting allow, 2 to 64.
        batch_size: Samples at once; 1 for large images, else up to 16.
        seed: Of weights, data and everything else.
        threads: Of torch; all cores this process may use by default.
        device: ``cpu`` or a CUDA device.
        width: Channel multiplier.
        shortcut: Shortcut policy.
        data: Folder of the user's data; embedded data by default.
        weights_path: File of trained weights; untrained by default.
        strict: Stop at the first operation without a counting rule.
        with_latency: Time the networks as well.

    Raises:
        UsageError: Unknown name, or a value out of range.
    """
    card = registry.get(name).card
    timesteps = card.timesteps if timesteps is None else timesteps
    samples = _default_samples(card, timesteps, width) if samples is None else samples
    batch_size = _default_batch(card, samples) if batch_size is None else batch_size
    threads = env.available_cores() if threads is None else threads
    for label, value in (
        ("timesteps", timesteps),
        ("samples", samples),
        ("batch-size", batch_size),
        ("threads", threads),
    ):
        if value < 1:
            msg = f"--{label} must be at least 1, got {value}"
            raise UsageError(msg)
    _check_device(device)
    return RunConfig(
        benchmark=name,
        timesteps=timesteps,
        samples=samples,
        batch_size=min(batch_size, samples),
        seed=seed,
        threads=threads,
        device=device,
        width=width,
        shortcut=shortcut,
        data=data,
        weights=weights_path,
        strict=strict,
        latency=with_latency,
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


def run(config: RunConfig, reporter: Reporter, folder: Path | None = None) -> RunResult:
    """Run one benchmark.

    Args:
        config: See ``configure``.
        reporter: Told about progress.
        folder: Where an interrupted run leaves what it has counted, and a repeated one finds it.

    Raises:
        SnnbenchError: Anything the user can put right; see the subclasses.
    """
    benchmark = registry.get(config.benchmark)
    env.set_threads(config.threads)
    env.seed_everything(config.seed)
    prepared = _prepare(benchmark, config, reporter)
    environment = env.capture(config.threads, config.device)
    key = (config, benchmark.version, prepared.weights, prepared.samples.info, environment)
    counts = Partial.resume(folder, key)
    if counts.done:
        reporter.note(f"resuming an interrupted run: {counts.done} samples are counted already")
    with torch.inference_mode():
        _count(prepared, config, reporter, counts)
        folding, timings = _fold_and_time(prepared, config, reporter)
    counts.discard()
    samples = prepared.samples
    snn, twin = cast("Profile", counts.snn), cast("Profile", counts.twin)
    labelled = samples.labels is not None
    return RunResult(
        benchmark=config.benchmark,
        benchmark_version=benchmark.version,
        title=benchmark.card.title,
        input_shape=benchmark.card.input.shape,
        config=config,
        environment=environment,
        weights=prepared.weights,
        data=samples.info,
        snn=snn,
        twin=twin,
        accuracy=Accuracy(correct=counts.correct, samples=config.samples) if labelled else None,
        paper_multiplication_layers=_encoding_and_head(prepared.network),
        published=benchmark.card.published,
        checks=prepared.checks + _count_checks(benchmark.card, config, prepared, snn, twin),
        folding=folding,
        timings=timings,
        created_utc=datetime.now(tz=UTC).isoformat(timespec="seconds"),
    )


def _encoding_and_head(network: nn.Module) -> tuple[str, ...]:
    return tuple(getattr(network, "encoding_and_head", ()))


def _prepare(benchmark: Benchmark, config: RunConfig, reporter: Reporter) -> Prepared:
    card = benchmark.card
    network = benchmark.build(
        timesteps=config.timesteps, width=config.width or 1.0, shortcut=cast("Shortcut", config.shortcut)
    ).eval()
    samples = _load(card, config, "test", config.samples)
    state = None if config.weights is None else weights.load_state(Path(config.weights))
    if state is not None:
        weights.apply_state(network, state)
    network = network.to(config.device)
    twin = ann_twin(network)
    checks = check_twin(network, twin)
    # one large image has enough positions for stable statistics
    calibration = _load(card, config, "calibration", config.batch_size).inputs.to(config.device)
    with (
        reporter.stage("calibrating batch norm", 2 * len(_ticking_modules(twin))) as show,
        _ticking(show, network, twin),
    ):
        if state is None:
            calibrate_batch_norm(network, calibration)
        calibrate_batch_norm(twin, twin_input(calibration))
    info = _weights_info(config, network, card, untrained=state is None)
    if state is None:
        reporter.note(
            "weights are UNTRAINED: operation counts that depend on firing rates say nothing about "
            "a trained network; pass --weights FILE"
        )
    return Prepared(network=network, twin=twin, samples=samples, weights=info, checks=checks)


def _load(card: Card, config: RunConfig, split: str, samples: int) -> Samples:
    return load_samples(
        card.input,
        samples=samples,
        timesteps=config.timesteps,
        path=None if config.data is None else Path(config.data),
        seed=config.seed,
        split="calibration" if split == "calibration" else "test",
        classes=card.classes,
    )


def _weights_info(
    config: RunConfig, network: nn.Module, card: Card, *, untrained: bool
) -> WeightsInfo:
    sha256 = weights.state_sha256(network.state_dict())
    if untrained:
        return WeightsInfo(
            status="untrained",
            description=(
                f"kaiming initialisation, seed {config.seed}; tdBN statistics calibrated on "
                f"{config.batch_size} sample(s) of {config.data or card.input.embedded}"
            ),
            sha256=sha256,
        )
    return WeightsInfo(status="trained", description=Path(str(config.weights)).name, sha256=sha256)


def _batches(
    samples: Samples, config: RunConfig, start: int
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Batches of inputs (samples are axis 0 of images, axis 1 of event frames) and labels."""
    axis = 1 if samples.inputs.ndim == 5 else 0
    for first in range(start, config.samples, config.batch_size):
        size = min(config.batch_size, config.samples - first)
        inputs = samples.inputs.narrow(axis, first, size).to(config.device)
        yield inputs, None if samples.labels is None else samples.labels[first : first + size]


def _count(prepared: Prepared, config: RunConfig, reporter: Reporter, counts: Partial) -> None:
    """Pass 1: count the network and its twin batch by batch, on the same input."""
    batches = -(-(config.samples - counts.done) // config.batch_size)
    ticks = batches * 2 * len(_ticking_modules(prepared.network))
    with (
        reporter.stage("counting", ticks) as show,
        _ticking(show, prepared.network, prepared.twin),
        counts.kept_on_exit(config.samples),
    ):
        for inputs, labels in _batches(prepared.samples, config, counts.done):
            with profile(
                prepared.network, timesteps=config.timesteps, strict=config.strict
            ) as spiking:
                output = prepared.network(inputs)
            with profile(prepared.twin, timesteps=1, strict=config.strict, dense=True) as ann:
                prepared.twin(twin_input(inputs))
            correct = 0 if labels is None else int((output.argmax(1).cpu() == labels).sum())
            counts.add(spiking.result, ann.result, samples=len(output), correct=correct)


def _fold_and_time(
    prepared: Prepared, config: RunConfig, reporter: Reporter
) -> tuple[Folding, tuple[Timing, ...]]:
    """Fold the batch norms, measure what that changes, then time both networks (pass 2)."""
    inputs, _ = next(_batches(prepared.samples, config, 0))
    one = inputs[:, :1] if inputs.ndim == 5 else inputs[:1]
    folded = fold_batch_norm(prepared.network)
    ticks = 2 * len(_ticking_modules(prepared.network))
    with (
        reporter.stage("folding tdBN", ticks) as show,
        _ticking(show, prepared.network, folded.model),
    ):
        start = time.perf_counter()
        folding = measure_folding(prepared.network, folded, one)
        seconds = (time.perf_counter() - start) / 2
    if not config.latency:
        return folding, ()
    networks = {"snn-dense-fused": folded.model, "ann-twin": fold_batch_norm(prepared.twin).model}
    with reporter.stage("timing", _PERCENT) as show:
        timings = latency.measure(
            networks,
            {"snn-dense-fused": one, "ann-twin": twin_input(one)},
            runs=_timing_runs(seconds),
            warmup=1,
            threads=config.threads,
            device=config.device,
            batch_size=1,
            progress=lambda done, total: show(_PERCENT * done // total),
        )
    return folding, timings


def _timing_runs(seconds_per_round: float) -> int:
    """Rounds that the timing budget allows, but enough for a median and a spread."""
    affordable = int(_TIMING_BUDGET_S / max(seconds_per_round, 1e-3))
    return min(max(affordable, _TIMING_RUNS.start), _TIMING_RUNS[-1])


def _count_checks(
    card: Card, config: RunConfig, prepared: Prepared, snn: Profile, twin: Profile
) -> tuple[Check, ...]:
    """Dense operations of the two networks against each other, fvcore and the card."""
    per_sample = twin.dense.synops // config.samples
    example = twin_input(next(_batches(prepared.samples, config, 0))[0])[:1]
    fvcore_total, unsupported = fvcore_macs(prepared.twin, example)
    note = f"fvcore has no rule for {', '.join(sorted(unsupported))}" if unsupported else ""
    checks = [
        _equal(
            "SNN dense operations = T x twin dense MACs",
            twin.dense.synops * config.timesteps,
            snn.dense.synops,
        ),
        _equal("twin dense MACs per sample, fvcore", fvcore_total, per_sample, note),
    ]
    if card.expected is not None and config.width == 1 and config.shortcut == "paper":
        parameters = sum(p.numel() for p in prepared.network.parameters())
        checks += [
            _equal("twin dense MACs per sample, card", card.expected.twin_dense_macs, per_sample),
            _equal("parameters, card", card.expected.parameters, parameters),
            _equal("spiking layers, card", card.expected.spiking_layers, len(snn.neurons)),
        ]
    return tuple(checks)


def _equal(name: str, expected: int, measured: int, note: str = "") -> Check:
    return Check(
        name=name, expected=expected, measured=measured, ok=expected == measured, note=note
    )


def _ticking_modules(network: nn.Module) -> list[nn.Module]:
    return [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


@contextmanager
def _ticking(show: Callable[[int], None], *networks: nn.Module) -> Iterator[None]:
    """Show how many convolutions and linear layers have run."""
    ticks = itertools.count(1)
    handles = [
        module.register_forward_hook(lambda *_: show(next(ticks)))
        for network in networks
        for module in _ticking_modules(network)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
