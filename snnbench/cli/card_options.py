"""Commands on a benchmark, with flags for the options that its card lists."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import pairwise
from typing import Any

import click

from snnbench.core.errors import UsageError
from snnbench.zoo import registry

_FLAGS = f"{__name__}.flags"


class BenchmarkCommand(click.Command):
    """A command whose first argument names a benchmark, whose card may add flags.

    The command is called with ``options``, the values of those flags that were given.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Find the benchmark before the flags are parsed, which may stand before its name."""
        parameters = self.get_params(ctx)
        valued = {name for param in parameters if not _is_flag(param) for name in param.opts}
        words = [word for last, word in pairwise(("", *args)) if last not in valued]
        named = [name for name in registry.names() if name in words]  # no folder of that name
        own = {option.removeprefix("--") for param in parameters for option in param.opts}
        ctx.meta[_FLAGS] = {flag.name: flag for name in named for flag in _flags(name, own)}
        ctx.ignore_unknown_options = not named  # so that an unknown benchmark is what is reported
        return super().parse_args(ctx, args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The command's own parameters, and before the last one, ``--help``, those of the card."""
        *params, last = super().get_params(ctx)
        return [*params, *ctx.meta.get(_FLAGS, {}).values(), last]

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Say where the flags of a card are shown."""
        formatter.write(
            "\n  A benchmark may have options of its own, such as --shortcut, which\n"
            f"  `{ctx.command_path} NAME --help` shows.\n"
        )

    def invoke(self, ctx: click.Context) -> Any:
        """Pass the flags that were given together."""
        given = {name: ctx.params.pop(name) for name in ctx.meta[_FLAGS]}
        ctx.params["options"] = {name: value for name, value in given.items() if value is not None}
        return super().invoke(ctx)


def _is_flag(param: click.Parameter) -> bool:
    return isinstance(param, click.Option) and param.is_flag


def _flags(benchmark: str, taken: Collection[str]) -> Iterator[click.Option]:
    card = registry.get(benchmark).card
    for name, option in card.options.items():
        if name in taken:
            msg = f"card {card.name}: --{name} is an option of this command; rename the card's"
            raise UsageError(msg)
        trained = "that of the weights, else " if "weights" in taken else ""
        text = f"{option.help}  [default: {trained}{option.choices[0]}]"
        yield click.Option([f"--{name}"], type=click.Choice(option.choices), help=text)
