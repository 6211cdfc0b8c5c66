"""What ``--fail-above`` and ``--allow`` mean, and what they refuse."""

from __future__ import annotations

from fractions import Fraction

import pytest

from snnbench.compare.identity import ALLOWABLE, check_allowed
from snnbench.compare.limits import limits
from snnbench.compare.sources import OTHER_FILES
from snnbench.core.errors import UsageError
from snnbench.metrics.catalogue import LATENCY, metrics
from snnbench.render.layer_latency import STEM
from snnbench.run.counting_pass import FILE_NAME
from snnbench.train import checkpoint, evidence


def test_names_agree_with_those_who_write_them() -> None:
    assert {f"{STEM}.json", FILE_NAME, evidence.REPORT, checkpoint.STATE} == OTHER_FILES


def test_defaults_gate_counts_rates_energy_and_accuracy_at_zero_but_no_time() -> None:
    default = limits(())
    assert {"synops", "spikes", "dense.acs", "side.bias_adds", "firing_rate"} <= default.keys()
    assert {"accuracy", "energy.horowitz-45nm-fp32", "uncounted"} <= default.keys()
    assert not any(name.startswith(("latency", "engine")) for name in default)
    assert {str(limit) for limit in default.values()} == {"0"}
    assert not any(limit.explicit for limit in default.values())


def test_what_is_asked_replaces_the_defaults_and_the_last_word_counts() -> None:
    (limit,) = limits(("acs:2%", "acs:1.5%")).values()
    assert (limit.metric.name, limit.tolerance, limit.unit) == ("acs", Fraction(3, 2), "%")
    assert limit.explicit
    assert str(limit) == "1.5%"


@pytest.mark.parametrize(
    ("group", "some"),
    [
        ("counts:0", {"synops", "macs", "params", "dense.macs"}),
        ("energy:1%", {"energy.loihi-14nm", "energy.horowitz-45nm-fp32"}),
        ("latency:25%", set(LATENCY)),
        ("side:10", {"side.norm_ops", "side.pool_ops"}),
    ],
)
def test_groups(group: str, some: set[str]) -> None:
    found = limits((group,))
    assert some <= found.keys()
    assert {limit.explicit for limit in found.values()} == {group != "counts:0"}


def test_exact_keeps_the_defaults() -> None:
    rules = limits(("latency.event:25%", "acs:1%"), exact=True)
    assert rules["spikes"].exact
    assert not rules["acs"].exact
    assert rules.keys() == limits(()).keys() | {"latency.event"}


@pytest.mark.parametrize(
    ("asked", "base", "head", "broken"),
    [
        ("acs:0", 100, 100, False),
        ("acs:0", 100, 101, True),
        ("acs:0", 100, 99, False),
        ("acs:1%", 100, 101, False),
        ("acs:1%", 10**18, 10**18 + 10**16 + 1, True),
        ("acs:5", 100, 105, False),
        ("acs:5", 100, 106, True),
        ("acs:50%", 0, 1, True),
        ("neurons:0", 100, 99, True),
        ("accuracy:0.5pt", Fraction(93), Fraction(185, 2), False),
        ("accuracy:0.5pt", Fraction(93), Fraction(92), True),
        ("accuracy:0", Fraction(93), Fraction(94), False),
        ("firing_rate:0", Fraction(1, 3), Fraction(2, 6), False),
    ],
)
def test_when_a_limit_breaks(
    asked: str, base: int | Fraction, head: int | Fraction, *, broken: bool
) -> None:
    (limit,) = limits((asked,)).values()
    assert limit.broken_by(base, head) is broken


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("spike:0", "no such metric; did you mean spikes"),
        ("energy.horowits-45nm-fp32:0", "did you mean energy.horowitz-45nm-fp32"),
        (":0", "no such metric"),
        ("acs", "write METRIC:TOL"),
        ("acs:", "write METRIC:TOL"),
        ("acs:-1", "write METRIC:TOL"),
        ("acs:1e9", "write METRIC:TOL"),
        ("acs:nan", "write METRIC:TOL"),
        ("acs:\u0661", "write METRIC:TOL"),
        ("acs:1pt", "the tolerance of acs is written as 1000 or 1.5%"),
        ("accuracy:1%", "the tolerance of accuracy is written as 0.5pt"),
        ("latency.event:3", "the tolerance of latency.event is written as 1.5%"),
    ],
)
def test_what_is_no_limit(asked: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        limits((asked,))
    assert "\n" not in str(caught.value)


def test_a_table_of_costs_is_a_metric() -> None:
    assert metrics()["energy.loihi-14nm"].unit == "pJ"


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("weihgts", "no such key; did you mean weights"),
        ("environment.cpu", "times of two machines are never compared; only environment.python"),
        ("", "choose one of schema_version"),
    ],
)
def test_what_cannot_be_allowed(key: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_allowed(["weights", key])
    assert check_allowed(ALLOWABLE) == set(ALLOWABLE)
