"""Wall-clock times of networks: without hooks, in interleaved rounds, in another process.

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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snnbench.core.errors import OutputError, SnnbenchError, UsageError
from snnbench.core.files import temporary_folder
from snnbench.results.run import Timing

if TYPE_CHECKING:
    from torch import Tensor, nn

_WORKER = "snnbench.run.timing.worker"


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
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    note: Callable[[str], None] = lambda _message: None,
) -> tuple[Timing, ...]:
    """Time networks against each other.

    A worker process warms every network up and then times them in turn: one run of each per
    round, in an order that changes from round to round, so that drift of the machine meets all of
    them. A run is ``number_per_run`` calls, as many as fill ``min_run_seconds``; a raw time is the
    whole run's, so one call took ``raw_seconds[i] / number_per_run``. Round i of one network was
    measured beside round i of the others.

    On a GPU the clock is its own (CUDA events), and calls replay a CUDA graph where one can be
    captured. That path is written, but has not been measured yet.

    Args:
        networks: Networks by name; copies of them run in evaluation and inference mode, with
            their hooks, so remove hooks before.
        inputs: Input of each network, by the same names.
        runs: Raw times per network.
        warmup: Calls of each network before, whose times are kept apart.
        threads: Intra-operation threads of torch.
        device: ``cpu``, ``cuda`` or ``cuda:<index>``.
        batch_size: Samples in one call, recorded; an input may lead with time instead of samples.
        min_run_seconds: Shortest run, in seconds; a longer one hides the clock's granularity.
        progress: Called with the number of timed runs and warm-up calls so far, and in all.
        note: Called with how each network ran on a GPU: as a CUDA graph or eagerly, and why.

    Returns:
        One ``Timing`` per network.

    Raises:
        UsageError: Names differ, a number is less than 1, or a network cannot be pickled.
        OutputError: The temporary folder has no room for the networks.
        SnnbenchError: The worker failed; carries its message.
    """
    counts = {"runs": runs, "warmup": warmup, "threads": threads}
    for name, number in counts.items():
        if number < 1:
            msg = f"{name} is {number}: choose 1 or more"
            raise UsageError(msg)
    if not networks or networks.keys() != inputs.keys():
        msg = f"networks {sorted(networks)} and inputs {sorted(inputs)} must have the same names"
        raise UsageError(msg)
    settings = counts | {"device": device, "min_run_seconds": min_run_seconds}
    times = dict(zip(networks, _run_worker(networks, inputs, settings, progress), strict=True))
    for name, item in times.items():
        if "execution" in item:
            note(f"{name} on {device}, batch of {batch_size}: {item['execution']}")
    return tuple(
        Timing(
            name=name,
            device=device,
            batch_size=batch_size,
            number_per_run=item["number_per_run"],
            raw_seconds=tuple(item["raw_seconds"]),
            warmup_seconds=tuple(item["warmup_seconds"]),
            threads=threads,
            execution=item.get("execution"),
            other_load=item.get("other_load"),
        )
        for name, item in times.items()
    )


def _run_worker(
    networks: Mapping[str, nn.Module],
    inputs: Mapping[str, Tensor],
    settings: Mapping[str, Any],
    progress: Callable[[int, int], None],
) -> list[dict[str, Any]]:
    with temporary_folder("snnbench-") as folder:
        specification = folder / "networks.pt"
        log = folder / "worker.log"
        _write_specification(specification, networks, inputs, settings)
        error = None
        threads = settings["threads"]
        with log.open("wb") as stderr, _worker(specification, threads, stderr) as process:
            for done, message in enumerate(map(json.loads, process.stdout or ()), start=1):
                if "times" in message:
                    times: list[dict[str, Any]] = message["times"]
                    return times
                if "error" in message:
                    error = str(message["error"])
                    break
                progress(done, len(networks) * (settings["warmup"] + settings["runs"]))
            status = process.wait()
        last = log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
    msg = f"timing {', '.join(networks)} failed: {error or _death(status, last)}"
    raise SnnbenchError(msg)


def _write_specification(
    path: Path,
    networks: Mapping[str, nn.Module],
    inputs: Mapping[str, Tensor],
    settings: Mapping[str, Any],
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
    ordered = [inputs[name] for name in networks]
    content = {**settings, "networks": list(networks.values()), "inputs": ordered}
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


def _death(status: int, last: str) -> str:
    reason = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
    hint = "; if memory ran out, choose a smaller batch" if status == -signal.SIGKILL else ""
    return f"the worker process ended with {reason}{f' ({last})' if last else ''}{hint}"
