"""The built wheel, installed away from the checkout: everything it needs is in it."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import distribution, entry_points
from pathlib import Path

import pytest

import snnbench
from snnbench.energy.models import models
from snnbench.results.files import load
from snnbench.results.schema import json_schema
from snnbench.zoo import registry

pytestmark = pytest.mark.wheel


def test_the_package_comes_from_the_wheel() -> None:
    assert "site-packages" in Path(snnbench.__file__).parts
    files = {str(file) for file in distribution("snnbench").files or ()}
    assert "snnbench/py.typed" in files
    for face in ("", "results/", "nn/"):
        assert f"snnbench/{face}__init__.pyi" in files
    assert not any(file.startswith(("models/", "reports/", "tests/")) for file in files)


def test_cards_cost_tables_and_schema_are_inside() -> None:
    points = {point.name for point in entry_points(group=registry.GROUP)}
    assert {"resnet19", "resnet34-large", "plain20"} <= points
    assert registry.get("resnet34-large").card.timesteps == 6
    assert len(registry.get("resnet19").version) == 64
    assert len(models()) >= 4
    assert json_schema()["title"] == "snnbench result, version 1"


def test_the_main_job_runs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "snnbench", "run", "resnet19", "--width", "0.0625", "-T", "2"]
    subprocess.run([*command, "--samples", "2", "--out", str(tmp_path)], check=True, cwd=tmp_path)
    assert load(tmp_path / "result.json").environment.commit is None
    assert (tmp_path / "report.html").stat().st_size > 100_000
