"""Weights: what is read, what is refused, and what the hash depends on."""

from __future__ import annotations

import hashlib
import pickle
import struct
from collections import OrderedDict
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor, nn

from snnbench.core.errors import OutputError, WeightsError
from snnbench.zoo.weight_files import (
    apply_state,
    load_metadata,
    load_state,
    save_state,
    state_sha256,
)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 3))


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_safetensors_round_trip_with_metadata(tmp_path: Path) -> None:
    model = network()
    path = tmp_path / "w.safetensors"
    save_state(model, path, {"accuracy": "97.1 %", "data": "digits"})
    assert equal(load_state(path), dict(model.state_dict()))
    assert load_metadata(path) == {"accuracy": "97.1 %", "data": "digits"}
    assert list(tmp_path.iterdir()) == [path]


def test_tied_and_transposed_tensors_are_saved(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    model[0].bias = nn.Parameter(torch.arange(9.0).reshape(3, 3).T[0])
    path = tmp_path / "w.safetensors"
    save_state(model, path, {})
    assert equal(load_state(path), dict(model.state_dict()))


def test_saving_elsewhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"name the file w\.safetensors"):
        save_state(network(), tmp_path / "w.pt", {})
    with pytest.raises(OutputError, match=r"no folder .*missing; create it first"):
        save_state(network(), tmp_path / "missing" / "w.safetensors", {})


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt"])
@pytest.mark.parametrize("legacy", [False, True])
def test_checkpoints_are_unwrapped(tmp_path: Path, suffix: str, legacy: bool) -> None:
    state = dict(network().state_dict())
    path = tmp_path / f"w{suffix}"
    for wrapped in (
        state,
        {"state_dict": state, "epoch": 3},
        {"model": state, "optimizer": {"lr": 0.1}},
        {"model": {"state_dict": OrderedDict(state)}},
        {"state_dict": {f"module.{name}": value for name, value in state.items()}},
    ):
        torch.save(wrapped, path, _use_new_zipfile_serialization=not legacy)
        assert equal(load_state(path), state)


def test_a_module_prefix_of_some_names_stays(tmp_path: Path) -> None:
    state = {"module.a": torch.zeros(1), "b": torch.ones(1)}
    torch.save(state, tmp_path / "w.pt")
    assert load_state(tmp_path / "w.pt").keys() == state.keys()


def test_pickles_with_more_than_tensors_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save(network(), path)
    found = r"found GLOBAL torch\.nn\.modules\.container\.Sequential"
    with pytest.raises(WeightsError, match=rf"more than plain tensors \({found}\); convert it"):
        load_state(path)


