"""The command line as a user meets it: what works, and one clear line for what does not."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support.command_line import Invoke, invoker

from snnbench.core.errors import StructureError
from snnbench.results.files import load
from snnbench.run.counting_pass import FILE_NAME
from snnbench.zoo import registry

SMALL = (
    *("run", "resnet19", "--width", "0.0625", "-T", "2", "--samples", "2"),
    *("--threads", "1", "--latency-batches", "1"),
)
COUNT_ONLY = (*SMALL, "--no-latency", "--batch-size", "1")


@pytest.fixture
def invoke(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Invoke:
    """Call ``snnbench`` in this process, in an empty folder; times are taken three times only."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("snnbench.run.timing_pass._BUDGET_S", 0.5)

    return invoker(monkeypatch, capsys)


def small_state() -> dict[str, torch.Tensor]:
    network = registry.get("resnet19").build(timesteps=2, width=0.0625)
    return {name: value.contiguous() for name, value in network.state_dict().items()}


def test_run_leaves_a_valid_result_and_a_report(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms: set[str] = set()
    get = registry.get

    def noted(name: str) -> registry.Benchmark:
        rooms.add(sys._getframe(1).f_globals["__name__"].rpartition(".")[0])
        return get(name)

    monkeypatch.setattr(registry, "get", noted)
    code, out, _ = invoke(*SMALL)
    assert rooms == {"snnbench.cli"}, "what a name stands for is handed down"
    folder = tmp_path / "results" / "resnet19"
    assert code == 0
    assert "untrained" in out
    result = load(folder / "result.json")
    assert result.weights.status == "untrained"
    names = {timing.name for timing in result.timings}
    assert names == {"snn-event", "snn-dense-fused", "ann-twin"}
    assert all(check.ok for check in result.checks), result.checks
    assert "untrained weights" in (folder / "report.html").read_text(encoding="utf-8")
    assert not (folder / FILE_NAME).exists()


@pytest.mark.parametrize("mode", ["auto", "event", "dense"])
def test_the_engine_leaves_what_it_executed(invoke: Invoke, tmp_path: Path, mode: str) -> None:
    assert invoke(*SMALL, "--engine", mode, "--out", "run")[0] == 0
    result = load("run/result.json")
    engine = result.engine
    assert engine is not None
    assert (engine.mode, engine.weights_dtype) == (mode, "float32")
    # a potential beside its threshold may round to the other side, and one flip makes others
    assert engine.flipped_by_rounding <= 1e-4 * engine.spike_sites
    if not engine.flipped_spikes:
        assert engine.output_max_abs_difference <= 1e-4 * engine.output_max_abs
    layers = {layer.name: layer for step in engine.steps for layer in step.layers}
    synapses = {layer.name for layer in result.snn.layers if layer.dense.synops}
    assert synapses <= layers.keys()
    macs = sum(layer.executed_macs for layer in layers.values())
    one_sample = result.snn.dense.synops // 2
    assert layers["stem.conv"].executed_macs * 2 == (  # once instead of at both timesteps
        next(x for x in result.snn.layers if x.name == "stem.conv").dense.macs // 2
    )
    reasons = [step.reason for step in engine.steps if step.input_spikes is not None]
    if mode == "dense":
        assert macs > 0.9 * one_sample
        assert all(reasons)
    if mode == "event":
        assert macs < 0.2 * one_sample
        assert not any(reasons)
        assert [check.ok for check in result.checks if "engine" in check.name] == [True]
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "Event engine by step" in page
    figure = tmp_path / "run" / "figures" / "speedup_by_firing_rate.svg"
    assert figure.exists() == (mode != "dense")


def test_without_the_engine_and_with_batches(invoke: Invoke) -> None:
    code, out, _ = invoke(*SMALL, "--engine", "off", "--latency-batches", "2,1", "--out", "run")
    assert code == 0
    result = load("run/result.json")
    assert result.engine is None
    assert [timing.batch_size for timing in result.timings] == [1, 1, 2, 2]
    assert "snn-dense-fused, batch 2" in out


def test_a_run_interrupted_in_the_engine_resumes_with_all_counts(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("snnbench.run.engine_pass.run_engine", interrupted)
        code, _, err = invoke(*SMALL, "--out", "run")
    assert code == 130
    assert "repeat the command to continue" in err
    code, _, err = invoke(*SMALL, "--engine", "off", "--out", "run")
    assert code == 0
    assert "resuming an interrupted run: 2 samples are counted already" in " ".join(err.split())


def test_a_network_the_engine_cannot_run_is_an_error_only_where_it_was_asked_for(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        msg = "Network takes a tensor apart"
        raise StructureError(msg)

    monkeypatch.setattr("snnbench.run.engine_pass.run_engine", refused)
    code, _, err = invoke(*SMALL, "--out", "run")
    assert code == 0
    assert "the event engine is left out: Network takes a tensor apart" in " ".join(err.split())
    assert load("run/result.json").engine is None
    code, _, err = invoke(*SMALL, "--engine", "event", "--out", "other")
    assert code == StructureError.exit_code
    assert "error: Network takes a tensor apart" in err


def test_two_runs_give_identical_tables_and_figures(invoke: Invoke, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert invoke(*COUNT_ONLY, "--out", name)[0] == 0
    first = {
        path.relative_to(tmp_path / "one"): path.read_bytes()
        for kind in ("tables", "figures")
        for path in sorted((tmp_path / "one" / kind).iterdir())
    }
    assert len(first) > 10
    for path, content in first.items():
        assert (tmp_path / "two" / path).read_bytes() == content, path
    assert load("one/result.json").snn == load("two/result.json").snn


def test_report_is_made_again_without_torch(invoke: Invoke, tmp_path: Path) -> None:
    assert invoke(*COUNT_ONLY, "--out", "run")[0] == 0
    script = (
        "import sys\n"
        "sys.modules['torch'] = None\n"  # importing it raises ImportError
        "sys.argv = ['snnbench', 'report', 'run/result.json', '--out', 'again']\n"
        "from snnbench.cli.main import main; main()"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path, capture_output=True)
    for path in sorted((tmp_path / "run" / "tables").iterdir()):
        assert (tmp_path / "again" / "tables" / path.name).read_bytes() == path.read_bytes()


def test_a_rerun_without_times_leaves_no_times_behind(invoke: Invoke, tmp_path: Path) -> None:
    assert invoke(*SMALL, "--out", "run")[0] == 0
    assert (tmp_path / "run" / "figures" / "latency.svg").exists()
    (tmp_path / "run" / "figures" / "mine.png").write_bytes(b"the user's")
    assert invoke(*COUNT_ONLY, "--out", "run")[0] == 0
    assert not (tmp_path / "run" / "figures" / "latency.svg").exists()
    assert (tmp_path / "run" / "figures" / "mine.png").exists()


def test_trained_weights_are_loaded_and_said_to_be(invoke: Invoke) -> None:
    save_file(small_state(), "weights.safetensors", metadata={"epochs": "3", "data": "digits"})
    code, out, _ = invoke(*COUNT_ONLY, "--weights", "weights.safetensors")
    assert code == 0
    assert "untrained weights:" not in out
    result = load("results/resnet19/result.json")
    assert (result.weights.status, result.weights.description) == (
        "trained",
        "weights.safetensors",
    )
    assert result.weights.evidence == "data: digits; epochs: 3"


class Evil:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.system, ("touch pwned",)


def write_nan_weights() -> None:
    state = small_state()
    state["stem.conv.weight"][0, 0, 0, 0] = float("nan")
    save_file(state, "nan.safetensors")


def write_truncated_image() -> None:
    from PIL import Image

    folder = Path("images")
    folder.mkdir()
    for index in range(4):
        Image.effect_noise((64, 64), 80).convert("RGB").save(folder / f"{index}.png")
        data = (folder / f"{index}.png").read_bytes()
        (folder / f"{index}.png").write_bytes(data[: len(data) // 2])


BAD_INPUT = {
    "unknown benchmark": (
        None,
        ("run", "resnet43"),
        "'resnet43': did you mean resnet34?",
    ),
    "T = 0": (None, (*SMALL, "-T", "0"), "timesteps must be at least 1, got 0"),
    "latency batch 0": (
        None,
        (*SMALL, "--latency-batches", "1,0"),
        "latency-batches must be at least 1, got 0",
    ),
    "latency batch x": (
        None,
        (*SMALL, "--latency-batches", "1,x"),
        "must be numbers separated by commas",
    ),
    "weights dtype": (None, (*SMALL, "--weights-dtype", "int4"), "not one of"),
    "engine": (None, (*SMALL, "--engine", "on"), "not one of"),
    "engine, but no latency": (
        None,
        (*COUNT_ONLY, "--engine", "event", "--weights-dtype", "int16"),
        "--engine, --weights-dtype have no effect with --no-latency",
    ),
    "no samples": (None, (*SMALL, "--samples", "0"), "samples must be at least 1, got 0"),
    "batch 0": (None, (*SMALL, "--batch-size", "0"), "batch-size must be at least 1, got 0"),
    "width 0": (None, (*SMALL, "--width", "0"), "width must be positive"),
    "an overflowing T": (None, (*SMALL, "-T", "99999999999"), "--timesteps must be at most"),
    "more threads than exist": (None, (*SMALL, "--threads", "99999999999"), "--threads must be at"),
    "an overflowing width": (None, (*SMALL, "--width", "1e300"), "--width must be at most 1000"),
    "more than fits into memory": (None, (*SMALL, "--width", "1000"), "memory ran out"),
    "a weights path too long": (None, (*SMALL, "--weights", "w" * 300), "cannot be read"),
    "an input beyond memory": (
        None,
        ("profile", "torch.nn:Identity", "--input", "99999999x99999999x9999"),
        "memory ran out; choose a smaller --input",
    ),
    "a module that quits": (
        lambda: Path("quits_for_cli.py").write_text("import sys; sys.exit('usage: quits')"),
        ("profile", "quits_for_cli:net", "--input", "3"),
        "cannot import quits_for_cli: SystemExit: usage: quits",
    ),
    "width nan": (None, (*SMALL, "--width", "nan"), "width must be positive"),
    "no such device": (None, (*SMALL, "--device", "tpu"), "unknown device 'tpu'"),
    "missing data": (None, (*SMALL, "--data", "nowhere"), "nowhere"),
    "empty data": (
        lambda: Path("empty").mkdir(),
        (*SMALL, "--data", "empty"),
        "empty",
    ),
    "truncated image": (write_truncated_image, (*SMALL, "--data", "images"), ".png"),
    "missing weights": (None, (*SMALL, "--weights", "no.pt"), "no.pt"),
    "weights of another shape": (
        lambda: save_file({"stem.conv.weight": torch.zeros(3)}, "other.safetensors"),
        (*SMALL, "--weights", "other.safetensors"),
        "other.safetensors",
    ),
    "a pickle with code": (
        lambda: Path("evil.pt").write_bytes(pickle.dumps(Evil())),
        (*SMALL, "--weights", "evil.pt"),
        "evil.pt",
    ),
    "NaN weights": (write_nan_weights, (*SMALL, "--weights", "nan.safetensors"), "stem.conv"),
    "a file where the folder goes": (
        lambda: Path("taken").write_text("mine"),
        (*SMALL, "--out", "taken"),
        "taken",
    ),
    "a report of nothing": (None, ("report", "nothing.json"), "nothing.json"),
    "a report of rubbish": (
        lambda: Path("rubbish.json").write_text('{"schema_version": 1'),
        ("report", "rubbish.json"),
        "rubbish.json",
    ),
    "a target without factory": (None, ("profile", "torch", "--input", "3"), "MODULE:FACTORY"),
    "a module that is not there": (
        None,
        ("profile", "nomodule:net", "--input", "3"),
        "cannot import nomodule",
    ),
    "a shape that is none": (
        None,
        ("profile", "torch.nn:Identity", "--input", "3xx"),
        "--input must be positive sizes",
    ),
    "a factory that needs arguments": (
        None,
        ("profile", "torch.nn:Linear", "--input", "3"),
        "torch.nn:Linear() failed",
    ),
    "an unknown option": (None, ("run", "resnet19", "--frobnicate"), "--frobnicate"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_gets_one_line_and_exit_code_2(case: str, invoke: Invoke) -> None:
    make, arguments, expected = BAD_INPUT[case]
    if make is not None:
        make()
    earlier = Path("results/resnet19/result.json")
    earlier.parent.mkdir(parents=True)
    earlier.write_text("an earlier result")
    code, out, err = invoke(*arguments)
    assert code == 2, err
    told = err.strip().splitlines()[-1]
    assert expected in told
    assert "Traceback" not in out + err
    assert earlier.read_text() == "an earlier result"
    assert not Path("pwned").exists()


def test_list_shows_every_benchmark(invoke: Invoke) -> None:
    code, out, _ = invoke("list")
    assert code == 0
    for name in ("resnet17", "resnet19", "resnet34", "resnet34-large", "resnet50", "plain20"):
        assert name in out


def test_schema_and_env_are_json(invoke: Invoke) -> None:
    assert "RunResult" in json.dumps(json.loads(invoke("schema")[1]))
    assert json.loads(invoke("env")[1])["torch"] == torch.__version__


MODEL = """
import torch
from torch import nn

class Threshold(nn.Module):
    def forward(self, x):
        return (x > 0.5).float()

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lif = Threshold()
        self.fc = nn.Linear(4, 3, bias=False)

    def forward(self, x):
        return self.fc(self.lif(x))

def net():
    return Net()

class Extra(Net):
    def get_extra_state(self):
        return {"version": 1}

    def set_extra_state(self, state):
        pass

def lazy_import():
    import sibling_for_cli
    return sibling_for_cli.Identity()

def exploding():
    raise ValueError("boom")
"""


def test_profile_counts_a_users_model(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mynet_for_cli.py").write_text(MODEL)
    arguments = ("--input", "4", "-T", "3", "--values", "spikes:1", "--batch-size", "2")
    code, out, err = invoke("profile", "mynet_for_cli:net", *arguments, "--out", "report")
    assert code == 0, err
    # 4 spikes x 3 synapses x 3 timesteps x 2 samples
    assert load("report/result.json").snn.effective.acs == 72
    assert "36" in out  # per sample
    assert invoke("profile", "mynet_for_cli:Extra", "--input", "4", "--out", "extra")[0] == 0
    (tmp_path / "sibling_for_cli.py").write_text("from torch.nn import Identity")
    assert invoke("profile", "mynet_for_cli:lazy_import", "--input", "4")[0] == 0
    assert "" not in sys.path
    neuron = ("--neuron", "mynet_for_cli:Threshold")
    code, _, err = invoke("profile", "mynet_for_cli:net", *arguments, *neuron, "--out", "report")
    assert code == 0, err
    (row,) = load("report/result.json").snn.neurons
    assert (row.output_spikes, row.spikes_per_timestep) == (24, (8, 8, 8))
    code, _, err = invoke("profile", "mynet_for_cli:net", *arguments, "--neuron", "torch:rand")
    assert (code, "torch:rand is not a class of torch.nn.Module" in err) == (2, True)
    code, _, err = invoke("profile", "mynet_for_cli:exploding", "--input", "4")
    assert (code, "ValueError: boom" in err) == (2, True)
    code, _, err = invoke("profile", "mynet_for_cli:net", "--input", "5")
    assert (code, "does not take an input of 1x5" in err) == (2, True)
