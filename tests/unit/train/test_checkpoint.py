"""Checkpoints: complete or refused, and always one to go on from."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import torch
from support.train_cases import first_state, small_network, small_recipe

from snnbench.core.errors import OutputError, UsageError
from snnbench.train import checkpoint, optimisers
from snnbench.train.checkpoint import State, Sums
from snnbench.train.log import EpochRecord
from snnbench.zoo.weight_files import state_sha256

RECORD = EpochRecord(
    epoch=1,
    lr=0.1,
    loss=1 / 3,
    train_accuracy=0.1,
    firing_rate=None,
    samples=8,
    seconds=0.7,
    images_per_s=8 / 0.7,
    pipeline_images_per_s=None,
)


def state_at(step: int) -> State:
    return msgspec.structs.replace(
        first_state(small_recipe()), step=step, sums=Sums(loss=0.1 + 0.2), history=(RECORD,)
    )


@pytest.fixture
def network() -> torch.nn.Module:
    return small_network()


def trained(network: torch.nn.Module) -> torch.optim.Optimizer:
    sgd = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    for _ in range(2):
        sgd.zero_grad()
        network(torch.randn(2, 3, 32, 32)).square().sum().backward()
        sgd.step()
    return sgd


def test_what_is_saved_is_loaded_bit_by_bit(tmp_path: Path, network: torch.nn.Module) -> None:
    sgd = trained(network)
    momentum = optimisers.state_of(sgd, network)
    checkpoint.save(tmp_path, state_at(3), network, momentum)
    state, weights, found = checkpoint.load(tmp_path)
    assert msgspec.structs.replace(state, files={}) == state_at(3)
    assert state_sha256(weights) == state_sha256(network.state_dict())
    assert state_sha256(found) == state_sha256(momentum)
    other = small_network(seed=5)
    fresh = torch.optim.SGD(other.parameters(), lr=0.1, momentum=0.9)
    assert optimisers.state_of(fresh, other) == {}
    optimisers.set_state(fresh, other, found)
    again = optimisers.state_of(fresh, other)
    assert state_sha256(again) == state_sha256(momentum)
    assert all(again[name].stride() == value.stride() for name, value in momentum.items())


def test_the_one_before_is_kept_and_found_when_the_last_is_missing(
    tmp_path: Path, network: torch.nn.Module
) -> None:
    (tmp_path / ".killed.tmp").mkdir()
    for step in range(1, 4):
        checkpoint.save(tmp_path, state_at(step), network, {})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last", "previous"]
    assert checkpoint.load(tmp_path)[0].step == 3
    shutil.rmtree(tmp_path / "last")  # as if killed between the two renamings
    assert checkpoint.load(tmp_path)[0].step == 2


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("harm", [truncated, flipped, Path.unlink])
@pytest.mark.parametrize("name", ["weights.safetensors", "optimiser.safetensors"])
def test_a_damaged_file_is_named_with_what_to_do(
    tmp_path: Path, network: torch.nn.Module, name: str, harm: Callable[[Path], None]
) -> None:
    checkpoint.save(tmp_path, state_at(1), network, {})
    checkpoint.save(tmp_path, state_at(2), network, {})
    harm(tmp_path / "last" / name)
    with pytest.raises(UsageError, match=f"last/{name} is damaged .*; delete .*last to continue"):
        checkpoint.load(tmp_path)
    shutil.rmtree(tmp_path / "last")
    assert checkpoint.load(tmp_path)[0].step == 1


@pytest.mark.parametrize("harm", [truncated, Path.unlink])
def test_a_damaged_state_without_another_says_to_start_again(
    tmp_path: Path, network: torch.nn.Module, harm: Callable[[Path], None]
) -> None:
    checkpoint.save(tmp_path, state_at(1), network, {})
    harm(tmp_path / "last" / "state.json")
    with pytest.raises(UsageError, match=r"state.json is damaged .*without --resume"):
        checkpoint.load(tmp_path)


def test_no_checkpoint_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no checkpoint in .* to resume"):
        checkpoint.load(tmp_path)


def test_a_folder_that_cannot_be_written_is_one_line(
    tmp_path: Path, network: torch.nn.Module
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write checkpoint"):
        checkpoint.save(tmp_path / "file", state_at(1), network, {})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipe": small_recipe(lr=0.7)}, r"recipe: lr 0.1, not 0.7"),
        ({"recipe": small_recipe(width=0.125, seed=2)}, "width .*; recipe: seed 0, not 2"),
        ({"train_sha256": "6" * 64}, "training data .* 555555555555, not 666666666666"),
        ({"test_sha256": None}, "test data"),
        ({"benchmark_version": "0" * 64}, "card or source of the network"),
        ({"processes": 2}, "processes 1, not 2"),
    ],
)
def test_another_training_is_refused(change: dict[str, object], message: str) -> None:
    state = state_at(1)
    with pytest.raises(UsageError, match=message):
        checkpoint.check_same(state, msgspec.structs.replace(state, **change))


def test_epochs_may_grow_but_not_below_what_is_done() -> None:
    for step, least in ((0, 2), (1, 3)):  # weights within an epoch are not those of its record
        state = msgspec.structs.replace(state_at(step), history=(RECORD,) * 2)
        for epochs in (1, 2, 3, 50):
            ours = msgspec.structs.replace(state, recipe=small_recipe(epochs=epochs))
            if epochs >= least:
                checkpoint.check_same(state, ours)
            else:
                with pytest.raises(UsageError, match=f"{epochs}, but {least} are done or begun"):
                    checkpoint.check_same(state, ours)


def test_a_gradient_scaler_goes_on(tmp_path: Path, network: torch.nn.Module) -> None:
    def step(scaler: torch.amp.GradScaler) -> None:
        parameter = torch.nn.Parameter(torch.ones(1))
        scaler.scale(parameter.sum()).backward()
        scaler.step(torch.optim.SGD([parameter], lr=0.1))
        scaler.update()

    scaler, other = (torch.amp.GradScaler("cpu") for _ in range(2))
    step(scaler)
    state = msgspec.structs.replace(state_at(1), scaler=scaler.state_dict())
    checkpoint.save(tmp_path, state, network, {})
    other.load_state_dict(dict(checkpoint.load(tmp_path)[0].scaler))
    assert other.state_dict() == scaler.state_dict()
    step(other)  # torch takes no float for a count
    assert other.state_dict()["_growth_tracker"] == 2


def test_a_state_that_names_no_hash_is_refused(tmp_path: Path, network: torch.nn.Module) -> None:
    checkpoint.save(tmp_path, state_at(1), network, {})
    path = tmp_path / "last" / "state.json"
    path.write_bytes(msgspec.json.encode(state_at(1)))
    with pytest.raises(UsageError, match=r"weights.safetensors is damaged"):
        checkpoint.load(tmp_path)


def test_momentum_of_another_network_is_refused() -> None:
    network = small_network()
    sgd = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    with pytest.raises(UsageError, match="optimiser state nobody:exp_avg does not fit"):
        optimisers.set_state(sgd, network, {"nobody:exp_avg": torch.zeros(1)})
