"""Where a training or an evaluation runs: device, processes and threads, through Fabric."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric

from snnbench import env
from snnbench.errors import UsageError
from snnbench.train.recipe import Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What runs a training; the result does not depend on it, but for rounding.

    Attributes:
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        devices: Processes on this node; ``None`` is 1, or as many as ``torchrun`` started.
        num_nodes: Nodes; ``None`` is 1, or as many as ``torchrun`` knows.
        threads: Of torch in each process; ``None`` shares the cores between the processes.
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
    device = _device(machine.device)
    if precision == "16-mixed" and device.type == "cpu":
        msg = "--precision 16-mixed needs a GPU; on a CPU use bf16-mixed or 32-true"
        raise UsageError(msg)
    local = _number("--devices", machine.devices, "LOCAL_WORLD_SIZE")
    nodes = _number("--num-nodes", machine.num_nodes, "GROUP_WORLD_SIZE")
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
    shared = max(1, env.available_cores() // local)
    env.set_threads(shared if machine.threads is None else machine.threads)
    return fabric


def _number(option: str, asked: int | None, variable: str) -> int:
    value = int(os.environ.get(variable, "1")) if asked is None else asked
    if value < 1:
        msg = f"{option} must be at least 1, got {value}"
        raise UsageError(msg)
    return value


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in {"cpu", "cuda"}:
        msg = f"unknown device {name!r}; use cpu, cuda or cuda:N"
        raise UsageError(msg)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        msg = f"device {name} is not available: torch sees {torch.cuda.device_count()} GPUs"
        raise UsageError(f"{msg}; choose another or cpu")
    return device
