"""The command line: click commands that translate between a terminal and the library.

Modules are imported inside the commands, so that ``snnbench --help`` answers at once.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snnbench.cli.ab import ab_command
from snnbench.cli.compare import compare_command
from snnbench.cli.evaluate import evaluate_command
from snnbench.cli.history import history_command
from snnbench.cli.latency import latency_command
from snnbench.cli.train import train_command
from snnbench.core.errors import OutputError, SnnbenchError
from snnbench.core.signals import SIGNALS
from snnbench.core.version import __version__

if TYPE_CHECKING:
    from snnbench.results.run import RunResult

_INTERRUPTED = 130
_DEFAULT_FOLDER = Path("results")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="snnbench")
def cli() -> None:
    """Energy and sparsity profiler and benchmark suite for spiking neural networks."""


def main() -> None:
    """Entry point: deliberate errors become one line and an exit code, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Unicode shows `?`
    _interrupt_on_termination()
    try:
        code = cli(standalone_mode=False)  # what a command returns, if it judges something
        sys.stdout.flush()  # here a full disk can still be told in one line
        if code:
            sys.exit(code)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        with suppress(OSError):  # the terminal may be what was closed
            click.echo("interrupted; repeat the command to go on", err=True)
        sys.exit(_INTERRUPTED)
    except SnnbenchError as error:
        click.echo(f"snnbench: error: {error}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:  # the terminal's file or the temporary folder; others are told above
        click.echo(f"snnbench: error: {error}", err=True)
        _abandon_stdout()
        sys.exit(OutputError.exit_code)


def _interrupt_on_termination() -> None:
    """Let SIGTERM and a closed terminal interrupt as Ctrl-C does, where nothing ignores them."""
    for number in SIGNALS:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


def _abandon_stdout() -> None:
    """Send what is still unwritten nowhere, or the interpreter would fail on it once more."""
    with suppress(OSError, ValueError):  # it may be no file, or closed
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _batches(_context: click.Context, _option: click.Parameter, value: str | None) -> Any:
    """Numbers separated by commas."""
    if value is None:
        return None
    try:
        return tuple(int(part) for part in value.split(","))
    except ValueError:
        msg = f"{value!r} is no list of numbers such as 1,32"
        raise click.BadParameter(msg) from None


@cli.command("run")
@click.argument("name")
@click.option("-T", "--timesteps", type=int, help="Timesteps T.  [default: the weights' or card's]")
@click.option("--samples", type=int, help="Samples to count.  [default: ten seconds' worth]")
@click.option("--batch-size", type=int, help="Samples at once.  [default: 1 for large images]")
@click.option(
    "--data",
    metavar="[KIND=]PATH",
    help="Folder of images, CIFAR-10 or event recordings.  [default: embedded data]",
)
@click.option(
    "--weights",
    metavar="FILE",
    help="Trained weights.  [default: those that come with NAME]",
)
@click.option("--twin-weights", metavar="FILE", help="Those of the ANN twin.  [default: likewise]")
@click.option("--untrained", is_flag=True, help="Fresh weights, whatever comes with NAME.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of weights and data.")
@click.option("--threads", type=int, help="Threads of torch.  [default: all cores]")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or cuda:N.")
@click.option("--width", type=float, help="Channel multiplier.  [default: the weights', else 1]")
@click.option(
    "--shortcut",
    type=click.Choice(["paper", "identity"]),
    help="tdBN on all shortcuts (paper), or few.  [default: the weights', else paper]",
)
@click.option("--strict", is_flag=True, help="Stop at the first operation without a rule.")
@click.option("--no-latency", is_flag=True, help="Count only.")
@click.option(
    "--latency-batches",
    metavar="N,...",
    callback=_batches,
    help="Samples per timed call.  [default: 1, and 32 where that takes seconds]",
)
@click.option(
    "--engine",
    type=click.Choice(["auto", "event", "dense", "off"]),
    default="auto",
    show_default=True,
    help="Run layers event-driven where that is faster (auto), where possible, nowhere; or off.",
)
@click.option(
    "--weights-dtype",
    type=click.Choice(["float32", "int16", "bfloat16"]),
    default="float32",
    show_default=True,
    help="Weights of the event engine.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder.  [default: results/NAME]")
def run_command(name: str, out: Path | None, *, no_latency: bool, **options: Any) -> None:
    """Count, compare with the ANN twin, time, and report the benchmark NAME.

    `snnbench list` shows the names.
    """
    from snnbench.zoo import registry

    registry.get(name)  # an unknown name is told before torch takes its seconds to load
    from snnbench.run import config as run_config
    from snnbench.run import counting_pass as partial
    from snnbench.run import runner

    config = run_config.configure(name, with_latency=not no_latency, **options)
    folder = _output_folder(out, name)
    from snnbench.cli.progress import RichReporter

    with RichReporter() as reporter:
        result = runner.run(config, reporter, folder)
    result = _saved(result, folder)
    partial.discard(folder)
    _report(result, folder)


@cli.command("profile")
@click.argument("target", metavar="MODULE:FACTORY")
@click.option("--input", "shape", required=True, metavar="CxHxW", help="Shape of one sample.")
@click.option("-T", "--timesteps", type=int, default=1, show_default=True, help="Timesteps T.")
@click.option(
    "--layout",
    type=click.Choice(["step", "loop", "TN", "NT"]),
    default="step",
    show_default=True,
    help=(
        "step: the model is called T times with [N, ...]; loop: once with [N, ...], it loops "
        "itself; TN, NT: once with [T, N, ...] or [N, T, ...]."
    ),
)
@click.option("--batch-size", type=int, default=1, show_default=True, help="Samples N.")
@click.option(
    "--values",
    default="normal",
    show_default=True,
    metavar="KIND",
    help="Random input: normal, uniform, or spikes:RATE (a new draw per timestep).",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the model and the input.")
@click.option("--ann", is_flag=True, help="Count as an ANN: every operation is a MAC.")
@click.option(
    "--neuron",
    "neurons",
    multiple=True,
    metavar="MODULE:CLASS",
    help="A further class of spiking neurons; may be repeated.",
)
@click.option("--strict", is_flag=True, help="Stop at the first operation without a rule.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for a report.")
def profile_command(target: str, out: Path | None, **options: Any) -> None:
    """Count any model you can import: MODULE:FACTORY names a module object or a function.

    MODULE is looked up in the current folder and the installed packages.
    """
    from snnbench.run import single as user_model

    folder = None if out is None else _output_folder(out, "")
    result = user_model.profile_target(target, **options)
    _report(result if folder is None else _saved(result, folder), folder)


@cli.command("report")
@click.argument("result_path", metavar="RESULT.json", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder.  [default: the result's]")
def report_command(result_path: Path, out: Path | None) -> None:
    """Make report, tables and figures of RESULT.json again, without torch."""
    from snnbench.results.files import load

    result = load(result_path)
    folder = result_path.parent if out is None else _output_folder(out, "")
    _report(result, folder)


@cli.command("list")
def list_command() -> None:
    """Show the benchmarks."""
    from snnbench.cli.info import print_cards
    from snnbench.zoo import registry
    from snnbench.zoo import shipped as trained

    cards = {}
    for name in registry.names():
        try:
            benchmark = registry.get(name)
            cards[name] = (benchmark.card, tuple(trained.shipped(benchmark)))
        except SnnbenchError as error:
            click.echo(f"snnbench: warning: {error}", err=True)
    print_cards(cards)


@cli.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of result files."""
    import json

    from snnbench.results.files import json_schema

    click.echo(json.dumps(json_schema(), indent=2))


@cli.command("env")
def env_command() -> None:
    """Print what a result records of this machine."""
    import msgspec

    from snnbench.core.process import available_cores
    from snnbench.results.environment import capture

    environment = capture(available_cores(), "cpu")
    click.echo(msgspec.json.format(msgspec.json.encode(environment), indent=2).decode())


def _output_folder(out: Path | None, name: str) -> Path:
    """The folder to write to, made if needed and proved writable before any work is done."""
    from snnbench.core.files import ensure_writable_folder

    return ensure_writable_folder(_DEFAULT_FOLDER / name if out is None else out)


def _saved(result: RunResult, folder: Path) -> RunResult:
    """Save a result; what ``snnbench report`` will see of it, to the last digit."""
    from snnbench.results.files import load, save

    path = folder / "result.json"
    save(result, path)
    return load(path)


def _report(result: RunResult, folder: Path | None) -> None:
    """Print a result and write its report, which comes first: a closed pipe must not stop it."""
    from snnbench.cli.progress import RichReporter
    from snnbench.render import terminal

    if folder is not None:
        with RichReporter() as reporter, reporter.stage("writing the report", 1):
            from snnbench.render.folder import write_report

            write_report(result, folder)
    terminal.print_summary(result)
    if folder is not None:
        click.echo(f"report: {folder / 'report.html'}")


cli.add_command(latency_command)
cli.add_command(compare_command)
cli.add_command(ab_command)
cli.add_command(history_command)
cli.add_command(train_command)
cli.add_command(evaluate_command)
