"""Options and arguments that several commands share, each declared and parsed in one place.

What differs between commands is an argument: the default that help shows, or the wording.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from snnbench.core.errors import UsageError

if TYPE_CHECKING:
    from snnbench.train.machine import Machine

_Command = TypeVar("_Command", bound=Callable[..., Any])
_MACHINE = ("device", "devices", "num_nodes", "threads")


def numbers(number: type[int] | type[float], example: str) -> Callable[..., Any]:
    """Callback of an option whose value is numbers separated by commas, given as a tuple.

    Args:
        number: The type of each number.
        example: What a user may write, for the message about anything else.
    """

    def parse(_: click.Context, option: click.Parameter, text: str | None) -> Any:
        if text is None:
            return None
        try:
            return tuple(number(part) for part in text.split(","))
        except ValueError:
            name = option.opts[0]
            msg = f"{name} must be numbers separated by commas, such as {example}; got {text!r}"
            raise UsageError(msg) from None

    return parse


def described(text: str, default: str) -> str:
    """Help of an option whose default is decided later and so described in words."""
    return f"{text}  [default: {default}]"


def _together(*options: Callable[[Any], Any]) -> Callable[[_Command], _Command]:
    """Several options as one decorator; help shows them in this order."""
    return lambda command: reduce(lambda inner, add: add(inner), reversed(options), command)


# --- which network ---

benchmark = click.argument("name", metavar="NAME")


def timesteps(default: str) -> Callable[[_Command], _Command]:
    """``-T``, for a network whose number of timesteps is known elsewhere if it is not given."""
    text = described("Number of timesteps T.", default)
    return click.option("-T", "--timesteps", type=int, metavar="N", help=text)


def width(default: str) -> Callable[[_Command], _Command]:
    """``--width``."""
    text = described("Factor on the number of channels of every layer.", default)
    return click.option("--width", type=float, metavar="FACTOR", help=text)


def shortcut(default: str) -> Callable[[_Command], _Command]:
    """``--shortcut``."""
    text = described(
        "Residual shortcuts with tdBN: all of them (paper), or only those that change the shape "
        "(identity).",
        default,
    )
    return click.option("--shortcut", type=click.Choice(["paper", "identity"]), help=text)


weights = click.option(
    "--weights",
    metavar="FILE",
    help=described(
        "Trained weights: a file, or shipped:WEIGHTS as listed by `snnbench list`.",
        "the shipped weights that fit the other options, if any do",
    ),
)
untrained = click.option(
    "--untrained", is_flag=True, help="Use random weights, even if trained weights are shipped."
)


# --- which input ---


def data(text: str) -> Callable[[_Command], _Command]:
    """``--data``; ``text`` says what the samples are for."""
    text = described(text, "a small data set that comes with snnbench")
    return click.option("--data", metavar="[KIND=]PATH", help=text)


def seed(text: str) -> Callable[[_Command], _Command]:
    """``--seed``; ``text`` says what is random."""
    return click.option("--seed", type=int, default=0, show_default=True, metavar="N", help=text)


# --- how to compute ---

device = click.option(
    "--device",
    default="cpu",
    show_default=True,
    metavar="DEVICE",
    help="Device to compute on: cpu, cuda or cuda:N.",
)
machine = _together(
    device,
    click.option("--devices", type=int, metavar="N", help="Processes per node.  [default: 1]"),
    click.option("--num-nodes", type=int, metavar="N", help="Number of nodes.  [default: 1]"),
    click.option(
        "--threads",
        type=int,
        metavar="N",
        help="PyTorch threads per process.  [default: all available cores]",
    ),
)


def take_machine(options: dict[str, Any]) -> Machine:
    """The machine that the options of ``machine`` describe; takes them out of ``options``."""
    from snnbench.train.machine import Machine

    return Machine(**{key: options.pop(key) for key in _MACHINE})


strict = click.option(
    "--strict", is_flag=True, help="Stop at the first operation that has no counting rule."
)


def weights_dtype(*formats: str, user: str) -> Callable[[_Command], _Command]:
    """``--weights-dtype``, the first of the ``formats`` by default."""
    return click.option(
        "--weights-dtype",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help=f"Number format of the weights in the {user}.",
    )


# --- comparisons ---


def fail_above(text: str) -> Callable[[_Command], _Command]:
    """``--fail-above``, as ``asked``."""
    return click.option("--fail-above", "asked", multiple=True, metavar="METRIC:TOL", help=text)


exact = click.option(
    "--exact", is_flag=True, help="Fail if any operation count of any layer differs."
)
allow = click.option(
    "--allow",
    "allowed",
    multiple=True,
    metavar="KEY",
    help="Compare even if KEY differs, such as benchmark_version; may be repeated.",
)
report_format = click.option(
    "--format",
    "format_name",
    type=click.Choice(["table", "md", "json", "junit"]),
    default="table",
    show_default=True,
    help="Format of the comparison.",
)


# --- where results go ---


def out(text: str, *, metavar: str = "FOLDER") -> Callable[[_Command], _Command]:
    """``--out``."""
    path = click.Path(path_type=Path)
    return click.option("--out", type=path, metavar=metavar, help=text)
