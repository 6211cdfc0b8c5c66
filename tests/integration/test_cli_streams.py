"""The command line with unusual outputs and signals: pipes, full disks, Ctrl-C, SIGTERM."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from snnbench.results.files import load
from snnbench.run import counting_pass

SNNBENCH = (sys.executable, "-m", "snnbench")
RUN = (
    "run",
    "resnet19",
    "--width",
    "0.0625",
    "-T",
    "1",
    "--samples",
    "3",
    "--batch-size",
    "1",
    "--threads",
    "1",
)


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a counted run."""
    folder = tmp_path_factory.mktemp("counted")
    command = [*SNNBENCH, *RUN, "--no-latency", "--out", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def report(counted: Path, out: Path, **options: object) -> subprocess.Popen[bytes]:
    command = [*SNNBENCH, "report", str(counted / "result.json"), "--out", str(out)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, **options)  # type: ignore[call-overload, no-any-return]


def test_a_reader_that_leaves_early_still_gets_the_report(counted: Path, tmp_path: Path) -> None:
    with report(counted, tmp_path / "out", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert b"Traceback" not in process.communicate()[1]
    assert (tmp_path / "out" / "report.html").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_stdout_is_told_in_one_line(counted: Path, tmp_path: Path) -> None:
    with (
        Path("/dev/full").open("w") as full,
        report(counted, tmp_path / "out", stdout=full) as process,
    ):
        err = process.communicate()[1].decode()
    assert process.returncode == 2
    assert err.splitlines()[-1].startswith("snnbench: error: ")
    assert "Traceback" not in err


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_a_closed_stdout_is_no_error() -> None:
    done = subprocess.run(["sh", "-c", '"$0" -m snnbench schema >&-', sys.executable], check=False)
    assert done.returncode == 0


def test_a_terminal_without_unicode_gets_the_table(counted: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    with report(counted, tmp_path / "out", stdout=subprocess.PIPE, env=environment) as process:
        out, err = process.communicate()
    assert process.returncode == 0, err
    assert b"Additions" in out


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_sigterm_while_timing_cleans_up_and_keeps_the_counts(counted: Path, tmp_path: Path) -> None:
    temporary, out = tmp_path / "temporary", tmp_path / "out"
    temporary.mkdir()
    environment = os.environ | {"TMPDIR": str(temporary)}
    command = [*SNNBENCH, *RUN, "--out", str(out)]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
    ) as run:
        assert run.stderr is not None
        while "timing" not in (line := run.stderr.readline()):
            assert line, "the run ended early"
        run.terminate()
        run.communicate(timeout=600)
    assert run.returncode == 130
    assert not list(temporary.iterdir())
    again = subprocess.run([*command, "--no-latency"], capture_output=True, text=True, check=True)
    assert "3 samples are counted already" in " ".join(again.stderr.split())
    assert not (out / counting_pass.FILE_NAME).exists()
    assert load(out / "result.json").snn == load(counted / "result.json").snn


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize("before", ["SIG_DFL", "SIG_IGN"])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_closed_terminal_interrupts_unless_it_is_ignored(name: str, before: str) -> None:
    """``nohup`` ignores SIGHUP, and then snnbench goes on."""
    script = (
        "import signal\n"
        "from snnbench.cli import main\n"
        f"signal.signal(signal.{name}, signal.{before})\n"
        "def go_on(**_):\n"
        f"    signal.raise_signal(signal.{name})\n"
        "    print('went on')\n"
        "main.cli = go_on\n"
        "main.main()\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if before == "SIG_IGN":
        assert (done.returncode, done.stdout.strip()) == (0, "went on")
    else:
        assert done.returncode == 130
        assert done.stderr.startswith("interrupted")


INTERRUPTED = """
import signal
from snnbench.cli.main import main
from snnbench.run import counting_pass

counting_pass._SAVE_INTERVAL_S = 0.0
write = counting_pass.write_atomically

def write_and_interrupt(*arguments):
    counting_pass.write_atomically = write
    write(*arguments)
    signal.raise_signal(signal.SIGINT)

counting_pass.write_atomically = write_and_interrupt
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_an_interrupted_run_keeps_earlier_results_and_resumes(tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ["run", "resnet19", "--width", "0.0625", "-T", "1", "--samples", "8"]
    options += ["--batch-size", "1", "--threads", "1", "--no-latency", "--out"]
    out.mkdir()
    (out / "result.json").write_text("an earlier result")
    run = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, *options, str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 130, run.stderr
    assert "Traceback" not in run.stderr
    assert (out / "result.json").read_text() == "an earlier result"
    done = json.loads((out / counting_pass.FILE_NAME).read_text())["done"]
    assert 0 < done < 8
    again = subprocess.run(
        [*SNNBENCH, *options, str(out)], capture_output=True, text=True, check=True
    )
    assert f"resuming an interrupted run: {done} samples" in " ".join(again.stderr.split())
    fresh = tmp_path / "fresh"
    subprocess.run([*SNNBENCH, *options, str(fresh)], capture_output=True, check=True)
    assert load(out / "result.json").snn == load(fresh / "result.json").snn
