"""``snnbench train`` and ``snnbench evaluate`` as a user meets them; killed, too."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import msgspec
import pytest
import torch
from support.command_line import Invoke, invoker

from snnbench.train import checkpoint
from snnbench.zoo import registry, weight_files
from snnbench.zoo.card import Card

SMALL = (
    *("train", "resnet19", "--width", "0.0625", "-T", "1", "--epochs", "2", "--threads", "1"),
    *("--batch-size", "16", "--limit-train", "128"),
)
STEPS = 8
"""Of an epoch."""
COMMAND = (sys.executable, "-m", "snnbench")


@pytest.fixture
def invoke(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Invoke:
    """Call ``snnbench`` in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    return invoker(monkeypatch, capsys)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an uninterrupted training."""
    folder = tmp_path_factory.mktemp("trained")
    done = subprocess.run(
        [*COMMAND, *SMALL, "--out", str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["epoch 1/2", "epoch 2/2"]
    return folder


def sha256(folder: Path) -> str:
    return weight_files.state_sha256(weight_files.load_state(folder / "weights.safetensors"))


def check_options_keep_off(names: Collection[str]) -> None:
    """Prove that no option of a card can take the place of what a file says."""
    table = msgspec.to_builtins(registry.get("resnet19").card)
    for name in names:
        option = {name: {"choices": ["a"], "help": ""}}
        with pytest.raises(msgspec.ValidationError, match=r"another name|matching regex"):
            msgspec.convert({**table, "options": option}, Card)


def test_a_training_leaves_weights_with_evidence(trained: Path) -> None:
    told = weight_files.load_metadata(trained / "weights.safetensors")
    facts = json.loads((trained / "training.json").read_text())
    assert told["status"] == facts["status"] == "trained"
    assert told["benchmark_version"] == registry.get("resnet19").version
    assert json.loads(told["width"]) == 0.0625
    constants = {"decay": 0.25, "threshold": 1.0, "surrogate_width": 1.0}
    assert json.loads(told["neuron"]) == {"class": "LIF", **constants}
    assert json.loads(told["command"])[:3] == ["snnbench", "train", "resnet19"]
    assert facts["weights_sha256"] == sha256(trained)
    assert facts["test_samples"] == 300
    assert facts["test_accuracy"] == facts["test_correct"] / 300
    low, high = facts["test_accuracy_interval_95"]
    assert low < facts["test_accuracy"] < high
    assert 0 < facts["test_firing_rate"] < 1
    assert (facts["samples"], facts["data_samples"]) == (128, 1497)
    assert len(facts["data_sha256"]) == 64
    check_options_keep_off(facts.keys() - {"shortcut"})
    assert [record["epoch"] for record in facts["log"]] == [1, 2]
    assert len((trained / "log.jsonl").read_text().splitlines()) == 2
    network = registry.get("resnet19").build(timesteps=1, width=0.0625)
    weight_files.apply_state(network, weight_files.load_state(trained / "weights.safetensors"))


def test_the_recipe_repeats_the_training(invoke: Invoke, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "again"
    recipe = str(trained / "recipe.toml")
    threads = torch.get_num_threads()
    code, _, _ = invoke(
        *("train", "resnet19", "--recipe", recipe, "--threads", "1", "--out", str(out))
    )
    torch.set_num_threads(threads)
    assert code == 0
    assert sha256(out) == sha256(trained)


def test_an_evaluation_agrees_with_the_training(
    invoke: Invoke, trained: Path, tmp_path: Path
) -> None:
    file = str(trained / "weights.safetensors")
    code, out, _ = invoke(
        *("evaluate", "resnet19", "--weights", file, "-T", "1,3", "--out", "found.json"),
        *("--batch-size", "16"),  # as in training: other batches may round otherwise
    )
    assert code == 0
    facts = json.loads((trained / "training.json").read_text())
    found = json.loads((tmp_path / "found.json").read_text())
    one, three = found["results"]
    assert (one["timesteps"], three["timesteps"]) == (1, 3)
    assert (one["correct"], one["samples"]) == (facts["test_correct"], 300)
    assert one["firing_rate"] == pytest.approx(facts["test_firing_rate"], abs=1e-4)
    assert one["top5"] is None  # ten classes
    assert found["width"] == 0.0625
    check_options_keep_off(found.keys() - {"shortcut"})
    assert f"{facts['test_accuracy']:.2%}" in out


def test_the_twin_trains_and_is_evaluated(invoke: Invoke, tmp_path: Path) -> None:
    code, out, _ = invoke(*SMALL, "--epochs", "1", "--twin", "--no-test", "--out", "twin")
    assert code == 0
    assert "accuracy" not in out
    code, out, _ = invoke("evaluate", "resnet19", "--weights", "twin/weights.safetensors")
    assert code == 0
    assert re.search(r"│ +- │", out)  # an ANN does not fire


INTERRUPTED = """
import os
from snnbench.cli.main import main
from snnbench.train import checkpoint

save = checkpoint.save

def save_and_signal(folder, state, *others):
    save(folder, state, *others)
    if state.epoch * {epoch} + state.step == {steps}:
        os.kill(os.getpid(), {number})

