"""Environment: what is captured, without torch, and where git and the CPU are unknown."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import snnbench
from snnbench.core.errors import UsageError
from snnbench.results import environment


def git(folder: Path, *command: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    done = subprocess.run(
        ["git", *identity, *command], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit, posing as the one the package runs from."""
    package = tmp_path / "snnbench"
    package.mkdir()
    (package / "__init__.py").write_text("")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    monkeypatch.setattr(environment, "_PACKAGE", package)
    return package


def test_versions_and_machine() -> None:
    here = environment.capture(threads=3, device="cpu")
    assert here.snnbench == snnbench.__version__
    assert here.python == platform.python_version()
    assert here.torch == torch.__version__
    assert here.numpy == np.__version__
    assert (here.threads, here.device) == (3, "cpu")
    assert 1 <= here.cpu_count <= (os.cpu_count() or 1)
    assert here.cpu
    assert {"click", "pandas", "safetensors", "scikit-learn"} <= here.packages.keys()
    assert not {"torch", "numpy", "pytest", "ruff"} & here.packages.keys()
    assert list(here.packages) == sorted(here.packages)


def test_capturing_loads_no_torch() -> None:
    code = (
        "import sys, snnbench.results.environment as e; e.capture(1, 'cpu'); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_commit_and_dirtiness(checkout: Path) -> None:
    here = environment.capture(1, "cpu")
    assert here.commit == git(checkout, "rev-parse", "HEAD")
    assert here.dirty is False
    (checkout / "result.json").write_text("untracked files do not change what runs")
    assert environment.capture(1, "cpu").dirty is False
    (checkout / "__init__.py").write_text("x = 1")
    assert environment.capture(1, "cpu").dirty is True


def test_a_package_another_repository_ignores_has_no_commit(checkout: Path) -> None:
    git(checkout, "rm", "-q", "--cached", "__init__.py")
    git(checkout, "commit", "-q", "-m", "second")
    here = environment.capture(1, "cpu")
    assert (here.commit, here.dirty) == (None, None)


def test_a_hook_of_another_repository_does_not_mislead(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path_factory.mktemp("other")))
    assert environment.capture(1, "cpu").dirty is False


def test_without_git(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    here = environment.capture(1, "cpu")
    assert (here.commit, here.dirty) == (None, None)


def test_a_hanging_git_is_given_up(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    slow = tmp_path_factory.mktemp("bin") / "git"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(environment, "_COMMAND_TIMEOUT_SECONDS", 0.05)
    assert environment.capture(1, "cpu").commit is None


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("processor\t: 0\nmodel name\t: Example CPU @ 2 GHz\n", "Example CPU @ 2 GHz"),
        ("processor\t: 0\nmodel name\t:\nCPU part\t: 0xd0c\n", None),
        (None, None),
    ],
)
def test_cpu_model(
    cpuinfo: str | None, expected: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(environment, "_CPUINFO", tmp_path / "cpuinfo")
    if cpuinfo is not None:
        (tmp_path / "cpuinfo").write_text(cpuinfo)
    fallback = platform.processor() or platform.machine()
    assert environment.capture(1, "cpu").cpu == (expected or fallback)


def test_a_gpu_is_recorded_by_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"Example GPU of {device}")
    assert environment.capture(1, "cuda:1").device == "cuda:1 Example GPU of cuda:1"


def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(UsageError, match="device cuda is not available: torch sees 0 GPUs"):
        environment.capture(1, "cuda")
