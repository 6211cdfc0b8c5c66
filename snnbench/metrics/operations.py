"""Additions and multiplications of one inference, as table 6 of ZH21 counts them.

An accumulate is an addition; a multiply-accumulate of the spiking network is a multiplication (its
addition is not counted a second time); each multiply-accumulate of the twin is one addition and
one multiplication, as in the paper. In the paper's convention the dense operations of
``RunResult.paper_multiplication_layers``, and of any other layer that needs multipliers, are the
multiplications, and the other layers' accumulates the additions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from snnbench.results.counts import LayerRecord
from snnbench.results.run import RunResult

SNN = "SNN"
TWIN = "ANN twin"

_COUNTING = {"effective": "effective", "in_image": "inside the image", "dense": "dense"}


def operation_rows(result: RunResult) -> list[dict[str, Any]]:
    """Make the rows of ``operations_dataframe``: counted, estimated and published numbers."""
    divisor = divisors(result)
    rows = _snn_operations(result, divisor[SNN])
    if result.twin is not None:
        for key, label in _COUNTING.items():
            macs = getattr(result.twin, key).macs / divisor[TWIN]
            rows.append(_operations(TWIN, label, "counted", (macs, macs)))
    published = _published_rows(result)
    _add_ratios(rows, published, result)
    per = "sample" if per_sample(result) else "run"
    ordered = sorted(rows + published, key=lambda row: row["network"] != SNN)
    return [row | {"per": per} for row in ordered]


def _snn_operations(result: RunResult, divisor: int) -> list[dict[str, Any]]:
    rows = [
        _operations(SNN, label, "counted", (counts.acs / divisor, counts.macs / divisor))
        for key, label in _COUNTING.items()
        for counts in (getattr(result.snn, key),)
    ]
    if not result.paper_multiplication_layers:
        return rows
    multiplying: list[LayerRecord] = []
    adding: list[LayerRecord] = []
    for layer in result.snn.layers:
        multiplies = layer.name in result.paper_multiplication_layers or layer.dense.macs
        (multiplying if multiplies else adding).append(layer)
    multiplications = sum(layer.dense.synops for layer in multiplying) / divisor
    exact = sum(layer.effective.acs for layer in adding) / divisor
    shortcuts = [layer.estimated_synops for layer in adding if layer.dense.synops]
    known = [value for value in shortcuts if value is not None]
    estimated = sum(known) / divisor if len(known) == len(shortcuts) else None
    convention = "ZH21 convention"
    return [
        *rows,
        _operations(SNN, f"{convention}, exact", "counted", (exact, multiplications)),
        _operations(SNN, f"{convention}, rate x dense", "estimated", (estimated, multiplications)),
    ]


def _operations(
    network: str,
    counting: str,
    origin: str,
    counts: tuple[float | None, float | None],  # additions, multiplications
    source: str | None = None,
) -> dict[str, Any]:
    return {
        "network": network,
        "counting": counting,
        "origin": origin,
        "additions": counts[0],
        "multiplications": counts[1],
        "source": source,
    }


def _published_rows(result: RunResult) -> list[dict[str, Any]]:
    """One row per network, source and T; numbers as printed."""
    values: dict[tuple[str, str, int | None], dict[str, float]] = {}
    for item in result.published:
        network, _, kind = item.quantity.partition("_")
        if kind in ("additions", "multiplications"):
            key = (TWIN if network == "ann" else SNN, item.source, item.timesteps)
            values.setdefault(key, {})[kind] = item.value
    return [
        _operations(
            network,
            "published" if timesteps is None else f"published, T = {timesteps}",
            "published",
            (kinds.get("additions"), kinds.get("multiplications")),
            source,
        )
        for (network, source, timesteps), kinds in values.items()
    ]


def _add_ratios(
    rows: list[dict[str, Any]], published: list[dict[str, Any]], result: RunResult
) -> None:
    """Reduction ratios and ratios to the published numbers, in place."""
    twin = next((r for r in rows if r["network"] == TWIN and r["counting"] == "dense"), {})
    printed = {row["network"]: row for row in published if _comparable(row, result)}
    printed_twin = next((row for row in published if row["network"] == TWIN), {})
    for kind in ("additions", "multiplications"):
        for row in rows:
            row[f"twin_dense_over_{kind}"] = ratio(twin.get(kind), row[kind])
            reference = printed.get(row["network"], {}).get(kind)
            row[f"over_published_{kind}"] = ratio(row[kind], reference)
        for row in published:
            row[f"twin_dense_over_{kind}"] = ratio(printed_twin.get(kind), row[kind])
            row[f"over_published_{kind}"] = None


def _comparable(row: Mapping[str, Any], result: RunResult) -> bool:
    """Say whether a published number was printed for this width and number of timesteps."""
    same_steps = row["counting"] in ("published", f"published, T = {result.snn.timesteps}")
    return result.config.width in (None, 1) and (same_steps or row["network"] == TWIN)


def per_sample(result: RunResult) -> bool:
    """Say whether counts can be divided by samples; if not, tables hold whole-run values."""
    profiles = (result.snn, result.twin)
    return all(profile.samples for profile in profiles if profile is not None)


def divisors(result: RunResult) -> dict[str, int]:
    """Return by network what to divide counts by: the samples, or 1 if they are unknown."""
    if not per_sample(result):
        return {SNN: 1, TWIN: 1}
    twin = result.twin or result.snn
    return {SNN: result.snn.samples or 1, TWIN: twin.samples or 1}


def ratio(numerator: float | None, denominator: float | None) -> float | None:
    """Divide; ``None`` if a number is unknown or the denominator is 0."""
    return None if numerator is None or not denominator else numerator / denominator
