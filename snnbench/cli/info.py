"""``snnbench list``, ``schema`` and ``env``: what this installation offers and runs on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from snnbench.core.errors import SnnbenchError

if TYPE_CHECKING:
    from rich.console import Console

    from snnbench.zoo.card import Card


@click.command("list")
def list_command() -> None:
    """List the benchmarks and their trained weights."""
    from snnbench.zoo import registry, shipped

    cards = {}
    for name in registry.names():
        try:
            benchmark = registry.get(name)
            cards[name] = (benchmark.card, tuple(shipped.shipped(benchmark)))
        except SnnbenchError as error:
            click.echo(f"snnbench: warning: {error}", err=True)
    print_cards(cards)


@click.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of result files."""
    from snnbench.results.schema import json_schema

    click.echo(json.dumps(json_schema(), indent=2))


@click.command("env")
def env_command() -> None:
    """Print the facts about this machine that a result records."""
    import msgspec

    from snnbench.core.process import available_cores
    from snnbench.results.environment import capture

    environment = capture(available_cores(), "cpu")
    click.echo(msgspec.json.format(msgspec.json.encode(environment), indent=2).decode())


def print_cards(
    cards: Mapping[str, tuple[Card, tuple[str, ...]]], console: Console | None = None
) -> None:
    """Print one row per benchmark card, with its size where the card states it.

    Args:
        cards: Card and names of the shipped weights of each benchmark, by its name.
        console: Console to print on; standard output by default.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from snnbench.render import text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for header in ("Name", "Data set"):
        table.add_column(header, no_wrap=True)
    for header in ("T", "Input", "Params", "Dense MACs"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("Trained weights", overflow="fold")
    for name, (card, trained) in cards.items():
        size = card.expected
        cells = (
            name,
            card.input.dataset,
            str(card.timesteps),
            "x".join(map(str, card.input.shape)),
            text.short(None if size is None else size.parameters),
            text.short(None if size is None else size.twin_dense_macs),
            "\n".join(trained) or "none",
        )
        table.add_row(*(Text(cell) for cell in cells))
    sources = dict.fromkeys(card.source for card, _ in cards.values())
    (console or Console()).print(table, *(Text(f"Source: {source}") for source in sources))
