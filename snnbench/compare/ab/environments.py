"""A virtual environment per revision, with its own snnbench and the packages of this environment.

Nothing is downloaded: the build backend that is installed here builds the project, and both sides
share all other packages with this environment, PyTorch among them.
"""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
import sysconfig
import venv
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from snnbench.compare.ab.processes import RunError, run
from snnbench.compare.ab.revisions import pyproject
from snnbench.core.errors import UsageError
from snnbench.core.process import variables_without_git

_NOT_INHERITED = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "GITHUB_STEP_SUMMARY")
_NAMES = "import json; from snnbench.zoo import registry; print(json.dumps(registry.names()))"


def create(folder: Path, project: Path, label: str, *, install: bool) -> Path:
    """Make a virtual environment with a project in it.

    Args:
        folder: Folder of the environment.
        project: Top folder of the project's source.
        label: Name of the side in messages.
        install: Whether to install the dependencies from the package index, instead of sharing
            those of this environment.

    Returns:
        The interpreter.

    Raises:
        UsageError: A package that builds the project is missing, or pip for ``install``.
        RunError: The project cannot be built or installed.
    """
    posix = os.name != "nt"
    try:
        venv.EnvBuilder(with_pip=install, symlinks=posix).create(folder)
    except subprocess.CalledProcessError as error:  # Debian and Ubuntu ship ensurepip apart
        msg = f"{label} cannot get pip; install ensurepip (python3-venv on Debian)"
        raise UsageError(msg) from error
    python = folder / ("bin/python" if posix else "Scripts/python.exe")
    if install:
        command = [str(python), "-m", "pip", "install"]
    else:
        _check_builders(project, label)
        _share_packages(folder)
        command = [sys.executable, "-m", "pip", "--python", str(python), "install"]
        command += ["--no-deps", "--no-build-isolation"]
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    log = folder / "install.log"
    run([*command, *quiet, str(project)], environment(folder), log, f"installing {label}")
    return python


def environment(temporary: Path) -> dict[str, str]:
    """Return variables for processes of a side, whose temporary files go into ``temporary``."""
    inherited = variables_without_git().items()
    return {k: v for k, v in inherited if k not in _NOT_INHERITED} | {"TMPDIR": str(temporary)}


def benchmarks(python: Path, folder: Path, label: str) -> frozenset[str]:
    """List the benchmarks of a side.

    Raises:
        RunError: The side's snnbench cannot be loaded.
    """
    log = folder / "benchmarks.log"
    output = run([str(python), "-P", "-c", _NAMES], environment(folder), log, f"loading {label}")
    # a benchmark's module may have printed something before
    try:
        names: list[str] = json.loads(output.strip().rpartition("\n")[2])
    except json.JSONDecodeError as error:
        msg = f"the benchmarks of {label} cannot be listed: a module prints when Python exits"
        raise RunError(msg) from error
    return frozenset(names)


def _share_packages(folder: Path) -> None:
    """Let an environment import the packages of this one, after its own."""
    shared = site.getsitepackages()
    if site.ENABLE_USER_SITE:
        shared.append(site.getusersitepackages())
    own = sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)})
    # Python reads such files in order of their names
    path = Path(own) / "zz_shared_packages.pth"
    lines = [f"import site; site.addsitedir({packages!r})\n" for packages in shared]
    path.write_text("".join(lines), encoding="utf-8")


def _check_builders(project: Path, label: str) -> None:
    required = pyproject(project).get("build-system", {}).get("requires", ["setuptools"])
    for line in ("pip>=22.3", *required):
        try:
            requirement = Requirement(line)
            version = metadata.version(requirement.name)
        except InvalidRequirement as error:
            msg = f"{label} has an invalid requirement in [build-system] of pyproject.toml: {error}"
            raise UsageError(msg) from error
        except metadata.PackageNotFoundError:
            version = None
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            state = "is not installed" if version is None else f"is {version} here"
            msg = (
                f"building {label} needs {line}, which {state}: `pip install '{line}'`, or use "
                "--install"
            )
            raise UsageError(msg)
