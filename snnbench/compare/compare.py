"""Compare results: join them by benchmark, refuse what does not compare, judge what does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from snnbench.compare.identity import (
    COUNT_KEYS,
    LAYERS,
    NEURONS,
    REPEATS,
    Difference,
    differences,
    join_key,
)
from snnbench.compare.judge import Gate, Status, judge_counts, judge_times
from snnbench.compare.limits import Limit
from snnbench.compare.moves import (
    Missing,
    Move,
    engine_moves,
    largest_first,
    layer_changes,
    network_moves,
)
from snnbench.metrics.catalogue import Measured, measured
from snnbench.results.engine import EngineRun
from snnbench.results.run import EVENT_TIMING, RunResult

OK, REGRESSION, INCOMPARABLE, MISSING = 0, 1, 3, 4
_WORST_FIRST = (INCOMPARABLE, MISSING, REGRESSION, OK)
"""A comparison that cannot be judged outranks one that can."""

_CODES = {
    Status.REGRESSION: REGRESSION,
    Status.MISSING: MISSING,
    Status.INCOMPARABLE: INCOMPARABLE,
}
Runs = Sequence[RunResult]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One benchmark in the base against the same in the head.

    Attributes:
        benchmark: Its name in the base.
        title: Its human-readable name.
        base: Label of the base.
        head: Label of the head.
        refused: Keys that differ without being allowed to; then nothing below is filled in.
        allowed: Keys that differ and are allowed to.
        gates: Every metric with a limit, and every time.
        moves: Metrics of the whole network that differ, largest first.
        layer_moves: Metrics of layers that differ, largest first.
        missing: Layers, neurons and values that the head lacks.
        added: Layers and values that the base lacks.
        notes: Remarks for the reader.
    """

    benchmark: str
    title: str
    base: str
    head: str
    refused: tuple[Difference, ...]
    allowed: tuple[Difference, ...]
    gates: tuple[Gate, ...] = ()
    moves: tuple[Move, ...] = ()
    layer_moves: tuple[Move, ...] = ()
    missing: tuple[Missing, ...] = ()
    added: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def failing_losses(self) -> tuple[Missing, ...]:
        """Whatever is missing without being allowed to."""
        allowed = {difference.key for difference in self.allowed}
        return tuple(item for item in self.missing if item.kind not in allowed)

    @property
    def exit_code(self) -> int:
        """Exit code: 0 ok, 1 regression, 3 incomparable, 4 missing."""
        if self.refused:
            return INCOMPARABLE
        codes = [_CODES.get(gate.status, OK) for gate in self.gates]
        return worst([*codes, MISSING if self.failing_losses else OK])

    @property
    def inconclusive(self) -> bool:
        """Whether a gate could neither fail nor hold, which by itself leaves exit code 0."""
        return any(gate.status is Status.INCONCLUSIVE for gate in self.gates)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One side of a comparison.

    Attributes:
        label: Path of a file or a folder.
        results: The result in the file, or all results in the folder.
        single: Whether it is one file.
    """

    label: str
    results: tuple[RunResult, ...]
    single: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A base against one or more heads.

    Attributes:
        comparisons: By head, then by benchmark.
        missing: Benchmarks of the base that a head lacks, each with the head.
        added: Benchmarks of a head that the base lacks.
    """

    comparisons: tuple[Comparison, ...]
    missing: tuple[tuple[str, str], ...] = ()
    added: tuple[tuple[str, str], ...] = ()

    @property
    def exit_code(self) -> int:
        """The exit code of the worst comparison: 3 incomparable, 4 missing, 1 regression, 0 ok."""
        codes = [comparison.exit_code for comparison in self.comparisons]
        return worst([*codes, MISSING if self.missing else OK])

    @property
    def inconclusive(self) -> bool:
        """Whether any comparison is inconclusive."""
        return any(comparison.inconclusive for comparison in self.comparisons)


def worst(codes: Iterable[int]) -> int:
    """Return the exit code that outranks the others; 0 for none."""
    return min(codes, key=_WORST_FIRST.index, default=OK)


def compare(
    base: Source,
    heads: Sequence[Source],
    limits: Mapping[str, Limit],
    allowed: frozenset[str] = frozenset(),
) -> Report:
    """Compare ``base`` with each of ``heads``.

    Args:
        base: Results before.
        heads: Results after; each source is compared with the base.
        limits: By metric; from ``snnbench.compare.limits.limits``.
        allowed: Keys that may differ; from ``snnbench.compare.identity.check_allowed``.
    """
    comparisons: list[Comparison] = []
    missing: list[tuple[str, str]] = []
    added: list[tuple[str, str]] = []
    for head in heads:
        pairs, gone, new = _join(base, head)
        comparisons += [
            compare_runs(old, now, limits, allowed, labels=(base.label, head.label))
            for old, now in pairs
        ]
        missing += [(name, head.label) for name in gone]
        added += [(name, head.label) for name in new]
    return Report(comparisons=tuple(comparisons), missing=tuple(missing), added=tuple(added))


