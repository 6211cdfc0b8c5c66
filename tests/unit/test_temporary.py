"""Temporary folders under signals."""

import signal
import tempfile
from pathlib import Path

import pytest

from snnbench.temporary import temporary_folder


def test_a_folder_is_there_within_and_gone_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with temporary_folder("some-") as folder:
        assert folder.parent == tmp_path
        assert folder.name.startswith("some-")
        (folder / "file").write_text("content")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("function", ["tempfile.mkdtemp", "shutil.rmtree"])
def test_a_signal_while_it_is_made_or_removed_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, number: signal.Signals
) -> None:
    """The signal comes when the folder exists and its maker has not returned, or the reverse."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    module, name = function.split(".")
    plain = getattr(__import__(module), name)

    def interrupted(*args: object, **options: object) -> object:
        result = None
        if name == "mkdtemp":
            result = plain(*args, **options)
        signal.raise_signal(number)
        return plain(*args, **options) if result is None else result

    monkeypatch.setattr(function, interrupted)
    with pytest.raises(KeyboardInterrupt), temporary_folder("some-"):
        assert name == "rmtree", "reached although the signal came before"
    assert not list(tmp_path.iterdir())
