"""The event engine against dense networks: what it must show, measured and printed as one table.

Run ``python tools/experiments/engine_speed.py``; name sections to run fewer. Networks have random
weights and thresholds tuned to a firing rate of 0.13 in every layer. All ways run in turn in every
round of one process; ratios are medians over rounds, with quartiles.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

import snnbench
from snnbench.core.statistics import quartiles
from snnbench.engine.dense.packed import prepack
from snnbench.engine.layer_latency import TimedLayer, threshold_for
from snnbench.nn.fold import fold_batch_norm
from snnbench.nn.meters import record_spikes
from snnbench.nn.neuron import LIF
from snnbench.nn.norm import calibrate_batch_norm
from snnbench.nn.twin import ann_twin
from snnbench.results.layer_latency import LayerShape
from snnbench.zoo import registry

FIRING_RATE = 0.13
ROUNDS = 25
FORMATS = ("float32", "int16", "bfloat16")
LAYERS = ((128, 32), (256, 16), (512, 8), (128, 56), (256, 28), (512, 14), (1024, 7))
"""Channels and size of 3x3 convolutions: ResNet-19, then the stages of ResNet-34-large."""
RATES = (0.05, 0.1, 0.15)
MIB = 2**20

Seconds = dict[str, list[float]]
Row = tuple[str, str]


@torch.inference_mode()
def tuned_network(name: str, T: int, rate: float = FIRING_RATE) -> tuple[nn.Module, Tensor]:
    """A benchmark's network with random weights whose layers all fire at a rate, and its input.

    Each threshold is set in the one forward that calibrates the batch norms, so layer by layer.
    """
    torch.manual_seed(0)
    benchmark = registry.get(name)
    network = benchmark.build(timesteps=T).eval()
    x = torch.randn(1, *benchmark.card.input.shape)

    def tune(neuron: LIF, args: tuple[Tensor]) -> None:
        neuron.threshold = threshold_for(args[0], rate, decay=neuron.decay)

    handles = [
        module.register_forward_pre_hook(tune)
        for module in network.modules()
        if isinstance(module, LIF)
    ]
    calibrate_batch_norm(network, x)
    for handle in handles:
        handle.remove()
    return network, x


def firing_rates(network: nn.Module, x: Tensor) -> list[float]:
    """Firing rate of every layer of neurons, in order of execution."""
    with torch.inference_mode(), record_spikes(network) as spikes:
        network(x)
    return [float(fired.double().mean()) for fired in spikes.values()]


def ways(network: nn.Module, x: Tensor, formats: tuple[str, ...]) -> dict[str, Callable]:
    """The network event-driven and dense, and its twin, each ready to be called with ``x``."""
    with torch.inference_mode():
        twin = ann_twin(network)
        calibrate_batch_norm(twin, x)
    folded, folded_twin = fold_batch_norm(network).model, fold_batch_norm(twin).model
    return {
        **{f: snnbench.compile(network, x, weights_dtype=f, threads=1) for f in formats},
        "dense": prepack(folded, x),
        "twin": prepack(folded_twin, x),
        "twin eager": folded_twin,
    }


@torch.inference_mode()
def interleaved(calls: Mapping[str, Callable], x: Tensor, rounds: int, warmup: int = 2) -> Seconds:
    """Times of every call in every round, in random order."""
    order = random.Random(0)
    seconds: Seconds = {name: [] for name in calls}
    for _ in range(warmup + rounds):
        for name in order.sample(list(calls), len(calls)):
            start = time.perf_counter()
            calls[name](x)
            seconds[name].append(time.perf_counter() - start)
    return {name: times[warmup:] for name, times in seconds.items()}


def ratio(seconds: Seconds, numerator: str, denominator: str) -> list[float]:
    """Round by round."""
    return [a / b for a, b in zip(seconds[numerator], seconds[denominator], strict=True)]


def told(values: list[float], scale: float = 1.0, unit: str = "") -> str:
    """Median and quartiles."""
    low, high = quartiles(values)
    return f"{median(values) * scale:.3g}{unit} ({low * scale:.3g}-{high * scale:.3g})"


def network_rows(rounds: int) -> list[Row]:
    rows = []
    for T in (2, 4, 6):
        network, x = tuned_network("resnet19", T)
        seconds = interleaved(ways(network, x, FORMATS), x, rounds)
        rates = firing_rates(network, x)
        label = f"ResNet-19 T={T}"
        rows.append((f"{label} firing rates", f"{min(rates):.3f}-{max(rates):.3f}"))
        rows += [(f"{label} {name} ms", told(s, 1e3)) for name, s in seconds.items()]
        for f in FORMATS:
            rows.append((f"{label} dense / {f}", told(ratio(seconds, "dense", f))))
            rows.append((f"{label} {f} / twin", told(ratio(seconds, f, "twin"))))
            rows.append((f"{label} {f} / twin eager", told(ratio(seconds, f, "twin eager"))))
    return rows


def layer_shape(channels: int, size: int) -> LayerShape:
    return LayerShape(
        in_channels=channels,
        out_channels=channels,
        kernel=(3, 3),
        stride=(1, 1),
        padding=(1, 1),
        height=size,
        width=size,
    )


def layer_rows(rounds: int) -> list[Row]:
    rows = []
    for f in FORMATS:
        for channels, size in LAYERS:
            speed = TimedLayer(layer_shape(channels, size), timesteps=4, weights_dtype=f)
            for rate in RATES:
                point = speed.measure(rate, rounds=rounds)
                low, high = point.speedup_quartiles
                rows.append(
                    (
                        f"layer {channels}@{size} T=4 p={rate:g} dense / {f}",
                        f"{point.speedup:.3g} ({low:.3g}-{high:.3g}); "
                        f"convolution alone {point.speedup_over_convolution:.3g}; "
                        f"{point.interrupted_rounds} of {rounds} rounds interrupted",
                    )
                )
    return rows


def thread_rows(rounds: int) -> list[Row]:
    network, x = tuned_network("resnet19", 4)
    rows = []
    for f in ("float32", "int16"):
        calls = {str(n): snnbench.compile(network, x, weights_dtype=f, threads=n) for n in (1, 2)}
        rows.append(
            (
                f"ResNet-19 T=4 {f} 1 / 2 threads",
                told(ratio(interleaved(calls, x, rounds), "1", "2")),
            )
        )
    return rows


def large_rows(rounds: int) -> list[Row]:
    network, x = tuned_network("resnet34-large", 6)
    seconds = interleaved(ways(network, x, ("float32", "int16")), x, rounds=max(3, rounds // 5))
    label = "ResNet-34-large T=6"
    rows = [(f"{label} {name} ms", told(s, 1e3)) for name, s in seconds.items()]
    rows += [
        (f"{label} dense / {f}", told(ratio(seconds, "dense", f))) for f in ("float32", "int16")
    ]
    for way in ("float32", "int16", "dense", "twin"):
        rows += [(f"{label} {way} {k}", v) for k, v in child("memory", way).items()]
    return rows


def cold_rows(_rounds: int) -> list[Row]:
    seconds = cold_seconds("resnet34-large", 6)
    return [(f"ResNet-34-large compile, {k} cache", f"{v:.2f} s") for k, v in seconds.items()]


def cold_seconds(name: str, T: int) -> dict[str, float]:
    """Seconds to compile in a fresh process, with an empty cache of kernels and a filled one."""
    with tempfile.TemporaryDirectory() as folder:
        return {
            cache: child("compile", name, str(T), NUMBA_CACHE_DIR=folder)["seconds"]
            for cache in ("empty", "filled")
        }


def child(*arguments: str, **variables: str) -> dict[str, Any]:
    """What this script prints as JSON in a fresh process."""
    done = subprocess.run(
        [sys.executable, __file__, "--child", *arguments],
        capture_output=True,
        check=True,
        text=True,
        env=os.environ | variables,
    )
    return json.loads(done.stdout.splitlines()[-1])


def memory_here(way: str) -> dict[str, str]:
    """Memory above that of the imports, in MiB: peak of making the network ready, and of calls.

    The network itself is given up once it is ready.
    """
    network, _ = tuned_network("resnet34-large", 6)
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.pt"
        torch.save(network, path)
        return child("ready", way, str(path)) | {"weights, MiB": f"{weights / MIB:.0f}"}


def ready_here(way: str, path: str) -> dict[str, str]:
    before = resident("VmRSS")
    network = torch.load(path, weights_only=False)
    x = torch.randn(1, *registry.get("resnet34-large").card.input.shape)
    if way == "dense":
        call: Callable = prepack(fold_batch_norm(network).model, x)
    elif way == "twin":
        call = prepack(fold_batch_norm(ann_twin(network)).model, x)
    else:
        call = snnbench.compile(network, x, weights_dtype=way, threads=1)
    del network
    ready = resident("VmHWM")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the peak
    with torch.inference_mode():
        for _ in range(2):
            call(x)
    return {
        "peak of preparing, MiB": f"{(ready - before) / MIB:.0f}",
        "peak of calls, MiB": f"{(resident('VmHWM') - before) / MIB:.0f}",
    }


def resident(field: str) -> int:
    """``VmRSS`` (now) or ``VmHWM`` (peak) of this process, in bytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024


def compile_here(name: str, T: str) -> dict[str, float]:
    network, x = tuned_network(name, int(T))
    start = time.perf_counter()
    snnbench.compile(network, x, threads=1)(x)
    return {"seconds": time.perf_counter() - start}


SECTIONS = {
    "networks": network_rows,
    "layers": layer_rows,
    "threads": thread_rows,
    "large": large_rows,
    "cold": cold_rows,
}
CHILDREN = {"memory": memory_here, "ready": ready_here, "compile": compile_here}


def main(arguments: list[str]) -> None:
    torch.set_num_threads(1)
    if arguments[:1] == ["--child"]:
        print(json.dumps(CHILDREN[arguments[1]](*arguments[2:])))
        return
    for name in arguments or SECTIONS:
        for label, value in SECTIONS[name](ROUNDS):
            print(f"{label:<60} {value}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
