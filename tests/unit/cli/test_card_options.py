"""Flags of commands that a benchmark's card lists."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from snnbench.cli import options
from snnbench.cli.card_options import BenchmarkCommand
from snnbench.core.errors import UsageError
from snnbench.zoo import registry
from snnbench.zoo.registry import Benchmark

FOUND: list[dict[str, Any]] = []


@click.command("count", cls=BenchmarkCommand)
@options.benchmark
@click.option("--width")
def count(**given: Any) -> None:
    """Count."""
    FOUND.append(given)


def run(line: str) -> tuple[dict[str, Any] | None, str]:
    """What the command was called with, and what was printed."""
    FOUND.clear()
    result = CliRunner().invoke(count, line.split())
    if isinstance(result.exception, UsageError):
        raise result.exception
    return (FOUND[0] if FOUND else None), result.output


@pytest.fixture
def others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Benchmarks ``voting``, with options of its own, and ``broken``, without a card."""
    original = registry.get("resnet19")
    card = tmp_path / "voting.toml"
    shutil.copy(original.path, card)
    text = card.read_text().replace('[options.shortcut]\nchoices = ["paper", "identity"]', OPTION)
    card.write_text(text)
    made = {
        "voting": Benchmark(path=card, builder=original.builder),
        "broken": Benchmark(path=tmp_path / "none.toml", builder=original.builder),
    }
    known = registry.get
    monkeypatch.setattr(registry, "names", lambda: ["broken", "resnet19", "voting"])
    monkeypatch.setattr(registry, "get", lambda name: made.get(name) or known(name))
    return card


OPTION = '[options.norm]\nchoices = ["none", "neuron"]'


@pytest.mark.parametrize(
    ("line", "given"),
    [
        ("resnet19 --shortcut identity", {"shortcut": "identity"}),
        ("--shortcut identity resnet19", {"shortcut": "identity"}),
        ("resnet19 --width 2", {}),
        ("resnet19 --width broken", {}),
        ("--width voting resnet19 --shortcut identity", {"shortcut": "identity"}),
        ("voting --norm neuron", {"norm": "neuron"}),
    ],
)
def test_a_card_s_options_are_flags(others: Path, line: str, given: dict[str, str]) -> None:
    called, _ = run(line)
    assert called is not None
    assert called["options"] == given


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("voting --shortcut paper", "No such option '--shortcut'"),
        ("voting --norm batch", "'batch' is not one of 'none', 'neuron'"),
    ],
)
def test_the_flags_are_those_of_the_card(others: Path, line: str, message: str) -> None:
    called, printed = run(line)
    assert called is None
    assert message in printed.replace(":", "")


@pytest.mark.parametrize("line", ["vgg --norm neuron", "--width 2 vgg --norm=neuron"])
def test_an_unknown_benchmark_is_reported_before_its_flags(others: Path, line: str) -> None:
    with pytest.raises(UsageError, match="unknown benchmark 'vgg'"):
        run(line)


def test_help_shows_the_flags_of_the_benchmark_it_is_asked_for(others: Path) -> None:
    _, printed = run("voting --help")
    assert "--norm [none|neuron]" in printed
    assert "[default: none]" in " ".join(printed.split())
    _, printed = run("--help")
    assert "--norm" not in printed
    assert "`count NAME --help` shows" in " ".join(printed.split())


@pytest.mark.parametrize("name", ["help"])
def test_an_option_that_the_command_has_itself_is_refused(others: Path, name: str) -> None:
    others.write_text(others.read_text().replace("options.norm", f"options.{name}"))
    with pytest.raises(UsageError, match=f"card resnet19: --{name} is an option of this command"):
        run("voting")
    assert run("resnet19")[0] is not None
