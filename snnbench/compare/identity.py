"""Identity of a result: the keys that must agree before counts compare, and which differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from snnbench.core.errors import UsageError, suggestion
from snnbench.results.run import RunResult, WeightsInfo

REPEATS = "repeats"
LAYERS = "layers"
NEURONS = "neurons"


def _identity(weights: WeightsInfo) -> str:
    """Return the hash of trained weights; all untrained weights are the same.

    Untrained weights follow from benchmark, width, seed, samples and data, which are keys of their
    own. Their values, which include calibrated statistics of batch norms, also depend on how the
    machine rounds, which must not stop the comparison with a baseline from another CPU.
    """
    return "untrained" if weights.status == "untrained" else weights.sha256


COUNT_KEYS: dict[str, Callable[[RunResult], object]] = {
    "schema_version": lambda r: r.schema_version,
    "benchmark": lambda r: r.benchmark,
    "benchmark_version": lambda r: r.benchmark_version,
    "input_shape": lambda r: "x".join(map(str, r.input_shape)),
    "weights": lambda r: _identity(r.weights),
    "twin_weights": lambda r: None if r.twin_weights is None else _identity(r.twin_weights),
    "data": lambda r: r.data.sha256,
    "timesteps": lambda r: (r.config.timesteps, r.snn.timesteps),
    "samples": lambda r: (r.config.samples, r.snn.samples),
    # convolutions of another batch size or on another kind of device round differently
    "batch_size": lambda r: r.config.batch_size,
    "device": lambda r: r.config.device.partition(":")[0],
    "seed": lambda r: r.config.seed,
    "width": lambda r: r.config.width,
    "shortcut": lambda r: r.config.shortcut,
    "other_options": lambda r: (
        " ".join(
            f"{name}={value}" for name, value in sorted((r.config.other_options or {}).items())
        )
        or "none"
    ),
    "layout": lambda r: r.config.layout,
    "declared_dense": lambda r: r.snn.declared_dense,
}
"""By key: the function that reads its value. Counts compare only if all values agree."""

ALLOWED_FOR_TIMES = ("python", "torch")
"""Keys of the environment that may differ on one machine, if the user allows it."""

_MISSING = {
    LAYERS: "layers of the base that the head lacks",
    NEURONS: "neurons of the base that the head lacks",
    REPEATS: "runs of one side whose counts differ",
}
ALLOWABLE = (*COUNT_KEYS, *_MISSING, *(f"environment.{key}" for key in ALLOWED_FOR_TIMES))

_JOINED_BY = (
    *("benchmark", "timesteps", "samples", "batch_size", "device"),
    *("seed", "width", "shortcut", "other_options", "layout", "declared_dense"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A key that should agree and does not.

    Attributes:
        key: Its name in ``--allow``.
        base: Its value in the base.
        head: Its value in the head.
    """

    key: str
    base: str
    head: str


def differences(base: RunResult, head: RunResult) -> tuple[Difference, ...]:
    """Find the keys whose values differ, so that counts do not compare."""
    pairs = ((key, value(base), value(head)) for key, value in COUNT_KEYS.items())
    return tuple(
        Difference(key=key, base=_shown(old), head=_shown(new))
        for key, old, new in pairs
        if old != new
    )


def join_key(result: RunResult) -> tuple[object, ...]:
    """Return benchmark and configuration, by which the results of two folders are paired."""
    return tuple(COUNT_KEYS[key](result) for key in _JOINED_BY)


def check_allowed(keys: Iterable[str]) -> frozenset[str]:
    """Check keys given with ``--allow``.

    Raises:
        UsageError: A key is unknown, or would let times of two machines compare.
    """
    allowed = frozenset(keys)
    for key in sorted(allowed - set(ALLOWABLE)):
        if key.startswith("environment."):
            keys = " and ".join(f"environment.{name}" for name in ALLOWED_FOR_TIMES)
            msg = f"--allow {key}: times of two machines are never compared; only {keys} may differ"
            raise UsageError(msg)
        msg = f"--allow {key}: no such key; {suggestion(key, ALLOWABLE)}"
        raise UsageError(msg)
    return allowed


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        parts = dict.fromkeys(map(_shown, value))
        return " and ".join(parts) if len(parts) < len(value) else ", ".join(parts)
    return "unknown" if value is None else str(value)
