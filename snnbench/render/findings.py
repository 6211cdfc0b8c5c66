"""What a result says, in plain words, and what a reader must know first."""

from __future__ import annotations

from dataclasses import dataclass

from snnbench.core.statistics import wilson
from snnbench.energy.models import DEFAULT_MODEL, get, memory_remark
from snnbench.metrics.frames import ZERO_SKIPPING_TWIN, energy_frame, timing_frame
from snnbench.metrics.operations import SNN, TWIN, divisors, per_sample
from snnbench.render import text
from snnbench.render.speed_words import SAME, engine_sentences, latency_sentences
from snnbench.render.table import records
from snnbench.results.counts import Profile
from snnbench.results.run import Accuracy, RunResult

BUSY = 0.1
"""Share of the processors that others took, from which times are not to be trusted."""
NOISY_SPREAD = 0.1
"""Interquartile range over median from which a latency is called noisy."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a reader must know before the numbers, and what to do about it."""

    what: str
    remedy: str = ""


def notices(result: RunResult) -> tuple[Notice, ...]:
    """Uncounted operations first, then everything else that limits what the numbers mean."""
    found = [*_gaps(result)]
    found += [
        Notice(
            f"check {check.name!r} differs: {check.note or 'see the checks'}",
            "do not use the numbers before the cause is known",
        )
        for check in result.checks
        if not check.ok
    ]
    found += _limits(result)
    found += _noise(result)
    warnings = [warning for profile in _profiles(result) for warning in profile.warnings]
    found += [Notice(warning) for warning in dict.fromkeys(warnings)]
    return tuple(found)


def _limits(result: RunResult) -> list[Notice]:
    """What the input and the weights do not allow to be said."""
    limits = (
        (
            result.weights.status == "untrained",
            "untrained weights: firing rates, and all that follows from them, say nothing about a "
            "trained network",
            "pass trained weights with --weights",
        ),
        (
            result.weights.status == "trained" and result.weights.evidence is None,
            "weights are called trained without evidence: they may be any weights, and firing "
            "rates hold for these only",
            "use a safetensors file whose metadata tells how they were trained",
        ),
        (
            result.weights.status == "unknown",
            "weights of unknown training: firing rates hold for these weights only",
            "load trained weights in the model's factory",
        ),
        (
            result.snn.declared_dense,
            "counted as an ANN, every operation a MAC: what is called SNN here is that network",
            "",
        ),
        (
            result.snn.timesteps is None,
            "the number of timesteps T is unknown: spikes per neuron cannot be given",
            "pass --timesteps",
        ),
        (
            not per_sample(result),
            "the number of samples is unknown: counts are those of the whole run",
            "feed inputs with a batch dimension",
        ),
    )
    return [Notice(what, remedy) for applies, what, remedy in limits if applies]


def _profiles(result: RunResult) -> list[Profile]:
    return [profile for profile in (result.snn, result.twin) if profile is not None]


def _gaps(result: RunResult) -> list[Notice]:
    found = []
    for network, profile in ((SNN, result.snn), (TWIN, result.twin)):
        if profile is None:
            continue
        found += [
            Notice(
                f"{item.operation} in {item.module or 'the model'} ({network}, "
                f"{text.plural(item.calls, 'call')}) is not counted: totals are lower bounds",
                "add a counting rule (docs/extend.md), or use --strict to fail on it",
            )
            for item in profile.uncounted
        ]
        if profile.uncalled:
            found.append(
                Notice(
                    f"{', '.join(profile.uncalled)} ({network}) never ran and is not counted",
                    "check that the forward pass reaches it",
                )
            )
    return found


def _noise(result: RunResult) -> list[Notice]:
    return [*_busy(result), *_noisy(result)]


def _busy(result: RunResult) -> list[Notice]:
    loads = [timing.other_load for timing in result.timings if timing.other_load is not None]
    if max(loads, default=0.0) < BUSY:
        return []
    return [
        Notice(
            f"other programs took up to {text.percent(max(loads))} of the processors while latency "
            "was measured: the times, and their ratios, may be far off",
            "close them and run again",
        )
    ]


def _noisy(result: RunResult) -> list[Notice]:
    noisy = [r for r in records(timing_frame(result)) if (r["spread"] or 0) >= NOISY_SPREAD]
    return [
        Notice(
            f"latency of {row['name']} is noisy: quartiles {text.percent(row['spread'])} of the "
            "median apart",
            "close other programs and run again",
        )
        for row in noisy
    ]


