"""The table of ``snnbench list``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from snnbench.zoo.card import Card


def print_cards(
    cards: Mapping[str, tuple[Card, tuple[str, ...]]], console: Console | None = None
) -> None:
    """Print one row per benchmark card, with its size where the card states it.

    Args:
        cards: By name: the card, and the names of the trained weights that come with it.
        console: Standard output by default.
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
