"""The examples of docs/ci.md, the action and the workflows, run as far as that needs no network.

Left out: every `pip install`, and what GitHub and GitLab do themselves (their files are checked
against the official schemas). SpikingJelly is replaced by snnbench's own neurons where missing.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from support import factories

from snnbench.results.files import save

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"# ([\w/.-]+\.\w+)\n")
OWN_NEURONS = """
import torch
from snnbench.nn.neuron import LIF

def make_net():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Flatten(2), LIF(threshold=0.2), torch.nn.Linear(64, 10), LIF(threshold=0.2)
    )
"""
SCHEMAS = {
    "action.yml": "vendor.github-actions",
    ".github/workflows/ci.yml": "vendor.github-workflows",
    ".github/workflows/sparsity.yml": "vendor.github-workflows",
    ".github/workflows/profile.yml": "vendor.github-workflows",
    ".github/workflows/speed.yml": "vendor.github-workflows",
    ".gitlab-ci.yml": "vendor.gitlab-ci",
}
Shell = Callable[..., "subprocess.CompletedProcess[str]"]


def documented() -> dict[str, str]:
    """File name -> content, of the blocks of docs/ci.md that open with one."""
    text = (ROOT / "docs/ci.md").read_text(encoding="utf-8")
    bodies = (body for _, body in BLOCK.findall(text))
    return {match[1]: body for body in bodies if (match := FILE_NAME.match(body))}


def commands(heading: str) -> str:
    """The shell commands of a section of docs/ci.md."""
    text = (ROOT / "docs/ci.md").read_text(encoding="utf-8")
    section = re.search(rf"^##+ {re.escape(heading)}$(.*?)(?=^##+ |\Z)", text, re.M | re.S)
    assert section is not None
    return "\n".join(body for kind, body in BLOCK.findall(section[1]) if kind == "bash")


def content(name: str) -> str:
    path = ROOT / name
    return path.read_text(encoding="utf-8") if path.exists() else documented()[name]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Run bash in an empty git repository, with this interpreter's programs, as CI does."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, module in (("pytest", "pytest -p snnbench.testing.plugin"), ("snnbench", "snnbench")):
        script = f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n'
        (programs / name).write_text(script, encoding="utf-8")
        (programs / name).chmod(0o755)
    folder = tmp_path / "project"
    folder.mkdir()
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "GITHUB_"))},
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": str(folder),
        "GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig"),
        "COLUMNS": "120",
    }

    def call(script: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=folder,
            env=environment | variables,
            capture_output=True,
            text=True,
            check=False,
        )

    call("git init -q; git config --global user.name me; git config --global user.email me@here")
    return call


def project(folder: Path) -> None:
    for name, body in documented().items():
        if name.endswith(".py"):
            (folder / name).write_text(body, encoding="utf-8")
    if find_spec("spikingjelly") is None:
        (folder / "net.py").write_text(OWN_NEURONS, encoding="utf-8")


def steps(name: str) -> str:
    """The commands of a documented workflow, but those that install."""
    tree = yaml.safe_load(content(name))
    if "sparsity" in tree:
        found = tree["sparsity"]["script"]
    else:
        (job,) = tree["jobs"].values()
        found = [step["run"] for step in job["steps"] if "run" in step]
    return "\n".join(command for command in found if not command.startswith("pip install"))


def test_from_nothing_to_a_red_pull_request(shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    project(folder)
    done = shell(commands("2. The baseline"))
    assert done.returncode == 0, done.stdout + done.stderr
    (baseline,) = (folder / "baselines").iterdir()
    assert baseline.name in (ROOT / "docs/ci.md").read_text(encoding="utf-8")
    assert baseline.name in shell("git ls-files").stdout
    gitlab, github = steps(".gitlab-ci.yml"), steps(".github/workflows/sparsity.yml")
    assert gitlab == github
    assert shell(github).returncode == 0
    assert 'failures="0"' in (folder / "sparsity.xml").read_text(encoding="utf-8")
    net = (folder / "net.py").read_text(encoding="utf-8")
    (folder / "net.py").write_text(net.replace("threshold=0.2", "threshold=0.1", 1))
    done = shell(github)
    assert done.returncode == 1
    assert "snn_benchmark: worse than the baseline" in done.stdout
    assert re.search(r"^  1 +spikes +[\d,]+ -> +[\d,]+ +\+[\d.]+ % +worse$", done.stdout, re.M)
    assert 'failures="1"' in (folder / "sparsity.xml").read_text(encoding="utf-8")


def test_profile_and_the_action(shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    project(folder)
    command = steps(".github/workflows/profile.yml")
    done = shell(command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert shell(command.replace("--out head/net", "--out baselines/net")).returncode == 0
    (job,) = yaml.safe_load(content(".github/workflows/profile.yml"))["jobs"].values()
    given = job["steps"][-1]["with"]
    assert act(shell, tmp_path, **given) == (0, "exit-code=0\n")


def act(shell: Shell, tmp_path: Path, **given: str) -> tuple[int, str]:
    """Run the script of action.yml with these inputs."""
    tree = yaml.safe_load(content("action.yml"))
    assert given.keys() <= tree["inputs"].keys()
    (step,) = tree["runs"]["steps"]
    inputs = {
        name: str(given.get(name, each.get("default"))) for name, each in tree["inputs"].items()
    }
    variables = {
        key: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda match: inputs[match[1]], value)
        for key, value in step["env"].items()
    }
    output, summary = tmp_path / "output", tmp_path / "summary"
    output.write_text("", encoding="utf-8")
    done = shell(
        step["run"], **variables, GITHUB_OUTPUT=str(output), GITHUB_STEP_SUMMARY=str(summary)
    )
    return done.returncode, output.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({}, 1),
        ({"fail-above": "spikes:50%\nsynops:50%\n"}, 0),
        ({"fail-above": "spikes:50%\nsynops:1%"}, 1),
        ({"exact": "true", "head": "base.json\n"}, 0),
        ({"base": "head.json", "head": "base.json"}, 0),  # better
        ({"base": "head.json", "head": "base.json", "exact": "true"}, 1),
        ({"head": "base.json\nhead.json"}, 1),
        ({"head": "seeded.json"}, 3),
        ({"head": "seeded.json", "allow": "seed\nweights"}, 0),
        ({"fail-above": "spikez:1%"}, 2),
        ({"head": "$(touch pwned); head.json"}, 2),
        ({"head": ""}, 2),
    ],
)
def test_the_action_exits_as_compare_does(
    shell: Shell, tmp_path: Path, inputs: dict[str, str], code: int
) -> None:
    folder = tmp_path / "project"
    base = factories.make_result()
    save(base, folder / "base.json")
    save(factories.make_result(density=0.2), folder / "head.json")
    save(replace(base, config=replace(base.config, seed=1)), folder / "seeded.json")
    found = act(shell, tmp_path, **{"base": "base.json", "head": "head.json"} | inputs)
    assert found == (code, f"exit-code={code}\n")
    assert not (folder / "pwned").exists()
    assert (tmp_path / "summary").exists() == (code != 2)


def test_nothing_is_pasted_into_a_script() -> None:
    (step,) = yaml.safe_load(content("action.yml"))["runs"]["steps"]
    assert "${{" not in step["run"]
    for name in (name for name in SCHEMAS if name.startswith(".github/")):
        (job,) = yaml.safe_load(content(name))["jobs"].values()
        assert not any("${{" in step.get("run", "") for step in job["steps"]), name


@pytest.mark.parametrize("name", SCHEMAS)
def test_files_satisfy_the_official_schemas(name: str, tmp_path: Path) -> None:
    pytest.importorskip("check_jsonschema", reason="check-jsonschema has the official schemas")
    path = tmp_path / Path(name).name
    path.write_text(content(name), encoding="utf-8")
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", SCHEMAS[name]]
    done = subprocess.run([*check, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    broken = "runs: {using: nothing}" if name == "action.yml" else "jobs: {a: {script: {}}}"
    path.write_text(broken, encoding="utf-8")
    done = subprocess.run([*check, path], capture_output=True, check=False)
    assert done.returncode == 1


def test_every_documented_workflow_is_checked() -> None:
    assert {name for name in documented() if name.endswith(".yml")} < SCHEMAS.keys()
    own = {str(path.relative_to(ROOT)) for path in (ROOT / ".github/workflows").glob("*")}
    assert own < SCHEMAS.keys()


def test_our_workflow_runs_what_the_readme_says() -> None:
    (job,) = yaml.safe_load(content(".github/workflows/ci.yml"))["jobs"].values()
    runs = [step["run"] for step in job["steps"] if "run" in step]
    assert runs == [".ci/run"]
    assert os.access(ROOT / ".ci/run", os.X_OK)
    wanted = tomllib.loads(content("pyproject.toml"))["project"]["requires-python"]
    (python,) = [step["with"]["python-version"] for step in job["steps"] if "python" in str(step)]
    assert wanted == f">={python}"


def test_the_documented_history_command(shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    for commit in ("4f2a91c", "5a0b77d"):
        (folder / "results" / commit).mkdir(parents=True)
        save(factories.make_result(), folder / "results" / commit / "result.json")
    done = shell(commands("History"))
    assert done.returncode == 0, done.stderr
    assert {"4f2a91c", "5a0b77d"} <= set(done.stdout.split())
    assert (folder / "history" / "history.csv").exists()
