"""An environment per revision: its own project, and the packages of this environment.

Nothing is downloaded: the project is built by the build backend that is installed here, and put
before the packages of this environment, PyTorch among them, which both sides share.
"""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from snnbench.compare.ab.processes import RunError, run
from snnbench.compare.ab.revisions import pyproject
from snnbench.core.errors import UsageError

_NOT_INHERITED = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "GITHUB_STEP_SUMMARY")
_NAMES = "import json; from snnbench.zoo import registry; print(json.dumps(registry.names()))"


def create(folder: Path, project: Path, label: str, *, install: bool) -> Path:
    """Make an environment with a project in it.

    Args:
        folder: Where to make it.
        project: Top folder of the project's source.
        label: What the side is called in messages.
        install: Install the dependencies anew, from the package index, instead of sharing those of
            this environment.

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
        _share_packages(python)
        command = [sys.executable, "-m", "pip", "--python", str(python), "install"]
        command += ["--no-deps", "--no-build-isolation"]
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    log = folder / "install.log"
    run([*command, *quiet, str(project)], environment(folder), log, f"installing {label}")
    return python


def environment(temporary: Path) -> dict[str, str]:
    """Variables for processes of a side; their temporary files go where they are removed."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if key not in _NOT_INHERITED and not key.startswith("GIT_")
    }
    return kept | {"TMPDIR": str(temporary)}


def benchmarks(python: Path, folder: Path, label: str) -> frozenset[str]:
    """Names of the benchmarks that a side has.

    Raises:
        RunError: Its snnbench cannot be loaded.
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


def _share_packages(python: Path) -> None:
    """Let an environment import what this one can, after its own packages."""
    found = subprocess.run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    folders = [
        *site.getsitepackages(),
        *([site.getusersitepackages()] * bool(site.ENABLE_USER_SITE)),
    ]
    lines = [f"import site; site.addsitedir({folder!r})\n" for folder in folders]
    # files like this are read in order of their names
    path = Path(found.stdout.strip()) / "zz_shared_packages.pth"
    path.write_text("".join(lines), encoding="utf-8")


def _check_builders(project: Path, label: str) -> None:
    listed = pyproject(project).get("build-system", {}).get("requires", ["setuptools"])
    for line in ("pip>=22.3", *listed):
        try:
            requirement = Requirement(line)
            version = metadata.version(requirement.name)
        except InvalidRequirement as error:
            msg = f"{label} has an invalid requirement in [build-system] of pyproject.toml: {error}"
            raise UsageError(msg) from error
        except metadata.PackageNotFoundError:
            version = None
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            told = "is not installed" if version is None else f"is {version} here"
            msg = (
                f"building {label} needs {line}, which {told}: `pip install '{line}'`, or use "
                "--install"
            )
            raise UsageError(msg)