checkpoint.save = save_and_signal
main()
"""


def interrupted(folder: Path, number: signal.Signals, steps: int) -> tuple[int, str]:
    """Exit code and messages of a training that gets a signal when it has saved so many steps."""
    script = INTERRUPTED.format(epoch=STEPS, steps=steps, number=int(number))
    done = subprocess.run(
        [sys.executable, "-c", script, *SMALL, "--checkpoint-every", "0", "--out", str(folder)],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("steps", [1, STEPS + 3])
def test_a_killed_training_resumes_to_the_same_weights(
    trained: Path, tmp_path: Path, steps: int
) -> None:
    code, _ = interrupted(tmp_path, signal.SIGKILL, steps)
    assert code == -signal.SIGKILL
    assert not (tmp_path / "weights.safetensors").exists()
    subprocess.run(
        [*COMMAND, "train", "resnet19", "--threads", "1", "--resume", "--out", str(tmp_path)],
        check=True,
    )
    assert sha256(tmp_path) == sha256(trained)
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_training_saves_and_says_how_to_go_on(
    tmp_path: Path, number: signal.Signals
) -> None:
    code, text = interrupted(tmp_path, number, 2)
    assert code == 130, text
    last = text.splitlines()[-1]
    assert re.fullmatch(
        r"stopped in epoch \d of 2 after \d+ steps; "
        rf"continue with: snnbench train resnet19 .* --out {re.escape(str(tmp_path))} --resume",
        last,
    )
    state, _, _ = checkpoint.load(tmp_path / checkpoint.FOLDER)
    assert f"epoch {state.epoch + 1} of 2 after {state.step} steps" in last


def test_epochs_may_grow_and_nothing_else(invoke: Invoke, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy"
    shutil.copytree(trained, out)
    code, _, err = invoke(*SMALL, "--out", str(out))
    assert code == 2
    assert "already holds a training; continue it with --resume" in err
    code, _, err = invoke("train", "resnet19", "--resume", "--lr", "0.3", "--out", str(out))
    assert code == 2
    assert "another training (recipe: lr 0.05, not 0.3)" in err
    code, _, _ = invoke("train", "resnet19", "--resume", "--epochs", "3", "--out", str(out))
    assert code == 0
    assert len(json.loads((out / "training.json").read_text())["log"]) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("resnet91",), "unknown benchmark 'resnet91': did you mean resnet"),
        (("resnet19", "--width", "0"), "width"),
        (("resnet19", "-T", "0"), "timesteps"),
        (("resnet19", "--epochs", "0"), "epochs"),
        (("resnet19", "--batch-size", "0"), "batch_size"),
        (("resnet19", "--batch-size", "1498"), "choose at most 1497"),
        (("resnet19", "--lr", "nan"), "lr (--lr): Expected float > 0.0, got nan"),
        (("resnet19", "--recipe", "none.toml"), "cannot be read"),
        (("resnet19", "--data", "cifar10=none"), "none"),
        (("resnet19", "--device", "cuda:77"), "cuda:77 is not available"),
        (("resnet19", "--out", "file"), "cannot write to folder file"),
        (("resnet19", "--resume"), "no checkpoint in"),
        (("resnet34",), "label"),  # photographs without labels
        (("resnet17-nmnist", "-T", "1000000000"), "memory ran out"),
        (("resnet19", "--threads", "1000000000000"), "--threads must be at most 1024"),
    ],
)
def test_a_wrong_training_is_one_line(
    invoke: Invoke, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "file").touch()
    code, _, err = invoke("train", *arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--width", "0.5"), "are for --width 0.0625, not 0.5"),
        (("--shortcut", "identity"), "are for --shortcut paper, not identity"),
        (("-T", "0"), "--timesteps must be at least 1, got 0"),
        (("-T", "two"), "-T must be numbers"),
        (("--batch-size", "0"), "--batch-size must be at least 1"),
        (("--samples", "0"), "--samples must be at least 1"),
        (("--out", "no/file/x.json"), "cannot write to folder"),
        (("--out", "."), "--out . is a folder; name a file"),
    ],
)
def test_a_wrong_evaluation_is_one_line(
    invoke: Invoke, trained: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "no").touch()
    file = str(trained / "weights.safetensors")
    code, _, err = invoke("evaluate", "resnet19", "--weights", file, *arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_weights_that_say_nothing_have_the_width_that_is_asked_for(
    invoke: Invoke, trained: Path, tmp_path: Path
) -> None:
    torch.save(weight_files.load_state(trained / "weights.safetensors"), tmp_path / "own.pt")
    arguments = ("evaluate", "resnet19", "--weights", "own.pt", "--samples", "4", "-T", "1")
    code, _, _ = invoke(*arguments, "--width", "0.0625")
    assert code == 0
    code, _, err = invoke(*arguments, "--width", "0")
    assert code == 2
    assert "width must be positive" in err


def test_what_is_asked_too_much_is_said_to_be_all(invoke: Invoke, trained: Path) -> None:
    assert json.loads((trained / "training.json").read_text())["samples"] == 128
    options = ("--limit-train", "9999", "--batch-size", "1497", "--epochs", "1", "--no-test")
    code, _, _ = invoke(*SMALL, *options, "--out", "all")
    assert code == 0
    assert json.loads(Path("all/training.json").read_text())["samples"] == 1497


def test_weights_of_another_benchmark_are_refused(invoke: Invoke, trained: Path) -> None:
    file = str(trained / "weights.safetensors")
    code, _, err = invoke("evaluate", "plain20", "--weights", file)
    assert code == 2
    assert "are for resnet19, not for plain20" in err
    code, _, err = invoke("evaluate", "resnet19", "--weights", "none.safetensors")
    assert code == 2
    assert "none.safetensors" in err