def compare_runs(
    base: Runs,
    head: Runs,
    limits: Mapping[str, Limit],
    allowed: frozenset[str] = frozenset(),
    *,
    labels: tuple[str, str] = ("base", "head"),
) -> Comparison:
    """Compare runs of one benchmark: counts of the first run of each side, times of all.

    A side has at least one run; several are repeats of each other. ``limits`` and ``allowed`` are
    those of ``compare``.
    """
    old, new = base[0], head[0]
    differing = (*differences(old, new), *_unequal_repeats(base, head))
    comparison = Comparison(
        benchmark=old.benchmark,
        title=old.title,
        base=labels[0],
        head=labels[1],
        refused=tuple(item for item in differing if item.key not in allowed),
        allowed=tuple(item for item in differing if item.key in allowed),
    )
    if comparison.refused:
        return comparison
    before, after = measured(old), measured(new)
    engine_note = _engine_note(old.engine, new.engine)
    if engine_note:
        before, after = _without_engine(before), _without_engine(after)
    layers = layer_changes(old.snn, new.snn, before.values)
    executed = [] if engine_note else engine_moves(old.engine, new.engine, before.values)
    moves = largest_first(layers.moves + executed)
    return replace(
        comparison,
        allowed=(*comparison.allowed, *_allowed_losses(layers.missing, allowed)),
        gates=(
            *judge_counts(before, after, limits, moves),
            *judge_times(base, head, limits, allowed),
        ),
        moves=network_moves(before.values, after.values),
        layer_moves=moves,
        missing=layers.missing,
        added=layers.added,
        notes=(*filter(None, [engine_note]), *_notes(old, new)),
    )


def _allowed_losses(missing: Iterable[Missing], allowed: frozenset[str]) -> Iterator[Difference]:
    lost = Counter(item.kind for item in missing)
    for key in (LAYERS, NEURONS):
        if key in allowed and lost[key]:
            layers = "1 layer" if lost[key] == 1 else f"{lost[key]} layers"
            yield Difference(key=key, base="all", head=f"lost in {layers}")


def _unequal_repeats(base: Runs, head: Runs) -> Iterator[Difference]:
    old, new = (
        "equal"
        if all(_repeated(run) == _repeated(runs[0]) for run in runs[1:])
        else f"{len(runs)} that differ"
        for runs in (base, head)
    )
    if (old, new) != ("equal", "equal"):
        yield Difference(key=REPEATS, base=old, head=new)


def _repeated(run: RunResult) -> tuple[object, ...]:
    """Return what all runs of one side must share, since only the counts of one are compared."""
    keys = tuple(value(run) for value in COUNT_KEYS.values())
    twin = None if run.twin is None else run.twin.dense
    return keys, run.snn, twin, run.accuracy, sum(not check.ok for check in run.checks)


def _engine_note(base: EngineRun | None, head: EngineRun | None) -> str | None:
    """Say why the operations that the engine executed do not compare."""
    if base is None or head is None:
        return None
    for key in ("mode", "weights_dtype", "threads", "batch_size"):
        old, new = getattr(base, key), getattr(head, key)
        if old != new:
            return f"the engine's counts are left out: engine.{key} differs: {old} and {new}"
    return None


def _without_engine(values: Measured) -> Measured:
    engine = {name: None for name in values.values if name.startswith("engine.")}
    return replace(values, values={**values.values, **engine})


def _notes(base: RunResult, head: RunResult) -> Iterator[str]:
    """Yield remarks on a missing twin, different compilers and different rounding."""
    if (base.twin is None) != (head.twin is None):
        yield f"the {'base' if base.twin is None else 'head'} has no twin"
    old, new = (run.environment.packages.get("numba", "unknown") for run in (base, head))
    if old != new and all(any(t.name == EVENT_TIMING for t in r.timings) for r in (base, head)):
        yield f"event kernels were compiled by different versions of numba: {old} and {new}"
    if base.weights.status == "untrained" and base.weights.sha256 != head.weights.sha256:
        yield (
            "both networks are untrained, and their calibrated weights differ, as they do on "
            "another CPU, with another PyTorch or after a change of the source, so other neurons "
            "can fire"
        )


def _join(base: Source, head: Source) -> tuple[list[tuple[Runs, Runs]], list[str], list[str]]:
    """Pair runs that belong together, and list benchmarks that only base or only head has."""
    if base.single and head.single:
        return [(base.results, head.results)], [], []
    before, after = _groups(base.results), _groups(head.results)
    pairs = [(before[key], after[key]) for key in before if key in after]
    gone = _by_benchmark(runs for key, runs in before.items() if key not in after)
    new = _by_benchmark(runs for key, runs in after.items() if key not in before)
    # one of each benchmark is compared all the same, and the comparison says what differs
    odd = [name for name in gone if len(gone[name]) == len(new.get(name, ())) == 1]
    pairs += [(gone.pop(name)[0], new.pop(name)[0]) for name in odd]
    pairs.sort(key=lambda pair: (pair[0][0].benchmark, str(join_key(pair[0][0]))))
    return pairs, sorted(gone), sorted(new)


def _groups(results: Iterable[RunResult]) -> dict[tuple[object, ...], Runs]:
    groups: dict[tuple[object, ...], list[RunResult]] = {}
    for result in sorted(results, key=lambda result: result.created_utc):
        groups.setdefault(join_key(result), []).append(result)
    return dict(groups)


def _by_benchmark(groups: Iterable[Runs]) -> dict[str, list[Runs]]:
    by_benchmark: dict[str, list[Runs]] = {}
    for runs in groups:
        by_benchmark.setdefault(runs[0].benchmark, []).append(runs)
    return by_benchmark
