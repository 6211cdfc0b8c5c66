"""Options and arguments that several commands share, each declared and parsed in one place.

What differs between commands is an argument: the text of the help, or the default in it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from snnbench.core.errors import UsageError
from snnbench.data.open import FORMATS

if TYPE_CHECKING:
    from snnbench.train.machine import Machine
    from snnbench.zoo.registry import Benchmark

_Command = TypeVar("_Command", bound=Callable[..., Any])
PATH = click.Path(path_type=Path)


class Option(Protocol):
    """A decorator that adds an option to a command."""

    def __call__(self, command: _Command, /) -> _Command:
        """Return ``command`` with the option."""


def option(names: str, text: str, *, otherwise: str = "", **details: Any) -> Option:
    """An option, which shows its default.

    Args:
        names: Names of the option, separated by spaces.
        text: Help text.
        otherwise: The default in words, for an option without a fixed one.
        **details: Arguments of ``click.option``.
    """
    text += f"  [default: {otherwise}]" if otherwise else ""
    details.setdefault("show_default", details.get("default") is not None)
    return click.option(*names.split(), help=text, **details)


integer = partial(option, type=int, metavar="N")
number = partial(option, type=float, metavar="X")
flag = partial(option, is_flag=True, show_default=False)
repeated = partial(option, multiple=True)


def choice(names: str, text: str, *values: str, **details: Any) -> Option:
    """An option that takes one of several values."""
    return option(names, text, type=click.Choice(values), **details)


def numbers(
    names: str, text: str, kind: type[int] | type[float], example: str, **details: Any
) -> Option:
    """An option that takes numbers separated by commas, such as ``example``, as a tuple."""

    def parse(_: click.Context, option: click.Parameter, given: str | None) -> Any:
        if given is None:
            return None
        try:
            return tuple(kind(part) for part in given.split(","))
        except ValueError:
            name = option.opts[0]
            msg = f"{name} must be numbers separated by commas, such as {example}; got {given!r}"
            raise UsageError(msg) from None

    return option(names, text, callback=parse, metavar="N,...", **details)


def _benchmark(_: click.Context, _name: click.Parameter, name: str) -> Benchmark:
    """Find the benchmark NAME before torch loads, so that a wrong name is reported at once."""
    from snnbench.zoo import registry

    return registry.get(name)


# the network
benchmark = click.argument("benchmark", metavar="NAME", callback=_benchmark)
timesteps = partial(integer, "-T --timesteps", "Number of timesteps T.")
width = partial(
    number, "--width", "Factor on the number of channels in every layer.", metavar="FACTOR"
)
weights = partial(
    option,
    metavar="FILE",
    text="Trained weights: a file, or shipped:WEIGHTS with a name that `snnbench list` shows.",
)
fitting_weights = weights(
    "--weights", otherwise="shipped weights that fit the other options, if there are any"
)
untrained = flag("--untrained", "Use random weights, even if trained weights are shipped.")
strict = flag("--strict", "Stop at the first operation that has no counting rule.")
weights_dtype = partial(choice, "--weights-dtype", default="float32")


# its input
def data(text: str) -> Option:
    """The option ``--data``; ``text`` says what the data is for."""
    *kinds, last = FORMATS
    text += f" KIND is {', '.join(kinds)} or {last}; without it, the files decide."
    included = "a small data set embedded in snnbench"
    return option("--data", text, metavar="[KIND=]PATH", otherwise=included)


seed = partial(integer, "--seed", default=0)

# where it runs
device = option(
    "--device", "Device to compute on: cpu, cuda or cuda:N.", default="cpu", metavar="DEVICE"
)
threads = partial(integer, "--threads", otherwise="all available cores")


def machine(command: _Command) -> _Command:
    """Add the options for device, processes and threads; ``take_machine`` reads them."""
    command = threads("Number of PyTorch threads in each process.")(command)
    command = integer("--num-nodes", "Number of nodes.", otherwise="1")(command)
    command = integer("--devices", "Number of processes on each node.", otherwise="1")(command)
    return device(command)


def take_machine(given: dict[str, Any]) -> Machine:
    """Move the values of the options of ``machine`` from ``given`` into a ``Machine``."""
    from snnbench.train.machine import Machine

    keys = ("device", "devices", "num_nodes", "threads")
    return Machine(**{key: given.pop(key) for key in keys})


# comparisons, and where anything goes
fail_above = partial(repeated, "--fail-above", metavar="METRIC:TOL")
exact = flag("--exact", "Fail if any operation count of any layer differs.")
allow = repeated(
    "--allow",
    "Compare even if KEY differs, such as benchmark_version; may be repeated.",
    metavar="KEY",
)
report_format = choice(
    "--format format_name",
    "Format of the comparison.",
    *("table", "md", "json", "junit"),
    default="table",
)
out = partial(option, "--out", type=PATH, metavar="FOLDER")
