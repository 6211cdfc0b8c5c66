"""The register of counting rules, one per operation of the dispatcher.

Three things differ: a rule, an operation declared free (``free.py``), and absence, which is listed
as uncounted. Register a rule for another operation with ``@rule("name")``; a name registered twice
raises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from snnbench.count.audit import Rule

RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register a counting rule for the dispatcher's operations ``names``.

    Operations of ``aten`` go by their name, those of other libraries by ``namespace.name``.

    Raises:
        ValueError: One of them has a rule already.
    """

    def register(function: Rule) -> Rule:
        for name in names:
            if name in RULES:
                msg = f"operation {name!r} has a counting rule already"
                raise ValueError(msg)
            RULES[name] = function
        return function

    return register


def per_axis(value: Sequence[int] | int, axes: int) -> tuple[int, ...]:
    """One value per spatial axis."""
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * axes if len(values) == 1 else values
