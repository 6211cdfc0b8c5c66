"""Benchmarks by name, from entry points, without importing torch until one is built.

A distribution adds benchmarks through the entry point group ``snnbench.models``; each entry point
names a ``Benchmark``. The built-in zoo comes the same way.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import tokenize
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snnbench.core.errors import UsageError, suggestion

if TYPE_CHECKING:
    from torch import nn

    from snnbench.zoo.card import Card

GROUP = "snnbench.models"
_NN = Path(__file__).parents[1] / "nn"
COUNTED = ("blocks.py", "fold.py", "functional.py", "layout.py", "neuron.py", "norm.py", "twin.py")
"""Files of ``snnbench/nn`` that decide what is counted."""
_LAYOUT = (tokenize.NL, tokenize.INDENT, tokenize.DEDENT)


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A card and the function that builds its network.

    Attributes:
        path: The card's TOML file.
        builder: ``module:function``; called as
            ``function(card, timesteps=..., width=..., **options)`` with a value for every option
            of the card, returns the network.
        weights: Folder of the trained weights shipped with it, if there are any.
    """

    path: Path
    builder: str
    weights: Path | None = None

    @cached_property
    def card(self) -> Card:
        """The card, read on first use.

        Raises:
            UsageError: The card is missing or not valid.
        """
        from snnbench.core.files import read_toml
        from snnbench.zoo.card import Card

        return read_toml(self.path, "card", Card)

    @cached_property
    def version(self) -> str:
        """SHA-256 over the card's values, the modules it names and the counted part of ``nn``.

        Those modules are the builder's, and that of the neurons if their class is not one of ours.

        Comments, docstrings, blank lines, line endings and the place of the files leave it as it
        is, under any version of Python.

        Raises:
            UsageError: The card is missing or not TOML, or one of the modules is missing.
        """
        from snnbench.core.files import read_toml

        table = read_toml(self.path, "card", dict[str, Any])
        texts = [(self.path.name, json.dumps(table, sort_keys=True, default=str))]  # TOML has dates
        sources = [self._source("builder", self.builder), *(_NN / name for name in COUNTED)]
        neurons = table.get("neuron")
        name = neurons.get("class") if isinstance(neurons, dict) else None
        if isinstance(name, str) and ":" in name:
            sources.append(self._source("neuron class", name))
        texts += [(source.name, _code(source.read_text("utf-8"))) for source in sources]
        digest = hashlib.sha256()
        for name, text in texts:
            digest.update(f"{name}\0{len(text)}\0{text}".encode())
        return digest.hexdigest()

    def _source(self, role: str, name: str) -> Path:
        try:
            spec = find_spec(name.partition(":")[0])
        except (ImportError, ValueError):  # a parent package is missing, or it is no name
            spec = None
        if spec is None or not str(spec.origin).endswith(".py"):
            msg = f"{self.path.stem}: {role} {name} does not exist as a file of Python"
            raise UsageError(msg)
        return Path(str(spec.origin))

    def build(
        self, *, timesteps: int | None = None, width: float = 1.0, **options: str
    ) -> nn.Module:
        """Build the network with fresh weights, reproducible under ``torch.manual_seed``.

        Args:
            timesteps: T, the card's by default.
            width: Factor on all channel numbers, rounded to multiples of 8; classes never scale.
            **options: Options of the card, each the first of its choices by default.

        Raises:
            UsageError: An argument is out of range, or the builder cannot be loaded or called, or
                returns no module.
        """
        from torch import nn

        timesteps = self.card.timesteps if timesteps is None else timesteps
        if timesteps < 1:
            msg = f"{self.card.name}: timesteps must be at least 1, got {timesteps}"
            raise UsageError(msg)
        if not (math.isfinite(width) and width > 0):
            msg = f"{self.card.name}: width must be positive and finite, got {width}"
            raise UsageError(msg)
        module, _, function = self.builder.partition(":")
        try:
            build = getattr(import_module(module), function)
        except (ImportError, AttributeError, SyntaxError, TypeError, ValueError) as error:
            msg = f"{self.card.name}: builder {self.builder} cannot be loaded: {error}"
            raise UsageError(msg) from error
        filled = self.card.fill_options(options)
        try:
            call = signature(build).bind(self.card, timesteps=timesteps, width=width, **filled)
        except TypeError as error:
            msg = f"{self.card.name}: builder {self.builder} does not take the card: {error}"
            raise UsageError(msg) from error
        network = build(*call.args, **call.kwargs)
        if not isinstance(network, nn.Module):
            kind = type(network).__name__
            msg = f"{self.card.name}: builder {self.builder} returns a {kind}, no torch module"
            raise UsageError(msg)
        return network


def names() -> list[str]:
    """Names of all installed benchmarks, sorted; nothing is loaded, so nothing can break."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def get(name: str) -> Benchmark:
    """The benchmark of that name.

    Raises:
        UsageError: No distribution or more than one provides it, or its entry point is broken.
    """
    points = {point.value: point for point in entry_points(group=GROUP, name=name)}
    if not points:
        msg = f"unknown benchmark {name!r}: {suggestion(name, names())}"
        raise UsageError(msg)
    if len(points) > 1:
        providers = " and ".join(sorted(points))
        msg = f"benchmark '{name}' is provided by {providers}; uninstall all but one of them"
        raise UsageError(msg)
    (point,) = points.values()
    return _load(point)


def _code(text: str) -> str:
    """Python source without comments, docstrings and blank lines.

    As text, because tokens and syntax trees of one source differ between versions of Python.
    """
    lines, statement = text.split("\n"), list[tokenize.TokenInfo]()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
        elif token.type != tokenize.NEWLINE:
            statement += [] if token.type in _LAYOUT else [token]
        else:
            if [part.type for part in statement] == [tokenize.STRING]:
                first, last = statement[0].start[0] - 1, statement[0].end[0]
                lines[first:last] = [""] * (last - first)
            statement.clear()
    return "\n".join(stripped for line in lines if (stripped := line.rstrip()))


def _load(point: EntryPoint) -> Benchmark:
    where = f"benchmark '{point.name}' (entry point {point.value})"
    try:
        benchmark = point.load()
    except (ImportError, AttributeError, SyntaxError) as error:
        msg = f"{where} cannot be loaded: {error}; repair or uninstall the package it comes from"
        raise UsageError(msg) from error
    if not isinstance(benchmark, Benchmark):
        msg = f"{where} is a {type(benchmark).__name__}, not a snnbench.zoo.registry.Benchmark"
        raise UsageError(msg)
    return benchmark
