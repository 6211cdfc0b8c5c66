"""This process and its machine: seeds, threads, cores, GPUs, memory, and the load by others."""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from snnbench.core.errors import UsageError

if TYPE_CHECKING:
    import torch

_STAT = Path("/proc/stat")
_IDLE = slice(3, 5)  # idle, and waiting for a disk
_COUNTED = 8  # up to the time stolen by the hypervisor; guests' time is part of user time
_NO_MEMORY = re.compile("can't allocate memory|out of memory|Storage size calculation overflowed")
MAX_SEED = 2**32 - 1
"""The largest seed that NumPy takes."""


def seed_everything(seed: int) -> None:
    """Seed the generators of ``random``, NumPy and torch (all devices).

    Raises:
        UsageError: The seed is not in 0 .. 2**32 - 1.
    """
    import numpy as np
    import torch

    if not 0 <= seed <= MAX_SEED:
        msg = f"seed {seed} is out of range: choose one from 0 to {MAX_SEED}"
        raise UsageError(msg)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def set_threads(threads: int) -> None:
    """Set torch's intra-operation threads.

    Raises:
        UsageError: ``threads`` is less than 1.
    """
    import torch

    if threads < 1:
        msg = f"threads is {threads}: choose 1 or more"
        raise UsageError(msg)
    torch.set_num_threads(threads)


@contextmanager
def memory_shortage_explained(options: str) -> Iterator[None]:
    """Turn what Python and torch raise when memory runs out into advice to shrink ``options``.

    Raises:
        UsageError: Memory ran out in the block.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not _NO_MEMORY.search(str(error)):
            raise
        msg = f"memory ran out; choose a smaller {options}"
        raise UsageError(msg) from error


def variables_without_git() -> dict[str, str]:
    """Return this process's environment variables without those that redirect git, as in a hook."""
    return {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}


def available_cores() -> int:
    """CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # a container or `taskset` may grant fewer than exist
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_device(name: str) -> torch.device:
    """The device that ``--device`` names.

    Raises:
        UsageError: The name is not ``cpu``, ``cuda`` or ``cuda:N``, or there is no such GPU.
    """
    import torch

    if not re.fullmatch(r"cpu|cuda(:\d{1,2})?", name, re.ASCII):
        msg = f"unknown device {name!r}; use cpu, cuda or cuda:N"
        raise UsageError(msg)
    device, gpus = torch.device(name), torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= gpus:
        msg = f"device {name} is not available: torch sees {gpus} GPUs; choose another or cpu"
        raise UsageError(msg)
    return device


def device_label(name: str) -> str:
    """Add the model's name to a GPU: times on different models do not compare.

    Raises:
        UsageError: There is no such GPU.
    """
    if not name.startswith("cuda"):
        return name
    import torch

    return f"{name} {torch.cuda.get_device_name(check_device(name))}"


class OtherLoad:
    """Share of the processors that other programs take, from creation on; known on Linux only."""

    def __init__(self) -> None:
        self._start = self._now()

    def share(self) -> float | None:
        """Return the share of processor time, 0 to 1, that others took; ``None`` if unknown.

        Time that a hypervisor gave to other machines is part of it.
        """
        now = self._now()
        if self._start is None or now is None:
            return None
        busy_s, own_s, elapsed_s = (b - a for a, b in zip(self._start, now, strict=True))
        available_s = elapsed_s * (os.cpu_count() or 1)
        return min(max((busy_s - own_s) / available_s, 0.0), 1.0) if available_s > 0 else None

    @staticmethod
    def _now() -> tuple[float, float, float] | None:
        """Return seconds: all processors busy, this process busy, and the clock."""
        try:
            words = _STAT.read_text(encoding="ascii").partition("\n")[0].split()[1:]
        except OSError:
            return None
        ticks = [int(word) for word in words[:_COUNTED]]
        busy = (sum(ticks) - sum(ticks[_IDLE])) / os.sysconf("SC_CLK_TCK")
        return busy, time.process_time(), time.monotonic()