def coverage(result: RunResult) -> str:
    """How much of the multiply work seen was counted, as a sentence."""
    if result.snn.coverage is None:
        return "Coverage is unknown: operations of unknown size are not counted."
    share = 100 * result.snn.coverage
    exact = "100" if result.snn.coverage == 1 else f"{min(share, 99.99):.2f}"
    return f"{exact} % of the SNN's dense multiply work seen in the forward pass is counted."


def verdict(result: RunResult) -> tuple[str, ...]:
    """The findings as sentences: operations, energy, latency, accuracy."""
    return (
        _operations_sentence(result),
        *_energy_sentences(result),
        *latency_sentences(result),
        *engine_sentences(result),
        *_accuracy_sentences(result),
    )


def _operations_sentence(result: RunResult) -> str:
    divisor = divisors(result)
    snn = result.snn.effective
    what = (
        f"{text.short(snn.acs / divisor[SNN])} additions (accumulates) and "
        f"{text.short(snn.macs / divisor[SNN])} multiplications (MACs)"
    )
    basis = "Per sample" if per_sample(result) else "Over the whole run"
    if result.twin is None:
        return f"{basis} the SNN needs {_bound(result.snn)}{what}; no ANN twin was counted."
    twin = _bound(result.twin) + text.short(result.twin.dense.macs / divisor[TWIN])
    return f"{basis} the SNN needs {_bound(result.snn)}{what}; its ANN twin needs {twin} MACs."


def _bound(profile: Profile) -> str:
    return "at least " if profile.uncounted else ""


def _energy_sentences(result: RunResult) -> list[str]:
    if result.twin is None:
        return []
    rows = {(r["model"], r["network"]): r for r in records(energy_frame(result))}
    ordinary, skipping = (rows[DEFAULT_MODEL, name] for name in (TWIN, ZERO_SKIPPING_TWIN))
    if ordinary["over_snn"] is None:
        return []
    if not (rows[DEFAULT_MODEL, SNN]["complete"] and ordinary["complete"]):
        return [
            f"Whether the SNN would need less energy than its twin on {ordinary['title']} is not "
            "established: operations are uncounted, so the estimates are lower bounds."
        ]
    remark = f"estimate; {memory_remark([get(DEFAULT_MODEL)])}"
    lead = f"On {ordinary['title']} the SNN would need {_compare(ordinary['over_snn'], 'energy')}"
    sentences = [f"{lead} its twin ({remark})."]
    if skipping["over_snn"] is not None:
        if result.weights.status == "trained" and result.twin_accuracy is None:
            remark += "; the twin has the SNN's weights and was not trained itself"
        sentences.append(
            f"Against a twin on hardware that skips zeros it would need "
            f"{_compare(skipping['over_snn'], 'energy')} the twin ({remark})."
        )
    return sentences


def _compare(twin_over_snn: float, quantity: str) -> str:
    """E.g. ``1.67x less energy than``, from the ratio twin / SNN."""
    if abs(twin_over_snn - 1) < SAME:
        return f"about the same {quantity} as"
    less = twin_over_snn > 1
    ratio = twin_over_snn if less else 1 / twin_over_snn
    return f"{text.factor(ratio)} {'less' if less else 'more'} {quantity} than"


def _accuracy_sentences(result: RunResult) -> list[str]:
    if result.accuracy is None:
        return []
    sentence = f"Accuracy: SNN {_accuracy(result.accuracy)}"
    if result.twin_accuracy is not None:
        sentence += f", ANN twin {_accuracy(result.twin_accuracy)}"
    same_steps = (None, result.snn.timesteps)
    published = next(
        (
            item
            for item in result.published
            if item.quantity == "top1_percent" and item.timesteps in same_steps
        ),
        None,
    )
    if published is not None:
        steps = "" if published.timesteps is None else f", T = {published.timesteps}"
        sentence += (
            f"; published for the full network and its own data set: {published.value:g} % "
            f"({published.source}{steps})"
        )
    return [f"{sentence}."]


def _accuracy(accuracy: Accuracy) -> str:
    share = text.percent(accuracy.correct / accuracy.samples if accuracy.samples else None)
    told = f"{accuracy.correct:,} of {accuracy.samples:,}"
    if accuracy.samples:
        low, high = map(text.percent, wilson(accuracy.correct, accuracy.samples))
        told += f"; 95 % interval {low} to {high}"
    return f"{share} ({told})"
