"""Names of files, and temporary folders under signals."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from snnbench.core.files import file_stem, temporary_folder
from snnbench.core.signals import SIGNALS, StopRequest


@pytest.fixture(autouse=True)
def _handlers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Those of the command line, restored by what is tested."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = {number: signal.signal(number, signal.default_int_handler) for number in SIGNALS}
    yield
    restored = [signal.getsignal(number) for number in SIGNALS]
    for number, handler in before.items():
        signal.signal(number, handler)
    assert restored == [signal.default_int_handler] * len(SIGNALS)


def test_a_folder_is_there_within_and_gone_after(tmp_path: Path) -> None:
    with temporary_folder("some-") as folder:
        assert folder.parent == tmp_path
        assert folder.name.startswith("some-")
        (folder / "file").write_text("content")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_it_is_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """It comes when the folder exists and its maker has not returned."""
    plain = tempfile.mkdtemp

    def interrupted(*args: object) -> str:
        made = plain(*args)  # type: ignore[call-overload]
        signal.raise_signal(number)
        return str(made)

    monkeypatch.setattr(tempfile, "mkdtemp", interrupted)
    with pytest.raises(KeyboardInterrupt), temporary_folder("some-"):
        pytest.fail("reached although the signal came before")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_it_is_removed_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    plain = shutil.rmtree

    def interrupted(*args: object, **options: object) -> None:
        signal.raise_signal(number)
        plain(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(shutil, "rmtree", interrupted)
    with pytest.raises(KeyboardInterrupt), temporary_folder("some-"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_handler_of_the_callers_is_called_and_an_ignored_signal_is_not() -> None:
    came = []
    signal.signal(signal.SIGINT, lambda number, _frame: came.append(number))
    try:
        with StopRequest() as stop:
            signal.raise_signal(signal.SIGINT)
            assert stop.asked
            assert not came
        stop.grant()
        assert came == [signal.SIGINT]
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with StopRequest() as stop:
            signal.raise_signal(signal.SIGINT)
        assert not stop.asked
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_file_stems_never_collide() -> None:
    names = [
        "net",
        "Net",
        "net ",
        "a/b",
        "a_b",
        "a:b",
        "ü",
        "\udcff",
        "",
        ".",
        "..",
        "x" * 300,
        "x" * 301,
    ]
    stems = [file_stem(name) for name in names]
    assert len({stem.lower() for stem in stems}) == len(names)
    assert max(map(len, stems)) <= 100
    assert all(stem.isascii() and not stem.startswith(".") and stem for stem in stems)
