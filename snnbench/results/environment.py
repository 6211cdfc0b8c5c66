"""The machine and the versions that a result depends on."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from snnbench.core.process import available_cores, device_label, variables_without_git
from snnbench.core.version import __version__
from snnbench.results.run import Environment

_PACKAGE = Path(__file__).resolve().parents[1]
_CPUINFO = Path("/proc/cpuinfo")
_COMMAND_TIMEOUT_SECONDS = 10.0
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def capture(threads: int, device: str) -> Environment:
    """Describe where a result is made; imports torch only to name the model of a GPU.

    Raises:
        UsageError: There is no such GPU.
    """
    commit, dirty = _checkout()
    return Environment(
        snnbench=__version__,
        python=platform.python_version(),
        torch=metadata.version("torch"),
        numpy=metadata.version("numpy"),
        platform=platform.platform(),
        cpu=_cpu_model(),
        cpu_count=available_cores(),
        threads=threads,
        device=device_label(device),
        commit=commit,
        dirty=dirty,
        packages=_dependencies(),
    )


def _dependencies() -> dict[str, str]:
    """Return versions of direct dependencies; torch and numpy have fields of their own."""
    try:
        requirements = metadata.requires("snnbench") or []
    except metadata.PackageNotFoundError:  # run from a source folder that is not installed
        requirements = []
    matches = (_NAME.match(line) for line in requirements if "extra ==" not in line)
    names = sorted(match.group() for match in matches if match)
    return {name: metadata.version(name) for name in names if name not in ("torch", "numpy")}


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


def _checkout() -> tuple[str | None, bool | None]:
    """Return commit and dirtiness of the checkout that this package runs from, if any."""
    # An environment inside another project's repository must not report that project's commit.
    if not _output("git", "ls-files", "--error-unmatch", "__init__.py"):
        return None, None
    commit = _output("git", "rev-parse", "HEAD")
    status = _output("git", "status", "--porcelain", "--untracked-files=no")
    return commit or None, None if status is None else bool(status)


def _output(*command: str) -> str | None:
    """Return what a command prints; ``None`` if it is missing, fails or hangs."""
    try:
        done = subprocess.run(
            command,
            cwd=_PACKAGE,
            # the optional lock would disturb other git commands
            env=variables_without_git() | {"GIT_OPTIONAL_LOCKS": "0"},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_COMMAND_TIMEOUT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
