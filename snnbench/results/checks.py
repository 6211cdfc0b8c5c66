"""What a result file must satisfy beyond the types of its fields.

Each check returns the first problem as a sentence that ends in the JSON path, or ``None``.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, product
from math import isfinite
from typing import Any

from snnbench.results.counts import Alphabet, AlphabetKind, LayerRecord, OpCount, Profile
from snnbench.results.engine import EngineRun
from snnbench.results.run import RunResult

MAX_INT = 2**63 - 1
"""Counts are accumulated in int64; a larger number is damage."""

_SCALED = frozenset({AlphabetKind.BINARY, AlphabetKind.TERNARY})
_SIGNED = frozenset({"scale", "seed", "expected", "measured", "value"})


def number_problem(tree: Any) -> str | None:
    """Find a number in decoded JSON that no measurement gives.

    It is not finite, beyond 64 bits, or negative in a field that cannot be.
    """
    return None if _all_plausible(tree, "") else _first_implausible(tree, "$", "")


def _all_plausible(tree: Any, key: str) -> bool:
    # Without paths, and whole lists of counts at once: a large result is checked in a second.
    if type(tree) is dict:
        return all(_all_plausible(child, name) for name, child in tree.items())
    if type(tree) in (list, tuple):
        if set(map(type, tree)) == {int}:
            return bool(min(tree) >= 0 and max(tree) <= MAX_INT)
        return all(_all_plausible(child, key) for child in tree)
    if type(tree) is int:
        return (tree >= 0 or key in _SIGNED) and -MAX_INT <= tree <= MAX_INT
    if type(tree) is float:
        return isfinite(tree) and (tree >= 0 or key in _SIGNED)
    return True


def _first_implausible(tree: Any, path: str, key: str) -> str | None:
    children: Iterator[tuple[str, str, Any]]
    if isinstance(tree, dict):
        children = ((f"{path}.{name}", name, child) for name, child in tree.items())
    elif isinstance(tree, list | tuple):
        children = ((f"{path}[{i}]", key, child) for i, child in enumerate(tree))
    elif _all_plausible(tree, key):
        return None
    else:
        return f"{str(tree)[:24]} is negative, not finite or beyond 64 bits - at `{path}`"
    problems = (_first_implausible(child, where, name) for where, name, child in children)
    return next(filter(None, problems), None)


def field_problem(tree: Any, canonical: Any, path: str = "$") -> str | None:
    """Find a field that decoded JSON lacks, or has in addition to those of ``canonical``.

    A missing count must not read as its default 0, and a mistyped name must not go unnoticed.
    ``canonical`` is the same document as snnbench would write it; ``path`` is where both stand.
    """
    if tree == canonical:
        return None
    if isinstance(tree, dict):
        if missing := canonical.keys() - tree.keys():
            return f"field {min(missing)!r} is missing - at `{path}`"
        if unknown := tree.keys() - canonical.keys():
            return f"unknown field {min(unknown)!r} - at `{path}`"
        pairs = ((f"{path}.{key}", child, canonical[key]) for key, child in tree.items())
    elif isinstance(tree, list):
        both = zip(tree, canonical, strict=True)
        pairs = ((f"{path}[{i}]", child, other) for i, (child, other) in enumerate(both))
    else:
        return f"{tree!r} reads as {canonical!r} - at `{path}`"
    problems = (field_problem(child, other, where) for where, child, other in pairs)
    return next(filter(None, problems), None)


def consistency_problem(result: RunResult) -> str | None:
    """Find numbers of a result that contradict each other."""
    return next(
        chain(
            _profile_problems(result.snn, "$.snn"),
            () if result.twin is None else _profile_problems(result.twin, "$.twin"),
            _accuracy_problems(result),
            _timing_problems(result),
            () if result.engine is None else _engine_problems(result.engine, "$.engine"),
        ),
        None,
    )


def _profile_problems(profile: Profile, path: str) -> Iterator[str]:
    seen: dict[str, int] = {}
    for i, layer in enumerate(profile.layers):
        where = f"{path}.layers[{i}]"
        if layer.name in seen:
            first = f"{path}.layers[{seen[layer.name]}]"
            yield f"layer name {layer.name!r} repeats that of `{first}` - at `{where}.name`"
        seen[layer.name] = i
        yield from _split_problems(layer, profile, where)
        yield from _order_problems(layer, where)
        yield from _kind_problems(layer, where)
        if profile.declared_dense and layer.dense.acs + layer.effective.acs:
            yield f"accumulates in a network declared dense - at `{where}`"


def _split_problems(layer: LayerRecord, profile: Profile, where: str) -> Iterator[str]:
    totals = {"spikes": layer.output_spikes, "effective": layer.effective.synops}
    lengths = {"timestep": profile.timesteps, "sample": profile.samples}
    for (what, total), (part, length) in product(totals.items(), lengths.items()):
        name = f"{what}_per_{part}"
        values = getattr(layer, name)
        if values is None:
            continue
        if length is not None and len(values) != length:
            yield f"{len(values)} entries for {length} {part}s - at `{where}.{name}`"
        if sum(values) != total:
            yield f"entries sum to {sum(values)}, the total is {total} - at `{where}.{name}`"


def _order_problems(layer: LayerRecord, where: str) -> Iterator[str]:
    dense = layer.dense.synops
    for name, value, bound_name, bound in (
        ("effective", layer.effective.synops, "dense", dense),
        ("in_image", layer.in_image.synops, "dense", dense),
        ("nonzero_params", layer.nonzero_params, "params", layer.params),
        ("input_nonzero", layer.input_nonzero, "input_sites", layer.input_sites),
        ("output_spikes", layer.output_spikes, "output_sites", layer.output_sites),
    ):
        if value is not None and bound is not None and value > bound:
            yield f"{name} {value} exceeds {bound_name} {bound} - at `{where}`"


def _kind_problems(layer: LayerRecord, where: str) -> Iterator[str]:
    for name in ("dense", "in_image", "effective"):
        count: OpCount = getattr(layer, name)
        if count.macs and count.acs:
            yield f"a layer has either MACs or ACs, not both - at `{where}.{name}`"
    for name in ("input_alphabet", "operand_alphabet", "output_alphabet"):
        alphabet: Alphabet | None = getattr(layer, name)
        if alphabet is not None and (alphabet.scale is not None) != (alphabet.kind in _SCALED):
            yield f"an alphabet has a scale if it is binary or ternary - at `{where}.{name}`"


def _accuracy_problems(result: RunResult) -> Iterator[str]:
    for name in ("accuracy", "twin_accuracy"):
        accuracy = getattr(result, name)
        if accuracy is not None and accuracy.correct > accuracy.samples:
            yield f"more correct answers than samples - at `$.{name}`"


def _timing_problems(result: RunResult) -> Iterator[str]:
    for i, timing in enumerate(result.timings):
        if not timing.raw_seconds:
            yield f"no raw times - at `$.timings[{i}].raw_seconds`"
        if timing.number_per_run < 1 or timing.batch_size < 1:
            yield f"number_per_run and batch_size are at least 1 - at `$.timings[{i}]`"
    for i, reading in enumerate(result.energy_measured):
        if reading.runs < 1:
            yield f"runs is at least 1 - at `$.energy_measured[{i}]`"


def _engine_problems(engine: EngineRun, path: str) -> Iterator[str]:
    for name in ("flipped_spikes", "flipped_by_rounding"):
        if getattr(engine, name) > engine.spike_sites:
            yield f"more spikes flipped than were compared - at `{path}.{name}`"
    if engine.batch_size < 1 or engine.threads < 1:
        yield f"batch_size and threads are at least 1 - at `{path}`"
    for i, step in enumerate(engine.steps):
        where = f"{path}.steps[{i}]"
        if (step.input_spikes or 0) > (step.input_sites or 0):
            yield f"input_spikes exceeds input_sites - at `{where}`"
        if not step.raw_seconds:
            yield f"no raw times - at `{where}.raw_seconds`"
