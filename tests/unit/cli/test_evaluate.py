"""What ``snnbench evaluate`` prints."""

import pytest

from snnbench.cli.evaluate import _print


def test_the_name_of_data_is_only_text(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"timesteps": 2, "top1": 0.5, "top5": None, "correct": 1, "samples": 2}
    results = [row | {"interval_95": (0.1, 0.9), "firing_rate": None}]
    _print({"benchmark": "net", "data": "[/b]\x1b", "results": results})
    assert r"net on [/b]\x1b" in capsys.readouterr().out
