"""What `snnbench list` prints."""

from __future__ import annotations

import io

from rich.console import Console

from snnbench.cli.info import print_cards
from snnbench.zoo import registry


def test_cards_are_listed_with_their_size():
    console = Console(width=120, file=io.StringIO(), color_system=None)

    weights = {"resnet19": ("digits-w0.125", "cifar10-w0.25")}

    print_cards({n: (registry.get(n).card, weights.get(n, ())) for n in registry.names()}, console)

    shown = console.file.getvalue()
    assert "digits-w0.125" in shown
    assert "resnet19" in shown
    assert "CIFAR-10" in shown
    assert "3x224x224" in shown