def test_a_pickle_that_runs_code_does_not_run(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.mkdir, (tmp_path / "ran",)

    (tmp_path / "w.pt").write_bytes(pickle.dumps({"a": Payload()}, protocol=2))
    with pytest.raises(WeightsError, match="more than plain tensors"):
        load_state(tmp_path / "w.pt")
    assert not (tmp_path / "ran").exists()


def test_torchscript_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), path)
    with pytest.raises(WeightsError, match="found a TorchScript program"):
        load_state(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": torch.zeros(1), "epoch": 3}, "entry 'epoch' is a int; save model.state_dict"),
        ({1: torch.zeros(1)}, "entry 1 is a Tensor"),
        ({"a": torch.eye(2).to_sparse()}, "not a state dict of dense tensors: entry 'a'"),
        (torch.zeros(2), "hold no state dict of tensors"),
        ([torch.zeros(2)], "hold no state dict of tensors"),
        ({}, "hold no state dict of tensors"),
        ({"state_dict": {}}, "hold no state dict of tensors"),
    ],
)
def test_other_contents_are_refused(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=message):
        load_state(tmp_path / "w.pt")


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
def test_files_that_are_none(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for read in (load_state, load_metadata):
        with pytest.raises(WeightsError, match=f"{name} do not exist"):
            read(path)
    path.mkdir()
    with pytest.raises(WeightsError, match="are not a file"):
        load_state(path)
    path.rmdir()
    path.touch()
    with pytest.raises(WeightsError, match="are empty"):
        load_state(path)
    with pytest.raises(WeightsError, match=r"unknown extension; known: \.safetensors, \.pt"):
        load_state(Path(__file__))


@settings(max_examples=60)
@given(st.data())
def test_damaged_files_are_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = (
        tmp_path_factory.getbasetemp() / f"w{data.draw(st.sampled_from(['.pt', '.safetensors']))}"
    )
    state = dict(network().state_dict())
    if path.suffix == ".pt":
        torch.save(state, path, _use_new_zipfile_serialization=data.draw(st.booleans()))
    else:
        safetensors.torch.save_file(state, path)
    whole = path.read_bytes()
    cut = whole[: data.draw(st.integers(1, len(whole) - 1))]
    path.write_bytes(data.draw(st.sampled_from([cut, cut[::-1], data.draw(st.binary(min_size=1))])))
    with pytest.raises(WeightsError) as caught:
        load_state(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_apply_takes_every_value(tmp_path: Path) -> None:
    source, target = network(), network()
    with torch.no_grad():
        for value in source.state_dict().values():
            value.add_(1)
    apply_state(target, source.state_dict())
    assert equal(dict(target.state_dict()), dict(source.state_dict()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("0.bias"), r"1 missing: 0\.bias;"),
        (lambda s: s.update(x=torch.zeros(1)), "1 unexpected: x;"),
        (
            lambda s: s.update({"2.weight": torch.zeros(3, 5)}),
            r"1 of another shape: 2\.weight \[3, 5\] for \[3, 4\]",
        ),
        (
            lambda s: s.update({"2.bias": torch.zeros(3, dtype=torch.complex64)}),
            r"1 of another kind: 2\.bias torch\.complex64 for torch\.float32",
        ),
        (lambda s: s["0.weight"].view(-1)[0].fill_(torch.nan), r"1 not finite: 0\.weight"),
        (lambda s: s["0.bias"][0].fill_(-torch.inf), r"1 not finite: 0\.bias"),
        (
            lambda s: s.update({"0.bias": torch.full((4,), 1e300, dtype=torch.float64)}),
            r"1 not finite: 0\.bias",
        ),
        (lambda s: s.clear(), r"9 missing: 0\.weight, 0\.bias, 1\.weight and 6 more"),
    ],
)
def test_a_state_that_does_not_fit_leaves_the_model_alone(change: object, message: str) -> None:
    model = network()
    before = state_sha256(model.state_dict())
    state = {name: value + 1 for name, value in model.state_dict().items()}
    change(state)  # type: ignore[operator]
    with pytest.raises(WeightsError, match=message):
        apply_state(model, state)
    assert state_sha256(model.state_dict()) == before


def test_the_hash_is_of_the_values() -> None:
    state = dict(network().state_dict())
    reference = state_sha256(state)
    assert state_sha256(dict(reversed(state.items()))) == reference
    strided = state | {"2.weight": state["2.weight"].T.contiguous().T}
    assert not strided["2.weight"].is_contiguous()
    assert state_sha256(strided) == reference
    for other in (
        state | {"2.weight": state["2.weight"] + 1e-7},
        state | {"2.weight": state["2.weight"].reshape(4, 3)},
        state | {"2.weight": state["2.weight"].view(torch.int32)},
        {("y" if name == "2.weight" else name): value for name, value in state.items()},
    ):
        assert state_sha256(other) != reference


def test_the_hash_stays_what_it_was() -> None:
    state = {"b": torch.tensor([1, -2], dtype=torch.int8), "a": torch.tensor(0.5)}
    written_out = (
        b'["a", "torch.float32", []]\n' + struct.pack("<f", 0.5),
        b'["b", "torch.int8", [2]]\n' + b"\x01\xfe",
    )
    assert state_sha256(state) == hashlib.sha256(b"".join(written_out)).hexdigest()


@pytest.mark.parametrize(
    "dtype",
    [torch.bfloat16, torch.float16, torch.float64, torch.int64, torch.bool, torch.complex64],
)
def test_every_type_and_size_has_a_hash(dtype: torch.dtype) -> None:
    values = [torch.zeros(shape, dtype=dtype) for shape in ((), (0,), (3,), (2, 3))]
    assert len({state_sha256({"a": value}) for value in values}) == len(values)
    one = torch.ones(2, dtype=dtype)
    assert state_sha256({"a": one}) != state_sha256({"a": torch.zeros_like(one)})
