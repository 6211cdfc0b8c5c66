"""Any result survives saving and loading, and any damage to a file is refused cleanly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from support.factories import make_result

from snnbench.core.errors import ResultError
from snnbench.results.counts import (
    DENSE,
    Alphabet,
    AlphabetKind,
    LayerRecord,
    Profile,
    Role,
    SideOps,
    Uncounted,
    op_count,
)
from snnbench.results.files import load, save
from snnbench.results.run import Check, RunResult, Timing

counts = st.integers(0, 2**60)
times = st.floats(0, 1e6)
numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
alphabets = st.one_of(
    st.none(),
    st.just(Alphabet()),
    st.just(DENSE),
    st.builds(
        Alphabet,
        kind=st.sampled_from([AlphabetKind.BINARY, AlphabetKind.TERNARY]),
        scale=st.floats(-1e3, 1e3),
    ),
)


@st.composite
def layers(
    draw: st.DrawFn, name: str, samples: int, timesteps: int, *, spikes: bool
) -> LayerRecord:
    per_sample = tuple(draw(st.lists(counts, min_size=samples, max_size=samples)))
    total = sum(per_sample)
    per_timestep = (total, *[0] * (timesteps - 1))
    dense = total + draw(counts)
    return LayerRecord(
        name=name,
        type_name=draw(st.text()),
        role=draw(st.sampled_from(Role)),
        calls=draw(counts),
        params=10,
        nonzero_params=draw(st.integers(0, 10)),
        input_alphabet=draw(alphabets),
        operand_alphabet=draw(alphabets),
        input_nonzero=draw(st.none() | st.integers(0, 5)),
        input_sites=draw(st.none() | st.integers(5, 9)),
        dense=op_count(dense, spikes=spikes),
        in_image=op_count(dense, spikes=spikes),
        effective=op_count(total, spikes=spikes),
        side=SideOps(bias_adds=draw(counts), membrane_updates=draw(counts)),
        output_alphabet=draw(alphabets),
        output_spikes=total,
        output_sites=dense,
        spikes_per_sample=draw(st.none() | st.just(per_sample)),
        spikes_per_timestep=draw(st.none() | st.just(per_timestep)),
        effective_per_sample=draw(st.none() | st.just(per_sample)),
        effective_per_timestep=draw(st.none() | st.just(per_timestep)),
    )


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    samples, timesteps = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    declared = draw(st.booleans())
    names = draw(st.lists(st.text(), unique=True, max_size=3))
    spikes = False if declared else draw(st.booleans())
    return Profile(
        layers=tuple(draw(layers(name, samples, timesteps, spikes=spikes)) for name in names),
        samples=draw(st.sampled_from([samples, None])),
        timesteps=draw(st.sampled_from([timesteps, None])),
        declared_dense=declared,
        uncounted=tuple(
            draw(
                st.lists(
                    st.builds(
                        Uncounted,
                        module=st.text(),
                        operation=st.text(),
                        calls=counts,
                        macs=st.none() | counts,
                    ),
                    max_size=2,
                )
            )
        ),
        uncalled=tuple(draw(st.lists(st.text(), max_size=2))),
        warnings=tuple(draw(st.lists(st.text(), max_size=2))),
    )


checks = st.builds(
    Check, name=st.text(), expected=numbers, measured=numbers, ok=st.booleans(), note=st.text()
)
timings = st.builds(
    Timing,
    name=st.text(),
    device=st.just("cpu"),
    batch_size=st.integers(1, 9),
    number_per_run=st.integers(1, 2**40),
    raw_seconds=st.lists(times, min_size=1, max_size=3).map(tuple),
    warmup_seconds=st.lists(times, max_size=3).map(tuple),
    threads=st.integers(1, 9),
    process=st.integers(0, 9),
)


@st.composite
def results(draw: st.DrawFn) -> RunResult:
    result = make_result(
        title=draw(st.text()),
        benchmark_version=draw(st.none() | st.text()),
        snn=draw(profiles()),
        twin=draw(st.none() | profiles()),
        checks=tuple(draw(st.lists(checks, max_size=2))),
        timings=tuple(draw(st.lists(timings, max_size=2))),
    )
    packages = draw(st.dictionaries(st.text(), st.text(), max_size=3))
    return replace(result, environment=replace(result.environment, packages=packages))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results") / "result.json"


@settings(max_examples=30)
@given(result=results())
def test_results_survive(path: Path, result: RunResult) -> None:
    save(result, path)
    first = path.read_bytes()
    again = load(path)
    assert again == result
    save(again, path)
    assert path.read_bytes() == first


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all fields but free-form keys and texts."""
    found = []
    if isinstance(tree, dict) and (not path or path[-1] != "packages"):
        for key, child in tree.items():
            found += [(*path, key), *places(child, (*path, key))]
    if isinstance(tree, list):
        found += [place for i, child in enumerate(tree) for place in places(child, (*path, i))]
    return found


@pytest.fixture(scope="module")
def whole(path: Path) -> bytes:
    save(make_result(), path)
    return path.read_bytes()


@settings(max_examples=100)
@given(data=st.data())
def test_a_field_that_is_gone_renamed_or_of_another_type(
    path: Path, whole: bytes, data: st.DataObject
) -> None:
    tree = json.loads(whole)
    *parents, last = data.draw(st.sampled_from(places(tree)))
    inner = tree
    for key in parents:
        inner = inner[key]
    value = inner.pop(last)
    change = data.draw(st.sampled_from(["gone", "renamed", "retyped"]))
    if change == "renamed":
        inner[f"{last}_"] = value
    elif change == "retyped":
        inner[last] = {"some": ["thing", "else"]} if last != "packages" else 1
    path.write_text(json.dumps(tree))
    with pytest.raises(ResultError) as caught:
        load(path)
    assert "\n" not in str(caught.value)


def loaded(path: Path) -> RunResult | None:
    try:
        return load(path)
    except ResultError:
        return None


@settings(max_examples=100)
@given(data=st.data())
def test_damaged_bytes_never_raise_anything_else(
    path: Path, whole: bytes, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(whole)))
    stop = data.draw(st.integers(start, len(whole)))
    damaged = whole[:start] + data.draw(st.binary(max_size=8)) + whole[stop:]
    path.write_bytes(damaged)
    result = loaded(path)
    if result is not None:  # what loads is whole and consistent
        save(result, path)
        assert load(path) == result


@settings(max_examples=40)
@given(data=st.data())
def test_a_truncated_file_is_refused(path: Path, whole: bytes, data: st.DataObject) -> None:
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 3))])
    with pytest.raises(ResultError, match="truncated"):
        load(path)
