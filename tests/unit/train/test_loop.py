"""The loop: it learns, stops where it is told, and goes on as if it had not stopped."""

from __future__ import annotations

import json
import math
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
import torch
from support.train_cases import (
    Patches,
    make_loop,
    shallow_network,
    small_network,
    small_recipe,
)
from torch import Tensor, nn

from snnbench.core.errors import SnnbenchError, UsageError
from snnbench.core.signals import StopRequest
from snnbench.nn.neuron import LIF
from snnbench.train import checkpoint
from snnbench.train.checkpoint import alone
from snnbench.train.divergence import bad_gradient, first_not_finite
from snnbench.train.evaluation import evaluate, spread
from snnbench.train.log import EpochRecord, write_log
from snnbench.train.machine import Machine, launch, lost_processes_explained
from snnbench.train.optimisers import set_state
from snnbench.train.training import train
from snnbench.zoo.weight_files import apply_state, state_sha256


class Signalling(Patches):
    """Sends a signal to this very process when a batch of it is fetched for the n-th time."""

    def __init__(self, fetches: int) -> None:
        super().__init__()
        self.fetches = fetches

    def batch(self, indices: Sequence[int], views: Tensor | None) -> tuple[Tensor, Tensor]:
        self.fetches -= 1
        if self.fetches == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().batch(indices, views)


def sha256(network: nn.Module) -> str:
    return state_sha256(network.state_dict())


@pytest.mark.parametrize("twin", [False, True])
def test_a_network_learns_what_can_be_learnt(tmp_path: Path, twin: bool) -> None:
    # Whether a deep SNN learns 48 images hangs on the seed, and so on the CPU's rounding. A shallow
    # one, and the twin, end below 0.03 of the first loss and at accuracy 1.0 over 14 seeds.
    recipe = small_recipe(
        epochs=8, twin=twin, schedule="cosine", lr=0.02, width=0.125, batch_size=4
    )
    network = small_network(width=0.125, twin=True) if twin else shallow_network()
    job, loop = make_loop(tmp_path, recipe, test=Patches(30), network=network)
    assert loop.run()
    first, *_, last = loop.state.history
    assert last.loss < 0.5 * first.loss
    assert last.test_accuracy is not None
    assert last.test_accuracy > 0.5  # chance is 0.1
    assert loop.state.best == max(r.test_accuracy or 0 for r in loop.state.history)
    assert (last.firing_rate is None) == twin == (last.test_firing_rate is None)
    assert twin or 0 < (last.firing_rate or 0) < 1
    assert not any(isinstance(module, LIF) for module in job.network.modules()) or not twin


@pytest.mark.parametrize(
    ("fetches", "changes"),
    [(1, {}), (4, {"loss": "mse", "optimizer": "Adam", "lr": 0.01}), (9, {})],
)
def test_a_stopped_training_goes_on_to_the_same_weights(
    tmp_path: Path, fetches: int, changes: dict[str, object]
) -> None:
    recipe = small_recipe(**changes)
    whole, loop = make_loop(tmp_path, recipe, test=Patches(11))
    assert loop.run()
    kept = tmp_path / "checkpoints"
    _, broken = make_loop(kept, recipe, train=Signalling(fetches), test=Patches(11))
    assert not broken.run()
    state, tensors, optimiser = checkpoint.load(kept)
    assert (state.epoch, state.step) != (0, 0)
    job, rest = make_loop(
        kept, recipe, state=state, network=small_network(seed=9), test=Patches(11)
    )
    apply_state(job.network, tensors)
    set_state(job.plain_optimizer, job.network, optimiser)
    assert rest.run()
    assert sha256(job.network) == sha256(whole.network)
    for one, other in zip(rest.state.history, loop.state.history, strict=True):
        assert timeless(one) == timeless(other)


def timeless(record: EpochRecord) -> EpochRecord:
    return msgspec.structs.replace(
        record, seconds=0.0, images_per_s=0.0, pipeline_images_per_s=None
    )


