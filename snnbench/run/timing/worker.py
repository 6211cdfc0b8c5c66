"""The process that times networks: ``python -m snnbench.run.timing.worker <specification>``.

It writes one JSON object per line to its standard output: the calls done so far, then the times,
or the error that stopped it.
"""

from __future__ import annotations

import gc
import json
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import torch
from torch import Tensor

from snnbench.core.process import OtherLoad, set_threads
from snnbench.run.timing import cuda

_MOST_CALLS = 1_000_000
_CLOCK_SECONDS = 1e-7
_MARGIN = 1.05
_TRIALS = 3


def round_order(networks: int, index: int) -> list[int]:
    """Order in which round ``index`` times the networks.

    Rotated every second round and reversed in between, so that over ``2 * networks`` rounds each
    network stands equally often in each place and, for up to three networks, behind each other.
    """
    shift = index // 2 % networks
    order = [(place + shift) % networks for place in range(networks)]
    return order[::-1] if index % 2 else order


def calls_per_run(
    timed: Callable[[int], float], fastest_call: float, min_run_seconds: float
) -> int:
    """Calls that fill ``min_run_seconds``, found by trying.

    A single call after a pause finds cold caches and takes several times as long as one of many,
    so the warm-up alone would give runs that are too short.

    Args:
        timed: Function that makes a number of calls and returns their time in seconds.
        fastest_call: Time of the fastest call of the warm-up, in seconds.
        min_run_seconds: Shortest time of a run, in seconds.
    """
    number, seconds = 1, fastest_call
    while seconds < min_run_seconds and number < _MOST_CALLS:
        short_of = min_run_seconds / max(seconds, _CLOCK_SECONDS)
        number = min(_MOST_CALLS, math.ceil(number * short_of * _MARGIN))
        seconds = min(timed(number) for _ in range(_TRIALS))
    return number


def time_calls(network: Callable[[Tensor], object], x: Tensor, number: int) -> float:
    """Seconds of ``number`` calls, without garbage collection and with the device idle around."""
    gc.collect()
    gc.disable()
    try:
        if x.is_cuda:
            return cuda.time_calls(network, x, number)
        start = time.perf_counter()
        for _ in range(number):
            network(x)
        return time.perf_counter() - start
    finally:
        gc.enable()


def time_networks(
    networks: Sequence[Callable[[Tensor], object]],
    inputs: Sequence[Tensor],
    *,
    runs: int,
    warmup: int,
    min_run_seconds: float,
    done: Callable[[], None],
) -> list[dict[str, Any]]:
    """Warm every network up, then time them in turn, ``runs`` rounds.

    Args:
        networks: Networks in evaluation mode, on their device.
        inputs: Input of each network.
        runs: Raw times to take of each network.
        warmup: Calls of each network before.
        min_run_seconds: Shortest time of a run, in seconds.
        done: Called after every warm-up call and every run.

    Returns:
        ``number_per_run``, ``raw_seconds`` and ``warmup_seconds`` of each network.
    """
    times: list[dict[str, Any]] = []
    for network, x in zip(networks, inputs, strict=True):
        warm = []
        for _ in range(warmup):
            warm.append(time_calls(network, x, 1))
            done()
        number = calls_per_run(partial(time_calls, network, x), min(warm), min_run_seconds)
        times.append({"number_per_run": number, "raw_seconds": [], "warmup_seconds": warm})
    for index in range(runs):
        for i in round_order(len(networks), index):
            seconds = time_calls(networks[i], inputs[i], times[i]["number_per_run"])
            times[i]["raw_seconds"].append(seconds)
            done()
    return times


def _send(channel: TextIO, **message: object) -> None:
    channel.write(json.dumps(message) + "\n")
    channel.flush()


def _report_failures(channel: TextIO) -> None:
    """Send what stops this process to the parent, which has no other way to learn the message."""

    def report(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        _send(channel, error=f"{kind.__name__}: {' '.join(str(error).split())}")
        sys.__excepthook__(kind, error, trace)

    sys.excepthook = report


def main(specification: Path) -> None:
    """Time what the specification asks for and send the times."""
    # What a network prints must not mix with the messages.
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    _report_failures(channel)
    # Written a moment ago by the parent into a folder only this user can read.
    spec = torch.load(specification, map_location="cpu", weights_only=False)
    specification.unlink()
    set_threads(spec["threads"])
    networks = [network.to(spec["device"]).eval() for network in spec["networks"]]
    inputs = [x.to(spec["device"]) for x in spec["inputs"]]
    with torch.inference_mode():
        executions: list[dict[str, str]] = [{} for _ in networks]
        if inputs[0].is_cuda:
            for i, (network, x) in enumerate(zip(networks, inputs, strict=True)):
                networks[i], executions[i]["execution"] = cuda.prepare(network, x)
        others = OtherLoad()
        times = time_networks(
            networks,
            inputs,
            runs=spec["runs"],
            warmup=spec["warmup"],
            min_run_seconds=spec["min_run_seconds"],
            done=lambda: _send(channel, done=1),
        )
    load = {"other_load": others.share()}
    _send(channel, times=[item | how | load for item, how in zip(times, executions, strict=True)])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
