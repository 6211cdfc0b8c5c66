"""Trained weights shipped with a benchmark, and facts that a file of weights states."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snnbench.core.errors import UsageError
from snnbench.zoo.registry import Benchmark

SHIPPED = "shipped:"
"""Prefix of names of shipped weights, which can be given instead of a path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a file says about the network of its weights; what it does not say is ``None``.

    Attributes:
        benchmark: Name of the benchmark.
        data: Data that the network was trained on.
        width: Factor on all channel numbers.
        options: Values of options of the card.
        timesteps: T.
        twin: Whether the network is an ANN twin.
    """

    benchmark: str | None = None
    data: str | None = None
    width: float | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    timesteps: int | None = None
    twin: bool | None = None


def facts(benchmark: Benchmark, weights: str) -> Facts:
    """Read facts from the metadata of a file, or of ``shipped:NAME``.

    Raises:
        UsageError: No such weights come with the benchmark.
        WeightsError: The file is missing, empty or damaged.
    """
    metadata = _metadata(locate(benchmark, weights))
    stated = {name: _value(text) for name, text in metadata.items()}

    def of(name: str, *kinds: type) -> Any:
        return stated[name] if type(stated.get(name)) in kinds else None

    return Facts(
        benchmark=of("benchmark", str),
        data=of("data", str),
        width=of("width", int, float),
        options={name: metadata[name] for name in benchmark.card.options if name in metadata},
        timesteps=of("timesteps", int),
        twin=of("twin", bool),
    )


def shipped(benchmark: Benchmark) -> dict[str, Path]:
    """Files of the weights shipped with a benchmark, by name, sorted.

    A file is called ``KIND-wWIDTH``, or ``KIND-wWIDTH-twin`` for the ANN twin, where KIND is the
    kind of the training data.
    """
    files = benchmark.weights.glob("*-w*.safetensors") if benchmark.weights else ()
    return dict(sorted((path.stem, path) for path in files))


def find(
    benchmark: Benchmark,
    *,
    kind: str | None,
    width: float | None,
    options: Mapping[str, str],
    timesteps: int | None = None,
    twin: bool = False,
) -> str | None:
    """Find shipped weights that fit a run, as ``shipped:NAME``; ``None`` if none fit.

    Args:
        benchmark: Benchmark to run.
        kind: Kind of the data; nothing fits an unknown one, ``None``.
        width: Factor on all channel numbers; ``None`` accepts all.
        options: Value of every option of the card.
        timesteps: T; weights trained with the same T are preferred.
        twin: Whether weights of the ANN twin are needed.
    """
    fitting: list[tuple[bool, str]] = []
    for stem in shipped(benchmark):
        name = f"{SHIPPED}{stem}"
        stated = facts(benchmark, name)
        fits = width in (None, stated.width)
        fits = fits and (stated.options, bool(stated.twin)) == (options, twin)
        if fits and stem.startswith(f"{kind}-w"):
            fitting.append((stated.timesteps != timesteps, name))
    return min(fitting)[1] if fitting else None


def locate(benchmark: Benchmark, weights: str) -> Path:
    """The file that a path, or ``shipped:NAME``, means.

    Raises:
        UsageError: No such weights come with the benchmark.
    """
    if not weights.startswith(SHIPPED):
        return Path(weights)
    known = shipped(benchmark)
    name = weights.removeprefix(SHIPPED)
    if name not in known:
        listed = ", ".join(known) if known else "none"
        msg = f"no weights {name!r} come with {benchmark.card.name}; there are: {listed}"
        raise UsageError(msg)
    return known[name]


def evidence(path: Path) -> str | None:
    """Describe the training that a file of weights comes from; ``None`` if it states nothing.

    Raises:
        WeightsError: The file is missing, empty or damaged.
    """
    stated = _metadata(path)
    values = {name: _value(text) for name, text in stated.items()}
    score = _score(values)
    if score is None and stated.get("status") != "trained":  # not by `snnbench train`
        return "; ".join(f"{key}: {stated[key]}" for key in sorted(stated)) or None
    return "; ".join([score or "not tested", *_sentences(values)])


def _score(stated: Mapping[str, Any]) -> str | None:
    """The accuracy in words; ``None`` if a file states none, or an impossible one."""
    match stated.get("test_correct"), stated.get("test_samples"):
        case (int() as correct, int() as samples) if 0 <= correct <= samples > 0:
            score = f"test accuracy {100 * correct / samples:.2f} % ({correct:,} of {samples:,})"
        case _:
            return None
    match stated.get("test_accuracy_interval_95"):
        case [float() as low, float() as high]:
            score += f", 95 % interval {100 * low:.2f} to {100 * high:.2f} %"
    return score


def _sentences(stated: Mapping[str, Any]) -> list[str]:
    parts = []
    for label, key in (
        ("tested on", "test_data_description"),
        ("trained on", "data_description"),
        ("training data SHA-256", "data_sha256"),
        ("T", "timesteps"),
        ("epochs", "epochs"),
        ("seed", "seed"),
        ("made", "created_utc"),
    ):
        if stated.get(key) is not None:
            parts.append(f"{label} {stated[key]}")
    command = stated.get("command")
    if isinstance(command, list):
        parts.append(f"command {' '.join(map(str, command))}")
    return parts


def _metadata(path: Path) -> dict[str, str]:
    from snnbench.zoo.weight_files import load_metadata  # which loads torch

    return load_metadata(path)


def _value(text: str) -> Any:
    """The value of JSON, or the text itself if it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # a file from elsewhere may say anything
        return text
