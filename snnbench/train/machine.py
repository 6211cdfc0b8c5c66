"""Device, processes and threads of a training or an evaluation, through Lightning Fabric."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lightning_fabric import Fabric

from snnbench.core.errors import SnnbenchError, UsageError
from snnbench.core.process import available_cores, check_device, set_threads
from snnbench.train.recipe import Precision
from snnbench.zoo.choice import MOST_THREADS, check_range

_LOST = re.compile("gloo|NCCL|TCPStore|[Cc]onnection closed by peer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Hardware that runs a training; apart from rounding, the result does not depend on it.

    Attributes:
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        devices: Processes on this node; ``None`` is 1, or as many as ``torchrun`` started.
        num_nodes: Number of nodes; ``None`` is 1, or as many as ``torchrun`` knows.
        threads: PyTorch threads in each process; ``None`` shares the cores between the processes.
    """

    device: str = "cpu"
    devices: int | None = None
    num_nodes: int | None = None
    threads: int | None = None


def launch(machine: Machine, precision: Precision = "32-true") -> Fabric:
    """Start the processes: this command again for each, unless a launcher already has.

    Raises:
        UsageError: There is no such device, or Fabric cannot do what is asked.
    """
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    device = check_device(machine.device)
    if precision == "16-mixed" and device.type == "cpu":
        msg = "--precision 16-mixed needs a GPU; on a CPU use bf16-mixed or 32-true"
        raise UsageError(msg)
    if machine.threads is not None:
        check_range("threads", machine.threads, most=MOST_THREADS)
    local = _number("devices", machine.devices, "LOCAL_WORLD_SIZE")
    nodes = _number("num-nodes", machine.num_nodes, "GROUP_WORLD_SIZE")
    several = local * nodes > 1
    if several and device.index is not None:
        msg = f"--device {machine.device} is one GPU, but {local * nodes} are asked for; use cuda"
        raise UsageError(msg)
    try:
        fabric = Fabric(
            accelerator=device.type,
            devices=local if device.index is None else [device.index],
            num_nodes=nodes,
            strategy="ddp" if several else "auto",
            precision=precision,
        )
        fabric.launch()
    except (ValueError, RuntimeError) as error:  # Fabric's own kind of error is a ValueError too
        msg = f"cannot start {local * nodes} processes: {' '.join(str(error).split())}"
        raise UsageError(msg) from error
    shared = max(1, available_cores() // local)
    set_threads(shared if machine.threads is None else machine.threads)
    return fabric


@contextmanager
def lost_processes_explained() -> Iterator[None]:
    """Turn torch's error about a lost connection into one line that says what happened.

    Raises:
        SnnbenchError: Another process, which this one waited for, has ended.
    """
    try:
        yield
    except RuntimeError as error:
        if not _LOST.search(str(error)):
            raise
        msg = "another process of this command has ended; its own message says why"
        raise SnnbenchError(msg) from error


def _number(option: str, given: int | None, variable: str) -> int:
    started = os.environ.get(variable)  # by torchrun
    value = int(started or 1) if given is None else given
    if started is not None and value != int(started):
        msg = f"--{option} is {value}, but torchrun's {variable} is {started}; leave the option out"
        raise UsageError(msg)
    check_range(option, value)
    return value
