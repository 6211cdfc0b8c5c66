"""Choice of a network: by arguments, else by what its weights say, else by the card."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from snnbench.core.errors import UsageError
from snnbench.zoo.card import Card
from snnbench.zoo.registry import Benchmark
from snnbench.zoo.shipped import Facts, facts

WIDTH = 1.0
"""Default width of a network."""

# larger values are typing errors, on which torch would crash
_MOST = 10**9
_MOST_WIDTH = 1000
MOST_THREADS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A network of a benchmark.

    Attributes:
        timesteps: T.
        width: Factor on all channel numbers.
        options: Value of every option of the card.
        stated: Facts that the weights state about themselves; none without weights.
    """

    timesteps: int
    width: float
    options: dict[str, str]
    stated: Facts


def choose(
    benchmark: Benchmark,
    weights: str | None = None,
    *,
    twin: bool | None = None,
    timesteps: int | None = None,
    width: float | None = None,
    options: Mapping[str, str] | None = None,
) -> Choice:
    """Choose a network; arguments that are ``None`` are filled in.

    Args:
        benchmark: Benchmark of the network.
        weights: File of trained weights, or ``shipped:NAME``.
        twin: Whether the weights must be those of the ANN twin; ``None`` accepts both.
        timesteps: T; weights may be run with another one than they were trained with.
        width: Factor on all channel numbers.
        options: Values of options of the card.

    Raises:
        UsageError: A value is out of range, or the weights are for another network.
        WeightsError: The weights cannot be read.
    """
    card, options = benchmark.card, options or {}
    stated = Facts()
    if weights is not None:
        stated = facts(benchmark, weights)
        _check(stated, card, weights, twin=twin, asked={"width": width, **options})
    if width is None:
        width = WIDTH if stated.width is None else stated.width
    if timesteps is None:
        timesteps = card.timesteps if stated.timesteps is None else stated.timesteps
    if not (math.isfinite(width) and width > 0):
        msg = f"--width must be positive and finite, got {width}"
        raise UsageError(msg)
    check_range("timesteps", timesteps)
    check_range("width", width, least=0, most=_MOST_WIDTH)
    filled = card.fill_options({**stated.options, **options})
    return Choice(timesteps=timesteps, width=width, options=filled, stated=stated)


def check_range(option: str, value: float, *, least: int = 1, most: int = _MOST) -> None:
    """Refuse a number out of range.

    Args:
        option: Name of the option, without ``--``.
        value: Number to check.
        least: Smallest number accepted.
        most: Largest number accepted.

    Raises:
        UsageError: The number is too small or too large.
    """
    if value < least:
        msg = f"--{option} must be at least {least}, got {value}"
        raise UsageError(msg)
    if value > most:
        msg = f"--{option} must be at most {most}, got {value}"
        raise UsageError(msg)


def _check(
    stated: Facts, card: Card, source: str, *, twin: bool | None, asked: Mapping[str, object]
) -> None:
    """Check that weights are for the chosen network, as far as they state it."""
    if stated.benchmark not in (None, card.name):
        msg = f"weights {source} are for {stated.benchmark}, not for {card.name}"
        raise UsageError(msg)
    theirs = {"width": stated.width, **stated.options}
    for option, value in asked.items():
        if None not in (value, theirs.get(option)) and value != theirs[option]:
            stored = theirs[option]
            msg = f"weights {source} are for --{option} {stored}, not {value}; leave the option out"
            raise UsageError(msg)
    if None not in (twin, stated.twin) and twin != stated.twin:
        whose, option = "the spiking network", "weights"
        if stated.twin:
            whose, option = "an ANN twin", "twin-weights"
        msg = f"weights {source} are those of {whose}; give them with --{option}"
        raise UsageError(msg)
