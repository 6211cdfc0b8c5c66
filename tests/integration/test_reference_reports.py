"""The committed reference reports follow from their results, and these from the code."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from snnbench.compare.words import sentences
from snnbench.render.folder import write_report
from snnbench.results.files import load
from tools import baselines, reference_reports
from tools.reference_reports import FOLDER, REFERENCES


def test_every_reference_is_committed_and_says_nothing_of_folders() -> None:
    assert sorted(path.parent.name for path in FOLDER.glob("*/result.json")) == sorted(REFERENCES)
    for name in REFERENCES:
        result = load(FOLDER / name / "result.json")
        named = [result.config.data, result.config.weights, result.config.twin_weights]
        assert not any(path and "/" in path for path in named), named
        assert f"`{name}`" in (FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_its_tables_follow_from_its_result(name: str, tmp_path: Path) -> None:
    result = load(FOLDER / name / "result.json")
    write_report(result, tmp_path)
    committed, made = (reference_reports.same_bytes(folder) for folder in (FOLDER / name, tmp_path))
    assert made.keys() == committed.keys()
    drawn_alike = version("matplotlib") == result.environment.packages["matplotlib"]
    for path, content in committed.items():
        if drawn_alike or path.startswith("tables/"):
            assert made[path] == content, f"{path}: run `python tools/reference_reports.py`"


@pytest.mark.slow
def test_a_new_run_gives_the_same_tables(tmp_path: Path) -> None:
    name = "resnet19-digits"
    reference_reports.remake(name, tmp_path / name)
    base, head = (load(folder / name / "result.json") for folder in (FOLDER, tmp_path))
    if baselines.compare_exactly(base, head).exit_code:  # this machine rounds differently
        for comparison in baselines.compare_roughly(base, head):
            assert not comparison.exit_code, sentences(comparison)
        return
    committed, made = (reference_reports.same_bytes(path / name) for path in (FOLDER, tmp_path))
    assert made.keys() == committed.keys()
    for path, content in committed.items():
        if path.startswith("tables/"):
            assert made[path] == content, path
