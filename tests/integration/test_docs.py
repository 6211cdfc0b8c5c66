"""What the documentation prints is run, and what it lists is complete."""

from __future__ import annotations

import doctest
import re
import runpy
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import factories
import pytest

from snnbench import cli, frame, records, registry
from snnbench.count.profiler import RULES
from snnbench.energy import models

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"# ([\w/.-]+\.(?:py|toml))\n")
LINES = 20
CHECKER = doctest.OutputChecker()
LOOSE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def sections(page: str) -> dict[str, list[tuple[str, str]]]:
    """Heading -> (language, body) of its code blocks, of sections that have any."""
    parts = re.split(r"^## ", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = {part.partition("\n")[0]: BLOCK.findall(part) for part in parts}
    return {heading: blocks for heading, blocks in found.items() if blocks}


EXAMPLES = [
    pytest.param(blocks, id=f"{page}: {heading}")
    for page in ("README.md", "docs/extend.md", "docs/metrics.md")
    for heading, blocks in sections(page).items()
    if {language for language, _ in blocks} & {"pycon", "console"}
]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current folder on the import path; imports and counting rules are undone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")
    counting, loaded = dict(RULES), set(sys.modules)
    yield tmp_path
    RULES.clear()
    RULES.update(counting)
    for name in set(sys.modules) - loaded:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def shell(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], str]:
    """Run a command line in this process; returns what it prints."""

    def run(line: str) -> str:
        program, *arguments = line.split()
        if program == "pip":
            install(workplace)
        elif program == "python":
            runpy.run_path(arguments[0])
        else:
            assert program == "snnbench"
            monkeypatch.setattr(sys, "argv", [program, *arguments])
            cli.main()
        return capsys.readouterr().out

    return run


def install(folder: Path) -> None:
    """What pip would leave of an importable package: its entry points."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    info = folder / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    points = project["entry-points"][registry.GROUP]
    lines = [f"[{registry.GROUP}]", *(f"{name} = {value}" for name, value in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines))


def check_python(body: str, names: dict[str, object]) -> None:
    test = doctest.DocTestParser().get_doctest(body, names, "example", None, None)
    report: list[str] = []
    runner = doctest.DocTestRunner(CHECKER, optionflags=LOOSE)
    runner.run(test, out=report.append, clear_globs=False)
    assert not runner.failures, "".join(report)
    names.update(test.globs)


def check_console(body: str, shell: Callable[[str], str]) -> None:
    """Commands print what the page says; numbers depend on the machine and may differ."""
    for command, _, expected in (part.partition("\n") for part in body.split("$ ")[1:]):
        printed = shell(command)
        assert CHECKER.check_output(numberless(expected), numberless(printed), LOOSE), printed


def numberless(text: str) -> str:
    return re.sub(r"\d[\d.,]*", "#", text)


@pytest.mark.parametrize("blocks", EXAMPLES)
def test_examples_do_what_the_page_says(
    blocks: list[tuple[str, str]], workplace: Path, shell: Callable[[str], str]
) -> None:
    names: dict[str, object] = {}
    for language, body in blocks:
        file = FILE_NAME.match(body)
        if file:
            path = workplace / file[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(body)
        elif language == "pycon":
            check_python(body, names)
        elif language == "console":
            check_console(body, shell)


def test_a_wrong_example_would_be_noticed(shell: Callable[[str], str]) -> None:
    with pytest.raises(AssertionError, match="Expected"):
        check_python(">>> 1 + 1\n3\n", {})
    with pytest.raises(AssertionError):
        check_console("$ snnbench list\nno such table\n", shell)


def test_additions_take_at_most_twenty_lines() -> None:
    files = [body for blocks in sections("docs/extend.md").values() for _, body in blocks]
    lengths = {m[1]: body.count("\n") - 1 for body in files if (m := FILE_NAME.match(body))}
    assert len(lengths) == 8
    assert {name: length for name, length in lengths.items() if length > LINES} == {}
