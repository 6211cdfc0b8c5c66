"""Honest wall-clock times: hook-free, interleaved, in a process of its own.

The networks travel to a fresh Python process in a private temporary file, not by forking or
``multiprocessing``, so that neither the caller's threads nor its ``__main__`` interfere.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snnbench.core.errors import OutputError, SnnbenchError, UsageError
from snnbench.core.files import temporary_folder
from snnbench.results.run import Timing

if TYPE_CHECKING:
    from torch import Tensor, nn

_WORKER = "snnbench.run.timing.worker"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    runs: int
    warmup: int
    threads: int
    device: str
    min_run_seconds: float
    processes: int

    def __post_init__(self) -> None:
        for name in ("runs", "warmup", "threads", "processes"):
            if getattr(self, name) < 1:
                msg = f"{name} is {getattr(self, name)}: choose 1 or more"
                raise UsageError(msg)


def measure(
    networks: Mapping[str, nn.Module],
    inputs: Mapping[str, Tensor],
    *,
    runs: int,
    warmup: int,
    threads: int,
    device: str,
    batch_size: int,
    min_run_seconds: float = 0.1,
    processes: int = 1,
    progress: Callable[[int, int], None] | None = None,
    note: Callable[[str], None] | None = None,
) -> tuple[Timing, ...]:
    """Time networks against each other.

    Each worker process warms every network up and then times them in turn: one run of each per
    round, in an order that changes from round to round, so that drift of the machine meets all of
    them. A run is ``number_per_run`` calls, as many as fill ``min_run_seconds``; a raw time is the
    whole run's, so one call took ``raw_seconds[i] / number_per_run``. Round i of one network was
    measured beside round i of the others.

    On a GPU the clock is its own (CUDA events), and calls replay a CUDA graph where one can be
    captured. That path is written, but has not been measured yet.

    Args:
        networks: By name; copied, so the caller's stay as they are. They run as given, in
            evaluation and inference mode: remove hooks before.
        inputs: What each network is called with, by the same names.
        runs: Raw times per network and process.
        warmup: Calls before, whose times are kept apart.
        threads: Intra-operation threads of torch.
        device: ``cpu``, ``cuda`` or ``cuda:<index>``.
        batch_size: Samples in one call, recorded; an input may lead with time instead of samples.
        min_run_seconds: Shortest run, in seconds; a longer one hides the clock's granularity.
        processes: Worker processes, one after another: memory layout differs between processes
            more than between runs.
        progress: Called with (timed runs and warm-up calls so far, all of them).
        note: Called with how each network ran on a GPU: as a CUDA graph or eagerly, and why.

    Returns:
        One ``Timing`` per network and process, processes in order.

    Raises:
        UsageError: Names differ, a number is less than 1, or a network cannot be pickled.
        OutputError: The temporary folder has no room for the networks.
        SnnbenchError: The worker failed; carries its message.
    """
    plan = _Plan(
        runs=runs,
        warmup=warmup,
        threads=threads,
        device=device,
        min_run_seconds=min_run_seconds,
        processes=processes,
    )
    if not networks or networks.keys() != inputs.keys():
        msg = f"networks {sorted(networks)} and inputs {sorted(inputs)} must have the same names"
        raise UsageError(msg)
    total = processes * len(networks) * (warmup + runs)
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    timings = []
    for process in range(processes):
        times = _run_worker(networks, inputs, plan, advance)
        for name, item in zip(networks, times, strict=True):
            if note is not None and process == 0 and "execution" in item:
                note(f"{name} on {device}, batch of {batch_size}: {item['execution']}")
            timings.append(
                Timing(
                    name=name,
                    device=device,
                    batch_size=batch_size,
                    number_per_run=item["number_per_run"],
                    raw_seconds=tuple(item["raw_seconds"]),
                    warmup_seconds=tuple(item["warmup_seconds"]),
                    threads=threads,
                    process=process,
                    execution=item.get("execution"),
                    other_load=item.get("other_load"),
                )
            )
    return tuple(timings)


def _run_worker(
    networks: Mapping[str, nn.Module],
    inputs: Mapping[str, Tensor],
    plan: _Plan,
    advance: Callable[[], None],
) -> list[dict[str, Any]]:
    with temporary_folder("snnbench-") as folder:
        specification = folder / "networks.pt"
        log = folder / "worker.log"
        _write_specification(specification, networks, inputs, plan)
        error = None
        with log.open("wb") as stderr, _worker(specification, plan.threads, stderr) as process:
            for message in _messages(process):
                if "times" in message:
                    times: list[dict[str, Any]] = message["times"]
                    return times
                if "error" in message:
                    error = str(message["error"])
                    break
                advance()
            status = process.wait()
        last = log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
    msg = f"timing {', '.join(networks)} failed: {error or _death(status, last)}"
    raise SnnbenchError(msg)


def _write_specification(
    path: Path, networks: Mapping[str, nn.Module], inputs: Mapping[str, Tensor], plan: _Plan
) -> None:
    import torch

    for name, network in networks.items():
        for module in network.modules():
            if type(module).__module__ == "__main__":
                msg = (
                    f"network {name} cannot be timed: class {type(module).__qualname__} is defined "
                    "in the running script; move it to a module that can be imported"
                )
                raise UsageError(msg)
    content = asdict(plan) | {
        "networks": list(networks.values()),
        "inputs": [inputs[name] for name in networks],
    }
    try:
        torch.save(content, path)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        msg = (
            f"networks {', '.join(networks)} cannot be timed, since they cannot be pickled "
            f"({error}); define their classes and functions at the top level of a module"
        )
        raise UsageError(msg) from error
    except (OSError, RuntimeError) as error:
        msg = f"cannot write {path} ({error}); free space or set TMPDIR to a larger folder"
        raise OutputError(msg) from error


@contextmanager
def _worker(specification: Path, threads: int, stderr: Any) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {
        # The worker finds what the caller can import, but not what lies in the working folder.
        "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),
        "PYTHONSAFEPATH": "1",
        "OMP_NUM_THREADS": str(threads),
        "NUMBA_NUM_THREADS": str(threads),
        # A killed worker leaves its temporary files where the caller removes them.
        "TMPDIR": str(specification.parent),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", _WORKER, str(specification)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,  # Ctrl-C reaches the caller alone, which then stops the worker
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _messages(process: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
    if process.stdout is None:
        return
    for line in process.stdout:
        yield json.loads(line)


def _death(status: int, last: str) -> str:
    reason = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
    hint = "; if memory ran out, choose a smaller batch" if status == -signal.SIGKILL else ""
    return f"the worker process ended with {reason}{f' ({last})' if last else ''}{hint}"
