"""The order of passes of one benchmark: build, check, count, fold, time. Nowhere else."""

from __future__ import annotations

import copy
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
from snnbench.nn.blocks import Shortcut
from snnbench.nn.norm import calibrate_batch_norm
from snnbench.partial import Partial
from snnbench.records import Profile
from snnbench.registry import Benchmark
from snnbench.run_records import Accuracy, Check, Folding, RunConfig, RunResult, Timing, WeightsInfo

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
        folding, folding_check, timings = _fold_and_time(prepared, config, reporter)
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
        checks=(
            *prepared.checks,
            *_count_checks(benchmark.card, config, prepared, snn, twin),
            folding_check,
        ),
        folding=folding,
        timings=timings,
        created_utc=datetime.now(tz=UTC).isoformat(timespec="seconds"),
    )


def _encoding_and_head(network: nn.Module) -> tuple[str, ...]:
    return tuple(getattr(network, "encoding_and_head", ()))


def _prepare(benchmark: Benchmark, config: RunConfig, reporter: Reporter) -> Prepared:
    card = benchmark.card
    network = benchmark.build(
        timesteps=config.timesteps,
        width=config.width or 1.0,
        shortcut=cast("Shortcut", config.shortcut),
    ).eval()
    samples = load_samples(
        card.input,
        samples=config.samples,
        timesteps=config.timesteps,
        path=None if config.data is None else Path(config.data),
        seed=config.seed,
        classes=card.classes,
    )
    state = None if config.weights is None else weights.load_state(Path(config.weights))
    if state is not None:
        weights.apply_state(network, state)
    network = network.to(config.device)
    twin = ann_twin(network)
    checks = check_twin(network, twin)
    calibration = _first(samples.inputs, _calibration_size(config)).to(config.device)
    with (
        reporter.stage("calibrating batch norm", 2 * len(_ticking_modules(twin))) as show,
        _ticking(show, network, twin),
    ):
        if state is None:
            calibrate_batch_norm(network, calibration)
        calibrate_batch_norm(twin, twin_input(calibration))
    info = _weights_info(config, network, untrained=state is None)
    if state is None:
        reporter.note(
            "weights are UNTRAINED: operation counts that depend on firing rates say nothing about "
            "a trained network; pass --weights FILE"
        )
    return Prepared(network=network, twin=twin, samples=samples, weights=info, checks=checks)


def _calibration_size(config: RunConfig) -> int:
    """Samples for batch statistics: a batch, and two where a batch is one large image."""
    return min(config.samples, max(config.batch_size, 2))


def _first(inputs: Tensor, samples: int) -> Tensor:
    """The first samples: along axis 0 of images, axis 1 of event frames."""
    return inputs.narrow(_sample_axis(inputs), 0, samples)


def _sample_axis(inputs: Tensor) -> int:
    return 1 if inputs.ndim == 5 else 0


def _weights_info(config: RunConfig, network: nn.Module, *, untrained: bool) -> WeightsInfo:
    sha256 = weights.state_sha256(network.state_dict())
    if untrained:
        return WeightsInfo(
            status="untrained",
            description=(
                f"kaiming initialisation, seed {config.seed}; tdBN statistics calibrated on the "
                f"first {_calibration_size(config)} of the counted samples"
            ),
            sha256=sha256,
        )
    return WeightsInfo(status="trained", description=Path(str(config.weights)).name, sha256=sha256)


def _batches(
    samples: Samples, config: RunConfig, start: int
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Batches of inputs and labels."""
    axis = _sample_axis(samples.inputs)
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
) -> tuple[Folding, Check, tuple[Timing, ...]]:
    """Fold the batch norms, measure what that changes, then time both networks (pass 2)."""
    one = _first(prepared.samples.inputs, 1).to(config.device)
    folded = fold_batch_norm(prepared.network)
    ticks = 4 * len(_ticking_modules(prepared.network))
    with reporter.stage("folding tdBN", ticks) as show, _ticking(show, prepared.network):
        start = time.perf_counter()
        folding = measure_folding(prepared.network, folded, one)
        seconds = (time.perf_counter() - start) / 2
        check = _folding_check(prepared.network, one)
    if not config.latency:
        return folding, check, ()
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
    return folding, check, timings


def _folding_check(network: nn.Module, one: Tensor) -> Check:
    """Fold in double precision, where rounding flips no spike: the algebra of eq. 9-10 alone.

    In float32 a spike that rounding flips early changes many later ones in a deep network, folded
    or not; a single timestep in float64 shows whether the folding itself is right.
    """
    exact = copy.deepcopy(network).double()
    for module in exact.modules():
        if isinstance(getattr(module, "timesteps", None), int):
            module.timesteps = 1  # type: ignore[assignment]
    step = (one[:1] if one.ndim == 5 else one).double()
    folding = measure_folding(exact, fold_batch_norm(exact), step)
    difference = folding.output_max_abs_difference / max(folding.output_max_abs, 1e-300)
    return Check(
        name="spikes flipped by folding tdBN, float64, one timestep",
        expected=0,
        measured=folding.flipped_spikes,
        ok=folding.flipped_spikes == 0 and difference < 1e-9,
        note=f"outputs differ by {difference:.1e} of the largest",
    )


def _timing_runs(seconds_per_round: float) -> int:
    """Rounds that the timing budget allows, but enough for a median and a spread."""
    affordable = int(_TIMING_BUDGET_S / max(seconds_per_round, 1e-3))
    return min(max(affordable, _TIMING_RUNS.start), _TIMING_RUNS[-1])


def _count_checks(
    card: Card, config: RunConfig, prepared: Prepared, snn: Profile, twin: Profile
) -> tuple[Check, ...]:
    """Dense operations of the two networks against each other, fvcore and the card."""
    per_sample = twin.dense.synops // config.samples
    example = twin_input(_first(prepared.samples.inputs, 1).to(config.device))
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
