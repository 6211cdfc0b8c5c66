"""Numbers and names as text: digits trimmed to what is known, unknown shown as a dash."""

from __future__ import annotations

import math
from collections.abc import Iterable

from snnbench.core.units import PJ_PER, SI_PREFIXES
from snnbench.metrics.metric import Family, Metric, Number
from snnbench.results.run import RunResult

UNKNOWN = "\N{EN DASH}"
TIMES = "\N{MULTIPLICATION SIGN}"
AT_MOST = "\N{LESS-THAN OR EQUAL TO}"
AT_LEAST = "\N{GREATER-THAN OR EQUAL TO}"


def significant(value: float | None, digits: int = 3) -> str:
    """Write ``digits`` significant digits, thousands separated, never an exponent.

    >>> significant(1234567.0), significant(0.012345), significant(12.0), significant(None)
    ('1,234,567', '0.0123', '12.0', '\N{EN DASH}')
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}"


def count(value: float | None) -> str:
    """Write every digit of a count, thousands separated; a mean below 1,000 keeps decimals.

    >>> count(1797123456.5), count(12.25), count(7)
    ('1,797,123,456', '12.2', '7')
    """
    if value is None:
        return UNKNOWN
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return significant(value)


def short(value: float | None, digits: int = 3) -> str:
    """Write a count with an SI prefix.

    >>> short(1797123456), short(34e6), short(512)
    ('1.80 G', '34.0 M', '512')
    """
    if value is None:
        return UNKNOWN
    for factor, prefix in SI_PREFIXES:
        if abs(value) >= factor:
            return f"{significant(value / factor, digits)} {prefix}"
    return count(value)


def printed(value: float | None) -> str:
    """Write a published number with the digits it was printed with.

    >>> printed(1.8e9), printed(34000000.0)
    ('1.8e9', '3.4e7')
    """
    if value is None:
        return UNKNOWN
    mantissa, exponent = f"{value:.12e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def factor(value: float | None) -> str:
    """Write a ratio, e.g. ``1.67x`` with a multiplication sign."""
    return UNKNOWN if value is None else significant(value) + TIMES


def estimated_factor(
    value: float | None, *, numerator_complete: bool, denominator_complete: bool
) -> str:
    """Write a ratio of estimates: a bound if one is incomplete, unknown if both are."""
    if value is None or not (numerator_complete or denominator_complete):
        return UNKNOWN
    bound = "" if denominator_complete else f"{AT_MOST} "
    return (bound if numerator_complete else f"{AT_LEAST} ") + factor(value)


def percent(value: float | None, digits: int = 3) -> str:
    """Write a share in [0, 1] in percent."""
    return UNKNOWN if value is None else f"{significant(100 * value, digits)} %"


def metric_value(metric: Metric, value: Number | None, *, divisor: int = 1, digits: int = 3) -> str:
    """Write a value with its unit; counts and energies are divided by ``divisor`` samples."""
    if value is None:
        return UNKNOWN
    if metric.family in (Family.COUNT, Family.ENERGY):
        return (count if metric.family is Family.COUNT else energy)(float(value / divisor))
    if metric.family is Family.SHARE:
        return percent(float(value), digits)
    unit = {Family.ACCURACY: " %", Family.TIME: " ms"}.get(metric.family, "")
    return significant(float(value), digits) + unit


def energy_unit(values_pj: Iterable[float]) -> str:
    """Choose the largest unit in which the largest value is at least 1, or pJ."""
    largest = max(values_pj, default=0.0)
    return next((unit for unit in reversed(PJ_PER) if largest >= PJ_PER[unit]), "pJ")


def energy(value_pj: float | None, unit: str | None = None) -> str:
    """Write an energy with its unit.

    >>> energy(1.62e8), energy(None), energy(4.6, "nJ")
    ('162 µJ', '\N{EN DASH}', '0.00460 nJ')
    """
    if value_pj is None:
        return UNKNOWN
    unit = unit or energy_unit([value_pj])
    return f"{significant(value_pj / PJ_PER[unit])} {unit}"


def shorten(name: str, length: int = 32) -> str:
    """Put ``name`` on one line and cut its middle to leave ``length`` characters."""
    line = " ".join(name.split())
    if len(line) <= length:
        return line
    head = (length - 1) // 2
    return f"{line[:head]}\N{HORIZONTAL ELLIPSIS}{line[head + 1 - length :]}"


def weights_note(result: RunResult) -> str:
    """Name the state of the weights, as on every table and figure."""
    status = result.weights.status
    return "weights of unknown training" if status == "unknown" else f"{status} weights"


def subject(result: RunResult) -> str:
    """Name network, T, width and data in one line."""
    profile = result.snn
    steps = "T unknown" if profile.timesteps is None else f"T = {profile.timesteps}"
    samples = plural(profile.samples, "sample") if profile.samples else "samples unknown"
    width = "" if result.config.width in (None, 1) else f", width {result.config.width:g}"
    title, data = shorten(result.title, 60), shorten(result.data.name, 60)
    return f"{title}, {steps}{width}, {data} ({samples})"


def context(result: RunResult) -> str:
    """Name what was measured and with which weights, for captions."""
    return f"{subject(result)}, {weights_note(result)}"


def plural(number: int, noun: str, nouns: str | None = None) -> str:
    """Write e.g. ``1 sample``, ``2 samples``, ``2 processes``."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"
