"""The machine, the versions and the random state a result depends on."""

from __future__ import annotations

import os
import platform
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import snnbench
from snnbench.core.errors import UsageError
from snnbench.results.run import Environment

_PACKAGE = Path(snnbench.__file__).resolve().parent
_CPUINFO = Path("/proc/cpuinfo")
_COMMAND_TIMEOUT_SECONDS = 10.0
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_NO_MEMORY = re.compile("can't allocate memory|out of memory|Storage size calculation overflowed")
MAX_SEED = 2**32 - 1
"""NumPy takes no larger one."""


def capture(threads: int, device: str) -> Environment:
    """Describe where a result is made; imports torch only to name a GPU.

    Args:
        threads: Intra-operation threads of torch the run uses.
        device: ``cpu``, ``cuda`` or ``cuda:<index>``. A GPU is recorded with its model's name,
            since times on different models do not compare.

    Raises:
        UsageError: There is no such GPU.
    """
    commit, dirty = _checkout()
    return Environment(
        snnbench=snnbench.__version__,
        python=platform.python_version(),
        torch=metadata.version("torch"),
        numpy=metadata.version("numpy"),
        platform=platform.platform(),
        cpu=_cpu_model(),
        cpu_count=available_cores(),
        threads=threads,
        device=_device_label(device),
        commit=commit,
        dirty=dirty,
        packages=_dependencies(),
    )


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
    """Turn what Python and torch raise when memory runs out into advice.

    Args:
        options: What the user can make smaller.

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


def _dependencies() -> dict[str, str]:
    """Versions of the direct dependencies but torch and numpy, which have fields of their own."""
    try:
        requirements = metadata.requires("snnbench") or []
    except metadata.PackageNotFoundError:  # run from a source folder that is not installed
        requirements = []
    matches = (_NAME.match(line) for line in requirements if "extra ==" not in line)
    names = sorted(match.group() for match in matches if match)
    return {name: metadata.version(name) for name in names if name not in ("torch", "numpy")}


def available_cores() -> int:
    """CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # a container or `taskset` may grant fewer than exist
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_model() -> str:
    if sys.platform == "darwin":
        brand = _output("sysctl", "-n", "machdep.cpu.brand_string")
        return brand or platform.machine()
    try:
        text = _CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    match = re.search(r"^model name[ \t]*:[ \t]*(\S.*)$", text, re.MULTILINE)
    return match[1].strip() if match else platform.processor() or platform.machine()


def _device_label(device: str) -> str:
    if not device.startswith("cuda"):
        return device
    import torch

    found = torch.cuda.device_count()
    if (torch.device(device).index or 0) >= found:
        msg = f"device {device} does not exist: torch sees {found} GPUs; choose another or cpu"
        raise UsageError(msg)
    return f"{device} {torch.cuda.get_device_name(device)}"


def _checkout() -> tuple[str | None, bool | None]:
    """Commit and dirtiness of the checkout this package runs from, if it runs from one."""
    # An environment inside another project's repository must not report that project's commit.
    if not _output("git", "ls-files", "--error-unmatch", Path(snnbench.__file__).name):
        return None, None
    commit = _output("git", "rev-parse", "HEAD")
    status = _output("git", "status", "--porcelain", "--untracked-files=no")
    return commit or None, None if status is None else bool(status)


def _output(*command: str) -> str | None:
    """What a command prints, or ``None`` if it is missing, fails or hangs."""
    # A hook's GIT_DIR would point elsewhere; the optional lock would disturb other git commands.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(
            command,
            cwd=_PACKAGE,
            env=environment | {"GIT_OPTIONAL_LOCKS": "0"},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_COMMAND_TIMEOUT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
