"""One process of ``ab_experiment.py``: counts and times a small network, slowed if asked to."""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from snnbench.compare.ab import verdict
from snnbench.metrics.catalogue import LATENCY
from snnbench.results.run import Timing

SLOWDOWN = 1.25
SLOWER_LAYER = 1.3
LAYER = "block2.1.neurons.0"
TIMED = {name: LATENCY[name] for name in verdict.GATED_TIMES}


class Silent:
    """A reporter that says nothing."""

    @contextmanager
    def stage(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show nothing."""
        yield lambda done: None

    def note(self, message: str) -> None:
        """Show nothing."""


def run_once(folder: Path, seconds: float, *, planted: bool) -> None:
    """Count and time a small network, as one process of one side."""
    from snnbench.results.files import save
    from snnbench.run import runner
    from snnbench.run.config import configure
    from snnbench.zoo import registry

    images = folder / "images"
    images.mkdir()
    write_image(images / "noise.png")
    slow_layer(SLOWER_LAYER if planted else 1.0)
    factor = SLOWDOWN if planted else 1.0
    runner.time_networks = lambda networks, inputs, *_args, **_options: time_here(
        {name: slowed(networks[name], factor) for name in networks if name in TIMED.values()},
        inputs[:1],
        seconds,
    )
    benchmark = registry.get("plain20")
    config = configure(
        benchmark,
        untrained=True,
        width=0.25,
        samples=1,
        threads=1,
        engine="event",
        data=str(images),
    )
    save(runner.run(benchmark, config, Silent(), folder), folder / "result.json")


def write_image(path: Path) -> None:
    """Noise; embedded data would load scikit-learn, which takes longer than counting."""
    import numpy as np
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def slowed(network: Callable[[Any], object], factor: float) -> Callable[[Any], object]:
    """``network``, each call ``factor`` times as long."""

    def call(x: Any) -> object:
        start = time.perf_counter()
        output = network(x)
        wait_until(start + factor * (time.perf_counter() - start))
        return output

    return call


def slow_layer(factor: float) -> None:
    """Make the step ``LAYER`` of every engine take ``factor`` times as long by itself."""
    from snnbench.engine.execute import EventSegment

    run = EventSegment.run

    def slower(self: EventSegment, store: Any) -> None:
        start = time.perf_counter()
        run(self, store)
        if [step.name for step in self.steps] == [LAYER]:
            wait_until(start + factor * (time.perf_counter() - start))

    EventSegment.run = slower  # type: ignore[method-assign]


def wait_until(end: float) -> None:
    """Keep the processor until then."""
    while time.perf_counter() < end:
        pass


def time_here(
    networks: Mapping[str, Callable[[Any], object]], one: Any, seconds: float
) -> tuple[Timing, ...]:
    """Times of networks in turn, in this process, for some ``seconds``."""
    from snnbench.run.timing.worker import time_networks

    gc.freeze()  # what was imported and counted before would be searched at every run
    runs = 15
    times = time_networks(
        list(networks.values()),
        [one] * len(networks),
        runs=runs,
        warmup=3,
        min_run_seconds=seconds / (runs * len(networks)),
        done=lambda: None,
    )
    return tuple(
        Timing(
            name=name,
            device="cpu",
            batch_size=1,
            number_per_run=item["number_per_run"],
            raw_seconds=tuple(item["raw_seconds"]),
            warmup_seconds=tuple(item["warmup_seconds"]),
            threads=1,
        )
        for name, item in zip(networks, times, strict=True)
    )


def main() -> None:
    """Parse the arguments."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, help="for result.json")
    parser.add_argument("--seconds", type=float, default=0.5, help="of timing")
    parser.add_argument("--planted", action="store_true", help="slow the networks down")
    options = parser.parse_args()
    run_once(options.folder, options.seconds, planted=options.planted)


if __name__ == "__main__":
    main()
