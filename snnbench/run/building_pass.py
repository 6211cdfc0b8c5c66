"""The networks and samples of a run, built and calibrated."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from snnbench.core.progress import Reporter
from snnbench.data.draw import Samples, draw_samples
from snnbench.nn.layout import Layout, layout_of
from snnbench.nn.meters import tick, ticks
from snnbench.nn.norm import calibrate_batch_norm
from snnbench.nn.twin import ann_twin, check_twin
from snnbench.results.run import Check, RunConfig, WeightsInfo
from snnbench.zoo import networks, shipped
from snnbench.zoo.registry import Benchmark


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Networks and input of a run, ready to be counted.

    Attributes:
        network: The spiking network, in evaluation mode.
        twin: Its ANN twin.
        samples: Input of both networks, and its labels.
        layout: Axes of time and samples in the input.
        first_sample: The first sample, on the networks' device.
        weights: Provenance of the spiking network's weights.
        twin_weights: Provenance of the twin's own weights, if it has any.
        checks: Cross-checks of the twin's structure.
    """

    network: nn.Module
    twin: nn.Module
    samples: Samples
    layout: Layout
    first_sample: Tensor
    weights: WeightsInfo
    twin_weights: WeightsInfo | None
    checks: tuple[Check, ...]


def prepare(benchmark: Benchmark, config: RunConfig, reporter: Reporter) -> Prepared:
    """Build the networks, draw the samples, and calibrate batch norms of networks without training.

    Raises:
        UsageError: An argument is out of range, or no such weights come with the benchmark.
        WeightsError: The weights cannot be read or do not fit.
        DataError: Data is missing, broken, too little, or does not fit the benchmark.
        StructureError: The network does not return one number for each class.
    """
    with reporter.stage("building networks, data", 1):
        network = networks.configured(benchmark, config)
        twin = ann_twin(network)
        checks = check_twin(network, twin)
        if config.twin_weights is not None:
            networks.load(twin, benchmark, config.twin_weights)
        samples = draw(benchmark, config, config.samples)
    layout = layout_of(samples.inputs)
    first_sample = layout.first_samples(samples.inputs, 1).to(config.device)
    networks.check_outputs(network, benchmark.card, first_sample)
    # a batch, but two samples where a batch is one large image
    size = min(config.samples, max(config.batch_size, 2))
    calibration = layout.first_samples(samples.inputs, size).to(config.device)
    with (
        reporter.stage("calibrating batch norm", ticks(network, twin)) as show,
        tick(show, network, twin),
    ):
        if config.weights is None:
            calibrate_batch_norm(network, calibration)
        if config.twin_weights is None:
            calibrate_batch_norm(twin, layout.twin_input(calibration))
    description = (
        f"kaiming initialisation, seed {config.seed}; tdBN statistics calibrated on the "
        f"first {size} of the counted samples"
    )
    twin_weights = None
    if config.twin_weights is not None:
        twin_weights = networks.info(benchmark, twin, config.twin_weights, description)
    if config.weights is None:
        others = ", ".join(shipped.shipped(benchmark))
        reporter.note(
            "weights are UNTRAINED: operation counts that depend on firing rates say nothing about "
            "a trained network; pass --weights FILE"
            + (f", or a --width and --data of shipped weights: {others}" if others else "")
        )
    return Prepared(
        network=network,
        twin=twin,
        samples=samples,
        layout=layout,
        first_sample=first_sample,
        weights=networks.info(benchmark, network, config.weights, description),
        twin_weights=twin_weights,
        checks=checks,
    )


def draw(benchmark: Benchmark, config: RunConfig, samples: int) -> Samples:
    """Draw samples of the data that a run is fed.

    Raises:
        DataError: Data is missing, broken, too little, or does not fit the benchmark.
    """
    return draw_samples(
        benchmark.card.input,
        data=config.data,
        samples=samples,
        timesteps=config.timesteps,
        seed=config.seed,
        classes=benchmark.card.classes,
    )
