"""Records: the alphabet lattice, operation counts, and merging of profiles."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from snnbench.results.counts import (
    DENSE,
    Alphabet,
    AlphabetKind,
    LayerRecord,
    OpCount,
    Profile,
    Role,
    SideOps,
    Uncounted,
    costs_accumulates,
    op_count,
)

ZERO = Alphabet()
SCALES = st.sampled_from([1.0, -1.0, 0.5, -0.5, 3.0])


def binary(scale: float) -> Alphabet:
    return Alphabet(kind=AlphabetKind.BINARY, scale=scale)


def ternary(scale: float) -> Alphabet:
    return Alphabet(kind=AlphabetKind.TERNARY, scale=abs(scale))


alphabets = st.one_of(st.just(ZERO), st.just(DENSE), SCALES.map(binary), SCALES.map(ternary))
counts = st.integers(0, 2**62)


def members(alphabet: Alphabet) -> frozenset[float] | None:
    """The values themselves; ``None`` stands for all numbers."""
    c = alphabet.scale or 0.0
    return {
        AlphabetKind.ZERO: frozenset({0.0}),
        AlphabetKind.BINARY: frozenset({0.0, c}),
        AlphabetKind.TERNARY: frozenset({0.0, c, -c}),
        AlphabetKind.DENSE: None,
    }[alphabet.kind]


@given(alphabets, alphabets, alphabets)
def test_join_is_a_semilattice(a: Alphabet, b: Alphabet, c: Alphabet) -> None:
    assert a.join(a) == a
    assert a.join(b) == b.join(a)
    assert a.join(b).join(c) == a.join(b.join(c))
    assert a.join(ZERO) == a
    assert a.join(DENSE) == DENSE


@given(alphabets, alphabets)
def test_join_is_the_smallest_alphabet_holding_both(a: Alphabet, b: Alphabet) -> None:
    joined, left, right = (members(x) for x in (a.join(b), a, b))
    if left is None or right is None:
        assert joined is None
        return
    union = left | right
    nonzero = union - {0.0}
    fits = len(nonzero) <= 1 or (len(nonzero) == 2 and sum(nonzero) == 0.0)
    assert joined == (union if fits else None)


@pytest.mark.parametrize(
    ("alphabet", "accumulates"),
    [(ZERO, True), (binary(1.0), True), (binary(-0.5), True), (ternary(2.0), True), (DENSE, False)],
)
def test_only_dense_values_need_a_multiplier(alphabet: Alphabet, accumulates: bool) -> None:
    assert alphabet.is_spikes is accumulates
    assert costs_accumulates(alphabet, None) is accumulates
    # one spiking operand is enough for a product of two activations
    assert costs_accumulates(DENSE, alphabet) is accumulates
    assert costs_accumulates(alphabet, DENSE) is accumulates


def test_no_operand_at_all_is_no_accumulate() -> None:
    assert not costs_accumulates(None, None)


@given(counts, st.booleans())
def test_op_count_has_one_kind(operations: int, spikes: bool) -> None:
    count = op_count(operations, spikes=spikes)
    assert count.synops == operations
    assert (count.macs if spikes else count.acs) == 0


def test_op_counts_add_per_kind_beyond_64_bits() -> None:
    total = OpCount(macs=2**63, acs=1) + OpCount(macs=2**63, acs=2)
    assert total == OpCount(macs=2**64, acs=3)


def test_side_ops_add_field_by_field() -> None:
    one = SideOps(
        bias_adds=1,
        residual_adds=2,
        pool_ops=3,
        norm_ops=4,
        elementwise_muls=5,
        membrane_updates=6,
    )
    assert one + one == SideOps(
        bias_adds=2,
        residual_adds=4,
        pool_ops=6,
        norm_ops=8,
        elementwise_muls=10,
        membrane_updates=12,
    )


@st.composite
def synapses(draw: st.DrawFn, name: str, timesteps: int, samples: int) -> LayerRecord:
    """A consistent row: vectors sum to the total, the kind follows the alphabet."""
    alphabet = draw(alphabets)
    operations = draw(st.lists(st.integers(0, 9), min_size=samples, max_size=samples))
    total, spikes = sum(operations), alphabet.is_spikes
    split = draw(st.integers(0, total))
    known = draw(st.booleans())
    return LayerRecord(
        name=name,
        type_name="Linear",
        role=Role.SYNAPSE,
        calls=draw(st.integers(1, 3)),
        params=6,
        nonzero_params=5,
        input_alphabet=alphabet,
        input_nonzero=draw(st.none() | st.integers(0, 9)),
        input_sites=draw(st.none() | st.integers(9, 20)),
        dense=op_count(total * 3, spikes=spikes),
        in_image=op_count(total * 2, spikes=spikes),
        effective=op_count(total, spikes=spikes),
        side=SideOps(bias_adds=draw(st.integers(0, 5))),
        effective_per_timestep=(split, total - split) + (0,) * (timesteps - 2) if known else None,
        effective_per_sample=tuple(operations) if known else None,
    )


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    samples = draw(st.integers(1, 3))
    names = draw(st.lists(st.sampled_from("abc"), unique=True, max_size=3))
    operations = draw(st.lists(st.sampled_from(["aten.cdist", "aten.fft"]), unique=True))
    return Profile(
        layers=tuple(draw(synapses(name, 3, samples)) for name in names),
        samples=draw(st.sampled_from([samples, None])),
        timesteps=3,
        uncounted=tuple(
            Uncounted(module="a", operation=o, calls=1, macs=draw(st.sampled_from([None, 4])))
            for o in operations
        ),
        uncalled=tuple(sorted(set("abc") - set(names))),
        warnings=tuple(draw(st.lists(st.sampled_from(["x", "y"]), unique=True))),
    )


@given(profiles(), profiles(), profiles())
def test_merge_is_associative(a: Profile, b: Profile, c: Profile) -> None:
    assert a.merge(b).merge(c) == a.merge(b.merge(c))


@given(profiles(), profiles())
def test_merge_adds_operations_and_joins_what_the_kind_depends_on(a: Profile, b: Profile) -> None:
    merged = a.merge(b)
    assert merged.effective.synops == a.effective.synops + b.effective.synops
    assert merged.dense.synops == a.dense.synops + b.dense.synops
    assert merged.side == a.side + b.side
    assert {row.name for row in merged.layers} == {row.name for row in a.layers + b.layers}
    for row in merged.layers:
        assert row.input_alphabet is not None
        assert (row.effective.macs if row.input_alphabet.is_spikes else row.effective.acs) == 0
        for vector in (row.effective_per_timestep, row.effective_per_sample):
            assert vector is None or sum(vector) == row.effective.synops
    assert set(merged.uncalled) == set("abc") - {row.name for row in merged.layers}


def layer(**changes: object) -> LayerRecord:
    row = LayerRecord(
        name="fc",
        type_name="Linear",
        role=Role.SYNAPSE,
        calls=1,
        input_alphabet=binary(1.0),
        dense=OpCount(acs=20),
        in_image=OpCount(acs=20),
        effective=OpCount(acs=5),
        effective_per_timestep=(2, 3),
        effective_per_sample=(5,),
    )
    return replace(row, **changes)  # type: ignore[arg-type]


def one_layer_profile(row: LayerRecord, *, dense: bool = False, timesteps: int = 2) -> Profile:
    return Profile(layers=(row,), samples=1, timesteps=timesteps, declared_dense=dense)


def test_a_second_spike_height_turns_earlier_accumulates_into_macs() -> None:
    merged = layer().merge(layer(input_alphabet=binary(0.5)), declared_dense=False)
    assert merged.input_alphabet == DENSE
    assert (merged.dense, merged.effective) == (OpCount(macs=40), OpCount(macs=10))


def test_a_declared_ann_stays_macs_whatever_its_input() -> None:
    row = layer(dense=OpCount(macs=20), in_image=OpCount(macs=20), effective=OpCount(macs=5))
    profile = one_layer_profile(row, dense=True)
    assert profile.merge(profile).effective == OpCount(macs=10)


def test_merge_adds_timesteps_and_appends_samples() -> None:
    merged = layer().merge(
        layer(effective_per_timestep=(4, 1), effective_per_sample=(3, 2)), declared_dense=False
    )
    assert merged.effective_per_timestep == (6, 4)
    assert merged.effective_per_sample == (5, 3, 2)


def test_unknown_stays_unknown_when_merged() -> None:
    unknown = layer(effective_per_timestep=None, effective_per_sample=None, input_nonzero=None)
    merged = layer(input_nonzero=5).merge(unknown, declared_dense=False)
    assert merged.effective_per_timestep is None
    assert merged.effective_per_sample is None
    assert merged.input_nonzero is None
    assert merged.estimated_synops is None


@pytest.mark.parametrize("other", [{"dense": True}, {"timesteps": 3}])
def test_differently_counted_profiles_do_not_merge(other: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="differ in timesteps or declared_dense"):
        one_layer_profile(layer()).merge(one_layer_profile(layer(), **other))  # type: ignore[arg-type]


def test_rates_are_derived_from_counts() -> None:
    neuron = layer(role=Role.NEURON, output_spikes=6, output_sites=24)
    assert neuron.firing_rate == 0.25
    assert neuron.spikes_per_neuron(6) == 1.5
    assert neuron.spikes_per_neuron(None) is None
    assert layer().firing_rate is None
    assert one_layer_profile(neuron).firing_rate == 0.25
    assert one_layer_profile(layer()).firing_rate is None


def test_the_estimate_is_rate_times_dense() -> None:
    row = layer(input_nonzero=3, input_sites=12)
    assert row.estimated_synops == 5.0
    assert one_layer_profile(row).estimated_synops == 5.0
    assert layer(input_nonzero=0, input_sites=0).estimated_synops is None


def test_coverage_is_the_counted_share_and_unknown_if_a_size_is() -> None:
    def missed(macs: int | None) -> Profile:
        item = Uncounted(module="m", operation="aten.cdist", calls=1, macs=macs)
        return replace(one_layer_profile(layer()), uncounted=(item,))

    assert one_layer_profile(layer()).coverage == 1.0
    assert missed(60).coverage == pytest.approx(20 / 80)
    assert missed(None).coverage is None
    assert Profile(layers=(), samples=None, timesteps=None).coverage == 1.0
    assert math.isclose(missed(60).merge(missed(60)).coverage or 0.0, 40 / 160)