def test_checkpoints_are_made_within_an_epoch(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    class Watched(Patches):
        def batch(self, indices: Sequence[int], views: Tensor | None) -> tuple[Tensor, Tensor]:
            if checkpoint.exists(tmp_path):
                state = checkpoint.load(tmp_path)[0]
                seen.append((state.epoch, state.step))
            return super().batch(indices, views)

    _, loop = make_loop(tmp_path, small_recipe(epochs=1), train=Watched(), every_s=0.0)
    assert loop.run()
    assert any(step > 0 for _, step in seen)
    assert checkpoint.load(tmp_path)[0].epoch == 1


def test_without_a_test_part_the_best_epoch_has_the_smallest_loss(tmp_path: Path) -> None:
    _, loop = make_loop(tmp_path, small_recipe())
    assert loop.run()
    assert loop.state.best == -min(record.loss for record in loop.state.history)
    assert all(record.test_accuracy is None for record in loop.state.history)


def test_mixed_precision_keeps_weights_in_float32(tmp_path: Path) -> None:
    job, loop = make_loop(tmp_path, small_recipe(epochs=1, precision="bf16-mixed"))
    assert loop.run()
    _, tensors, momentum = checkpoint.load(tmp_path)
    assert {value.dtype for value in momentum.values()} == {torch.float32}
    assert state_sha256(tensors) == sha256(job.network)
    assert math.isfinite(loop.state.history[0].loss)


def test_divergence_names_the_step_and_the_first_layer(tmp_path: Path) -> None:
    network = small_network()
    job, loop = make_loop(tmp_path, small_recipe(), network=network)
    with torch.no_grad():
        network.get_parameter("block2.0.synapses.1.conv.weight")[0, 0, 0, 0] = math.inf
    message = r"at epoch 1, step 1 .* the weight of layer 'block2.0.synapses.1.conv'; .*--lr"
    with pytest.raises(SnnbenchError, match=message):
        loop.run()
    assert not checkpoint.exists(job.folder)


def test_the_first_layer_is_that_of_the_forward_order() -> None:
    class Late(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(2, 2)
            self.first = nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.first(x) * 1e30 * 1e30)

    network = Late()
    assert first_not_finite(network, torch.ones(1, 2)) == "the output of layer 'last'"
    assert first_not_finite(network, torch.full((1, 2), math.nan)) == "the input"
    nn.init.constant_(network.first.bias, math.nan)
    assert first_not_finite(network, torch.ones(1, 2)) == "the bias of layer 'first'"
    assert first_not_finite(nn.Sequential(nn.ReLU()), torch.ones(1)) is None


def test_a_gradient_that_is_not_finite_is_named() -> None:
    network = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    network[0].weight.grad = torch.tensor([[math.inf]])
    assert bad_gradient(network) == "the gradient of '0.weight'"
    network[1].bias.grad = torch.tensor([math.nan])
    assert bad_gradient(network) == "the gradient of '1.bias'"
    assert bad_gradient(nn.Linear(1, 1)) is None


class Constant(nn.Module):
    """Always the same ranking of classes: 0 first, 1 second, ..."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.scores = nn.Parameter(-torch.arange(float(classes)))

    def forward(self, x: Tensor) -> Tensor:
        return self.scores.expand(len(x), -1)


@pytest.mark.parametrize(
    ("samples", "limit", "tested", "correct"), [(23, None, 23, 3), (23, 99, 23, 3), (40, 4, 4, 4)]
)
def test_an_evaluation_counts_exactly(
    samples: int, limit: int | None, tested: int, correct: int
) -> None:
    data = Patches(samples)
    scores = evaluate(
        Constant(10), data, launch(Machine(threads=1)), batch_size=5, threads=1, samples=limit
    )
    assert (scores.samples, scores.correct) == (tested, correct)
    assert scores.correct_top5 is None  # ten classes
    assert scores.firing_rate is None
    assert scores.interval[0] < scores.accuracy <= scores.interval[1]


def test_many_classes_have_a_top_five() -> None:
    data = Patches(30)
    data.classes = 11  # type: ignore[misc]
    scores = evaluate(Constant(11), data, launch(Machine(threads=1)), batch_size=7, threads=2)
    assert (scores.correct, scores.correct_top5) == (3, 15)


def test_spread_keeps_sorted_classes_mixed() -> None:
    assert spread(10, 4) == [0, 2, 5, 7]
    assert spread(3, None) == spread(3, 3) == spread(3, 4) == [0, 1, 2]


def test_a_batch_larger_than_the_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--batch-size 49 .* 48 training samples; .* at most 48"):
        make_loop(tmp_path, small_recipe(batch_size=49))
    with pytest.raises(UsageError, match="more than the 5 training samples"):
        make_loop(tmp_path, small_recipe(limit_train=5))


def test_the_view_that_trains_shares_every_tensor(tmp_path: Path) -> None:
    recipe = small_recipe(precision="64-true")
    job, _ = make_loop(tmp_path, recipe)
    ours = job.network.state_dict()
    for name, value in job.model.state_dict().items():
        assert value.data_ptr() == ours[name].data_ptr(), name
        assert value.dtype in (torch.float64, torch.int64)


@pytest.mark.parametrize(
    ("machine", "message"),
    [
        (Machine(device="tpu"), "unknown device 'tpu'"),
        (Machine(device="cuda:99"), "cuda:99 is not available"),
        (Machine(devices=0), "--devices must be at least 1"),
        (Machine(num_nodes=-1), "--num-nodes must be at least 1"),
        (Machine(device="cpu:1"), "unknown device 'cpu:1'"),
        (Machine(threads=0), "--threads must be at least 1, got 0"),
        (Machine(threads=10**12), "--threads must be at most 1024"),
    ],
)
def test_a_machine_that_cannot_be_is_one_line(machine: Machine, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        launch(machine)


def test_a_number_of_processes_that_torchrun_contradicts_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # else each process would train alone, all of them into one folder
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="--devices is 1, but torchrun's LOCAL_WORLD_SIZE is 2"):
        launch(Machine(devices=1))


def test_a_lost_process_is_one_line() -> None:
    message = "[gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:19602"
    with (
        pytest.raises(SnnbenchError, match="another process of this command has ended"),
        lost_processes_explained(),
    ):
        raise RuntimeError(message)
    with pytest.raises(RuntimeError, match="size of tensor"), lost_processes_explained():
        raise RuntimeError("size of tensor")


def test_a_folder_is_of_one_training_at_a_time(tmp_path: Path) -> None:
    with alone(tmp_path):
        with pytest.raises(UsageError, match="another training is writing to"), alone(tmp_path):
            pass
        with pytest.raises(UsageError, match="another training is writing to"):
            train(small_recipe(epochs=1), Machine(threads=1), tmp_path)
    with alone(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] in ([], [".training.lock"])


def test_half_precision_needs_a_gpu() -> None:
    with pytest.raises(UsageError, match="16-mixed needs a GPU"):
        launch(Machine(), "16-mixed")


def test_the_second_signal_interrupts() -> None:
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_log_holds_every_epoch_once(tmp_path: Path) -> None:
    _, loop = make_loop(tmp_path, small_recipe())
    assert loop.run()
    for length in (1, 2):
        write_log(loop.state.history[:length], tmp_path)
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]
    header, *rows = (tmp_path / "log.csv").read_text().splitlines()
    assert header.startswith("epoch,lr,loss,")
    assert [row.partition(",")[0] for row in rows] == ["1", "2"]
