"""``snnbench compare`` as a user and a CI job meet it."""

from __future__ import annotations

import doctest
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from support.command_line import Invoke, invoker
from support.factories import HOSTILE_NAME, make_result, trained, with_names

from snnbench.results.files import save
from snnbench.results.run import Accuracy, RunResult
from snnbench.run import single

ROOT = Path(__file__).parents[2]


@pytest.fixture
def invoke(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Invoke:
    """Call ``snnbench compare`` in this process, in a folder with base.json and head.json."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    base = trained(make_result())
    save(base, "base.json")
    save(replace(base, accuracy=Accuracy(correct=92, samples=100)), "head.json")

    return invoker(monkeypatch, capsys, "compare")


def test_equal_files_are_ok(invoke: Invoke) -> None:
    code, out, _ = invoke("base.json", "base.json")
    assert code == 0
    assert out.startswith("resnet19: ok (base.json against base.json)\n")
    assert "no count, rate, energy or accuracy moved" in out
    assert out.endswith("verdict: ok (exit code 0)\n")


def test_a_regression_is_named_and_fails(invoke: Invoke) -> None:
    code, out, _ = invoke("base.json", "head.json")
    assert code == 1
    assert re.search(r"accuracy +93\.00 % +92\.00 % +-1\.00 pt +regression", out)
    assert invoke("base.json", "head.json", "--fail-above", "accuracy:1pt")[0] == 0
    assert invoke("base.json", "head.json", "base.json")[0] == 1  # the worst of two


def test_incomparable_files_and_what_allows_them(invoke: Invoke) -> None:
    base = trained(make_result())
    save(replace(base, weights=replace(base.weights, sha256="12" * 32)), "retrained.json")
    code, out, _ = invoke("base.json", "retrained.json")
    assert code == 3
    assert f"weights differs: {'ab' * 32} and" in out
    assert "--allow weights" in out
    code, out, _ = invoke("base.json", "retrained.json", "--allow", "weights")
    assert code == 0
    assert "allowed: weights differs" in out


def test_the_example_of_the_page_is_what_is_printed(invoke: Invoke) -> None:
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```console\n\$ snnbench compare (.*)\n((?:.|\n)*?)^```$", page, re.M)
    base = make_result()
    layers = [
        replace(
            layer,
            output_spikes=(layer.output_spikes or 0) * 101 // 100,
            spikes_per_timestep=None,
            spikes_per_sample=None,
        )
        if layer.name == "blocks.0.lif2"
        else layer
        for layer in base.snn.layers
    ]
    save(base, "base.json")
    save(replace(base, snn=replace(base.snn, layers=tuple(layers))), "head.json")
    code, out, _ = invoke(*example[0].split())
    assert code == 1
    loose = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.OutputChecker().check_output(example[1], out, loose), out


NETS = """
from torch import nn
from snnbench.nn.neuron import LIF

def net(threshold=1.0, stride=1):
    return nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1), LIF(threshold=threshold),
        nn.Conv2d(8, 8, 3, padding=1, stride=stride), LIF(),
    )

