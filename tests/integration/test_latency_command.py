"""``snnbench latency`` as a user meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pandas as pd
import pytest
from support.command_line import Invoke, invoker

from snnbench.results.layer_latency import LayerLatencyResult

SMALL = ("latency", "resnet19", "--width", "0.0625", "-T", "2")
FILES = {f"speedup_curves.{kind}" for kind in ("json", "csv", "svg", "png")}


@pytest.fixture
def invoke(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Invoke:
    """Call ``snnbench`` in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    return invoker(monkeypatch, capsys)


def load(folder: Path) -> LayerLatencyResult:
    return msgspec.json.decode(
        (folder / "speedup_curves.json").read_bytes(), type=LayerLatencyResult
    )


def test_curves_are_written_and_printed(invoke: Invoke, tmp_path: Path) -> None:
    code, out, err = invoke(*SMALL, "--rates", "0.5,0.05,0.5")
    assert code == 0, err
    folder = tmp_path / "results" / "resnet19"
    assert {path.name for path in folder.iterdir()} == FILES
    result = load(folder)
    assert result.weights.status == "untrained"
    assert result.config.timesteps == 2
    assert result.environment.torch
    assert [[point.firing_rate for point in curve.points] for curve in result.curves] == [
        [0.05, 0.5]
    ] * len(result.curves)
    assert len({curve.shape for curve in result.curves}) == len(result.curves)
    for curve in result.curves:
        assert all(len(point.event_s) == result.rounds for point in curve.points)
        assert len(curve.layer_firing_rates) == len(curve.layers)
        assert all(rate is not None and 0 <= rate <= 1 for rate in curve.layer_firing_rates)
        assert str(curve.shape) in out
    assert "UNTRAINED" in out
    assert "UNTRAINED" in err
    table = pd.read_csv(folder / "speedup_curves.csv")
    assert len(table) == 2 * len(result.curves)
    assert table["speedup"].tolist() == pytest.approx(
        [point.speedup for curve in result.curves for point in curve.points]
    )
    assert (folder / "speedup_curves.png").read_bytes().startswith(b"\x89PNG")


def test_all_layers_have_a_curve_each(invoke: Invoke, tmp_path: Path) -> None:
    options = ("--rates", "0.2", "--out", "here", "--weights-dtype", "int16", "--batch-size", "3")
    code, _, err = invoke(*SMALL, *options, "--layers", "all")
    assert code == 0, err
    result = load(tmp_path / "here")
    names = [name for curve in result.curves for name in curve.layers]
    assert len(names) == len(result.curves) == len(set(names))
    # two 3x3 convolutions in each of eight blocks, two shortcuts; stem and head see no spikes
    assert len(names) == 2 * 8 + 2
    assert result.config.weights_dtype == "int16"
    assert result.config.batch_size == 3


def test_drawing_again_gives_the_same_bytes(invoke: Invoke, tmp_path: Path) -> None:
    from snnbench.render import layer_latency

    assert invoke(*SMALL, "--rates", "0.1,0.9")[0] == 0
    result = load(tmp_path / "results" / "resnet19")
    for kind, content in layer_latency.draw(result).items():
        assert (tmp_path / f"results/resnet19/speedup_curves.{kind}").read_bytes() == content


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("latency", "resnet91"), "resnet91"),
        ((*SMALL, "--rates", "0.1,a"), "--rates must be numbers separated by commas"),
        ((*SMALL, "--rates", ""), "--rates must be numbers separated by commas"),
        ((*SMALL, "--rates", "0.1,,0.2"), "--rates must be numbers separated by commas"),
        ((*SMALL, "--rates", "0"), "--rates must be firing rates in (0, 1]"),
        ((*SMALL, "--rates", "0.1,1.5"), "got 1.5"),
        ((*SMALL, "--rates", "nan"), "--rates must be firing rates in (0, 1]"),
        ((*SMALL, "--rates", "-0.1"), "got -0.1"),
        ((*SMALL, "--batch-size", "0"), "--batch-size must be at least 1"),
        ((*SMALL, "--threads", "0"), "--threads must be at least 1"),
        ((*SMALL, "--data", "nowhere"), "nowhere"),
        ((*SMALL, "--weights", "nothing.pt"), "nothing.pt"),
    ],
)
def test_mistakes_are_one_line(invoke: Invoke, arguments: tuple[str, ...], message: str) -> None:
    code, out, err = invoke(*arguments)
    assert code == 2
    assert out == ""
    (line,) = [line for line in err.splitlines() if not line.endswith("...")]
    assert line.startswith("snnbench: error: ")
    assert message in line


def test_rendering_loads_no_torch(invoke: Invoke, tmp_path: Path) -> None:
    assert invoke(*SMALL, "--rates", "0.1")[0] == 0
    code = (
        "import sys, msgspec; from pathlib import Path; "
        "from snnbench.render import layer_latency; "
        "from snnbench.results.layer_latency import LayerLatencyResult; "
        "content = Path('results/resnet19/speedup_curves.json').read_bytes(); "
        "layer_latency.draw(msgspec.json.decode(content, type=LayerLatencyResult)); "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "False"
    assert json.loads((tmp_path / "results/resnet19/speedup_curves.json").read_text())
