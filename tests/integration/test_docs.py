"""What the documentation prints is run, and what it lists is complete."""

from __future__ import annotations

import doctest
import io
import re
import runpy
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from rich.console import Console
from snnbench.models.resnet import ArchitectureSpec
from support import factories
from support.command_line import commands as cli_commands

import snnbench.cli
from snnbench import profile
from snnbench.cli.main import _COMMANDS, main
from snnbench.count.rules import RULES
from snnbench.data.open import FORMATS, Format
from snnbench.energy.models import OPERATIONS, models
from snnbench.engine.lowering.lower import lower
from snnbench.engine.plan import NeuronStep
from snnbench.metrics import dataframes
from snnbench.render.html import remake_command
from snnbench.render.tables import tables
from snnbench.render.terminal import summary
from snnbench.results.counts import AlphabetKind, Profile, Role, SideOps
from snnbench.results.files import load
from snnbench.results.run import Accuracy
from snnbench.zoo import registry
from snnbench.zoo.card import Card
from tools import metric_table

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"# ([\w/.-]+\.(?:py|toml))\n")
ADDED_COMMAND = re.compile(r"^\+    \"(\w+)\": \"(\w+)\",$", re.MULTILINE)
ADDED_FORMAT = re.compile(
    r"^\+    \"(\w+)\": Format\(\"(image|events)\", \"([\w.]+)\"\),$", re.MULTILINE
)
LINES = 20
BUILT_IN = (
    *("plain20", "resnet17", "resnet17-nmnist"),
    *("resnet19", "resnet34", "resnet34-large", "resnet50"),
)
CHECKER = doctest.OutputChecker()
LOOSE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def sections(page: str) -> dict[str, list[tuple[str, str]]]:
    """Heading -> (language, body) of its code blocks, of sections that have any."""
    parts = re.split(r"^## ", read(page), flags=re.MULTILINE)
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
    assert profile is not None  # loading it has registered the built-in rules
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
            main()
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
    blocks: list[tuple[str, str]],
    workplace: Path,
    shell: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names: dict[str, object] = {}
    for room in (snnbench.cli, snnbench.data):
        folder = room.__name__.replace(".", "/")
        monkeypatch.setattr(room, "__path__", [*room.__path__, folder])
    for language, body in blocks:
        file = FILE_NAME.match(body)
        if file:
            path = workplace / file[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(body)
        elif language == "diff":
            for command, file_name in ADDED_COMMAND.findall(body):
                monkeypatch.setitem(_COMMANDS, command, file_name)
            for kind, holds, reader in ADDED_FORMAT.findall(body):
                monkeypatch.setitem(FORMATS, kind, Format(holds, reader))
        elif language == "pycon":
            check_python(body, names)
        elif language == "console":
            check_console(body, shell)


def test_a_wrong_example_would_be_noticed(shell: Callable[[str], str]) -> None:
    with pytest.raises(AssertionError, match="Expected"):
        check_python(">>> 1 + 1\n3\n", {})
    with pytest.raises(AssertionError):
        check_console("$ snnbench list\nno such table\n", shell)


def test_additions_are_short() -> None:
    files = [body for blocks in sections("docs/extend.md").values() for _, body in blocks]
    lengths = {m[1]: body.count("\n") - 1 for body in files if (m := FILE_NAME.match(body))}
    assert len(lengths) == 18
    allowed = {name: 40 if name.startswith("votenet/") else LINES for name in lengths}
    assert {name: length for name, length in lengths.items() if length > allowed[name]} == {}


@pytest.fixture
def votenet(workplace: Path) -> list[str]:
    """The family of networks on the page, installed; its files."""
    files = []
    for _, body in sections("docs/extend.md")["A family of networks"]:
        if file := FILE_NAME.match(body):
            path = workplace / file[1]
            path.parent.mkdir(exist_ok=True)
            path.write_text(body)
            files.append(file[1])
    install(workplace)
    return files


def test_a_family_that_is_no_resnet_takes_three_files(
    votenet: list[str], shell: Callable[[str], str]
) -> None:
    assert votenet == [
        "pyproject.toml",
        "votenet/__init__.py",
        "votenet/card.toml",
        "votenet/net.py",
    ]
    assert " votenet " in shell("snnbench list")
    shell("snnbench run votenet --samples 2 --threads 1 --no-latency --pool max")
    counted = load("results/votenet/result.json")
    assert counted.config.options == {"pool": "max"}
    assert counted.weights.status == "untrained"
    assert counted.twin is not None
    assert len(counted.checks) == 6
    assert all(check.ok for check in counted.checks)
    assert [layer.name for layer in counted.snn.neurons] == ["1", "4", "8"]
    plan = lower(registry.get("votenet").build(timesteps=2).eval(), torch.zeros(1, 1, 16, 16))
    assert [step.name for step in plan.steps if isinstance(step, NeuronStep)] == ["1", "4", "8"]
    assert "--pool max" in remake_command(counted)


def test_weights_of_a_family_are_found_in_its_folder(
    votenet: list[str], shell: Callable[[str], str]
) -> None:
    weights = Path("votenet/weights")
    weights.mkdir()
    short = "--epochs 1 --limit-train 32 --threads 1"
    for twin in ("", "--twin"):
        shell(f"snnbench train votenet {short} --out w{twin} {twin}")
        shutil.copy(f"w{twin}/weights.safetensors", weights / f"digits-w1{twin[1:]}.safetensors")
    recipe = Path("w/recipe.toml").read_text()
    assert 'pool = "average"\n' in recipe
    assert 'loss = "mse"\noptimizer = "Adam"\n' in recipe
    run = "snnbench run votenet --samples 20 --threads 1 --no-latency"
    shell(run)
    found = load("results/votenet/result.json")
    assert (found.weights.status, found.weights.description) == ("trained", "shipped:digits-w1")
    assert found.twin_weights is not None
    assert found.twin_weights.description == "shipped:digits-w1-twin"
    assert found.accuracy is not None
    shell(f"{run} --pool max")
    assert load("results/votenet/result.json").weights.status == "untrained"
    with pytest.raises(SystemExit):
        shell(f"{run} --pool max --weights shipped:digits-w1")


# -- what the pages list is complete and true --


def commands() -> list[str]:
    return re.findall(r"^```bash\n(.*)\n```$", read("README.md"), re.MULTILINE)


def test_both_commands_are_one_line_in_a_block_of_their_own() -> None:
    run, tests = commands()
    install = r"python3 -m venv (\S+) && \1/bin/pip install -c constraints.txt "
    assert re.match(install + r"\. && \1/bin/snnbench run resnet34-large$", run)
    assert re.match(install + r"tox && \1/bin/tox run$", tests)
    assert f"<!-- test command -->\n```bash\n{tests}\n" in read("README.md")
    assert "resnet34-large" in registry.names()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        name, _, anchor = target.partition("#")
        if name.startswith("https:"):
            continue
        found = page.parent / name if name else page
        assert found.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", found.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}


def test_options_exist() -> None:
    known = {
        option
        for command in cli_commands().values()
        for parameter in command.params
        for option in parameter.opts
    }
    known |= {f"--{option}" for name in BUILT_IN for option in registry.get(name).card.options}
    for page in PAGES:
        told = re.findall(r"`(--[a-z-]+)", page.read_text(encoding="utf-8"))
        assert set(told) - known == set(), page.name


def test_the_summary_has_the_rows_the_readme_shows() -> None:
    result = factories.make_result(accuracy=Accuracy(correct=5, samples=64))
    screen = io.StringIO()
    Console(width=80, file=screen).print(summary(result))
    labels = [
        {
            line.split("  ")[0].strip().removesuffix(", batch 1")  # the result has but one
            for line in text.splitlines()
            if re.match(r" [A-Z].*  \S", line)
        }
        for text in (read("README.md"), screen.getvalue())
    ]
    assert len(labels[0]) == 17
    assert labels[0] == labels[1]


def test_every_column_and_term_is_explained() -> None:
    result = factories.with_engine(factories.make_result())
    columns = {
        column
        for table in tables(result)
        if table.name != "side_work"
        for column in table.data.columns
    }
    columns |= set(dataframes.timestep_dataframe(result).columns)
    terms = {field.name for record in (SideOps, Profile) for field in fields(record)}
    names = {*AlphabetKind, *Role, *(model.name for model in models())}
    explained = set(re.findall(r"`([\w.-]+)`", read("docs/metrics.md")))
    assert (columns | terms | names) - explained - {"layers", "samples", "timesteps"} == set()


def test_the_table_of_metrics_is_the_catalogue() -> None:
    assert metric_table.written() == metric_table.table(), "run `python tools/metric_table.py`"


def test_every_operation_that_can_be_priced_is_explained() -> None:
    explained = set(re.findall(r"`(\w+)`", read("docs/extend.md") + read("docs/metrics.md")))
    assert OPERATIONS.keys() - explained == set()


def test_prices_are_those_of_the_tables() -> None:
    for model in models():
        row = re.search(rf"^\| `{model.name}`.*$", read("docs/metrics.md"), re.MULTILINE)
        assert row is not None
        prices = [model.cost_pj("mac"), model.cost_pj("ac"), model.cost_pj("neuron_update")]
        told = ["not priced" if price is None else f"{price:g}" for price in prices]
        assert row[0].split(" | ")[1:4] == told


def test_every_decision_is_listed() -> None:
    decisions = {path.name for path in (ROOT / "docs/adr").glob("*.md")}
    assert decisions == set(re.findall(r"adr/(\d{4}-[\w-]+\.md)", read("docs/architecture.md")))


@pytest.mark.parametrize("name", BUILT_IN)
def test_published_numbers_follow_from_the_cards(name: str) -> None:
    card = registry.get(name).card
    assert card.expected is not None
    row = re.search(rf"^\| {name} \|(.*)\|$", read("CHANGELOG.md"), re.MULTILINE)
    assert row is not None
    stem, head = encoding_and_head(card)
    spikes_enter_stem = card.input.kind == "events"
    assert [int(cell.replace(",", "")) for cell in row[1].split("|")] == [
        card.timesteps,
        card.expected.parameters,
        card.expected.spiking_layers,
        card.expected.twin_dense_macs,
        card.expected.twin_dense_macs * card.timesteps,
        (head[0] + (0 if spikes_enter_stem else stem)) * card.timesteps,
        (stem + sum(head)) * card.timesteps,
    ]


def encoding_and_head(card: Card) -> tuple[int, list[int]]:
    """MACs of one frame in the encoding convolution and in each layer of the head."""
    arch = card.architecture_as(ArchitectureSpec)
    size = -(-card.input.shape[1] // arch.stem_stride)
    stem = arch.stem_kernel**2 * card.input.shape[0] * arch.stem_channels * size**2
    channels = arch.stem_channels
    for stage in arch.stages:
        channels = stage.channels * (4 if stage.block == "bottleneck" else 1)
        size = -(-size // stage.stride)
    pooled = 1 if arch.pool is None else size // arch.pool
    widths = [channels * pooled**2, *([arch.hidden] if arch.hidden else []), card.classes]
    return stem, [a * b for a, b in pairwise(widths)]