def lower_threshold(): return net(threshold=0.5)
def stride(): return net(stride=2)
"""


def test_a_changed_threshold_and_a_changed_stride_of_a_real_network(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "planted_nets.py").write_text(NETS)
    monkeypatch.syspath_prepend(str(tmp_path))
    for factory in ("net", "lower_threshold", "stride"):
        result = single.profile_target(f"planted_nets:{factory}", shape="2x8x8", timesteps=3)
        save(replace(result, benchmark="mynet"), f"{factory}.json")
    assert invoke("net.json", "net.json", "--exact")[0] == 0
    code, out, _ = invoke("net.json", "lower_threshold.json")
    assert code == 1
    assert "regression: spikes: worse; most in 1" in out
    assert "regression: acs: worse; most in 2" in out
    code, out, _ = invoke("lower_threshold.json", "net.json")  # a higher one: better, but not equal
    assert code == 0
    assert "better" in out
    assert invoke("lower_threshold.json", "net.json", "--exact")[0] == 1
    code, out, _ = invoke("net.json", "stride.json")
    assert code == 4
    assert "missing: 3: 384 of 1,536 neuron updates are left" in out
    code, out, _ = invoke("stride.json", "net.json")
    assert code == 1
    assert "regression: dense.acs: worse; most in 2" in out


def test_folders_with_a_missing_benchmark(invoke: Invoke, tmp_path: Path) -> None:
    for folder in ("base", "head"):
        (tmp_path / folder / "deep" / "resnet19").mkdir(parents=True)
        save(make_result(), f"{folder}/deep/resnet19/result.json")
        Path(folder, "speedup_curves.json").write_text("{}")
    save(make_result(benchmark="plain20"), "base/plain20.json")
    code, out, _ = invoke("base", "head")
    assert code == 4
    assert "missing: head has no result of plain20 to compare" in out
    code, out, _ = invoke("head", "base")
    assert code == 0
    assert "new: base has plain20, and the base does not" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("base.json",), "Missing argument"),
        (("none.json", "base.json"), "none.json does not exist"),
        (("base.json", "empty"), "folder empty holds no result"),
        (("base.json", "cut.json"), "truncated"),
        (("base.json", "deep.json"), "nested too deeply"),
        (("base.json", "new.json"), "has schema version 2"),
        (("base.json", "base.json", "--fail-above", "spike:0"), "did you mean spikes"),
        (("base.json", "base.json", "--allow", "cpu"), "no such key"),
        (("base.json", "base.json", "--format", "yaml"), "Invalid value for '--format'"),
        (("base.json", "base.json", "--out", "none/x.md"), "create it first"),
    ],
)
def test_usage_errors(invoke: Invoke, arguments: tuple[str, ...], message: str) -> None:
    Path("empty").mkdir()
    Path("cut.json").write_bytes(Path("base.json").read_bytes()[:-500])
    Path("deep.json").write_text('{"a":' * 10**5)
    Path("new.json").write_text('{"schema_version": 2}')
    code, out, err = invoke(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


def test_a_damaged_file_in_a_folder_is_not_left_out(invoke: Invoke) -> None:
    Path("cut.json").write_bytes(Path("base.json").read_bytes()[:-500])
    code, _, err = invoke(".", ".")
    assert code == 2
    assert "cut.json" in err


def test_json(invoke: Invoke) -> None:
    code, out, _ = invoke("base.json", "head.json", "--format", "json")
    tree = json.loads(out)
    assert (tree["version"], tree["exit_code"], code) == (1, 1, 1)
    (comparison,) = tree["comparisons"]
    (gate,) = [gate for gate in comparison["gates"] if gate["status"] == "regression"]
    assert (gate["metric"], gate["base"], gate["head"], gate["limit"]) == ("accuracy", 93, 92, "0")
    (move,) = comparison["moves"]
    assert move["direction"] == "worse"
    assert move["relative"] == pytest.approx(-1 / 93)


def test_junit_has_a_case_per_gate(invoke: Invoke) -> None:
    code, out, _ = invoke("base.json", "head.json", "--format", "junit", "--out", "gates.xml")
    assert (code, out) == (1, "gates.xml: exit code 1\n")
    (suite,) = ET.parse("gates.xml").getroot()
    cases = {case.get("name"): case for case in suite}
    assert suite.get("tests") == str(len(cases))
    assert suite.get("failures") == "1"
    failure = cases["accuracy"].find("failure")
    assert failure is not None
    assert failure.get("type") == "regression"
    assert list(cases["synops"]) == []
    skipped = cases["latency.event, batch 2, cpu, 1 thread"].find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "2 of at least 3 processes per side"


def test_the_job_summary_is_added_to(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert invoke("base.json", "head.json", "--format", "json")[0] == 1
    text = summary.read_text(encoding="utf-8")
    assert text.startswith("before\n## snnbench compare: regression\n")
    assert "| (network) | accuracy | 93.00 % | 92.00 % | -1.00 pt | regression |" in text
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    code, _, err = invoke("base.json", "head.json")
    assert code == 2
    assert "set GITHUB_STEP_SUMMARY to a writable file" in err


HOSTILE = f"{HOSTILE_NAME}\x1b[31m\x07\u202e\ufffe\nEND ]]> @all https://x.example"


def hostile_pair() -> tuple[RunResult, RunResult]:
    base = with_names(trained(make_result()), HOSTILE)
    first, *others = base.snn.layers
    effective = replace(first.effective, macs=first.effective.macs + 1)
    worse = replace(
        first, effective=effective, effective_per_timestep=None, effective_per_sample=None
    )
    return base, replace(base, snn=replace(base.snn, layers=(worse, *others)))


def test_hostile_names_stay_text(invoke: Invoke) -> None:
    base, head = hostile_pair()
    save(base, "base.json")
    save(head, "head.json")
    outputs = {}
    for name in ("table", "md", "json", "junit"):
        code, outputs[name], _ = invoke("base.json", "head.json", "--format", name)
        assert code == 1
        assert not set("\x1b\x07\u202e\ufffe") & set(outputs[name])
    assert "<script>" not in outputs["md"]
    assert "@all" not in outputs["md"]
    assert "https://" not in outputs["md"]
    rows = [line for line in outputs["md"].splitlines() if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {7}
    assert json.loads(outputs["json"])["comparisons"][0]["benchmark"] == HOSTILE
    (suite,) = ET.fromstring(outputs["junit"])
    assert (suite.get("name") or "").startswith('β.<script>alert("x")</script>')


def test_no_torch_and_no_pandas(invoke: Invoke) -> None:
    code = (
        "import sys; from snnbench.cli.main import main\n"
        "sys.argv = ['snnbench', 'compare', 'base.json', 'head.json', '--format', sys.argv[1]]\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 1\n"
        "assert not {'torch', 'pandas', 'matplotlib'} & sys.modules.keys()"
    )
    for name in ("table", "junit"):
        subprocess.run([sys.executable, "-c", code, name], check=True, capture_output=True)


def test_the_page_on_continuous_integration_tells_all_keys_and_codes() -> None:
    from snnbench.compare.identity import ALLOWABLE
    from snnbench.compare.words import VERDICTS

    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`([\w.-]+)`", page))
    assert set(ALLOWABLE) <= told
    for code, verdict in VERDICTS.items():
        assert f"| {code} | {verdict} |" in page
