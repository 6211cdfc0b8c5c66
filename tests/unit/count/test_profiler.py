"""Which row an operation lands on, and what ``profile`` does with unusual models and inputs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from support.counting import count, rows_of
from support.neurons import Adaptive, Louder
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, prune, spectral_norm as spectral_norm_by_hook

import snnbench
from snnbench.core.errors import UsageError
from snnbench.count.audit import Audit
from snnbench.nn.neuron import LIF, Neuron
from snnbench.results.counts import OpCount, Role, SideOps

MODES = [torch.enable_grad, torch.no_grad, torch.inference_mode]


class Recurrent(nn.Module):
    """A neuron with lateral weights."""

    def __init__(self) -> None:
        super().__init__()
        self.feed = nn.Parameter(torch.ones(4, 3))
        self.lateral = nn.Parameter(torch.ones(4, 4))

    def forward(self, x: Tensor) -> Tensor:
        v = functional.linear(x, self.feed)
        z = (v > 0.5).to(x.dtype)
        return (v + functional.linear(z, self.lateral) > 0.5).to(x.dtype)


class Chain(Neuron):
    """Neurons made of others."""

    threshold = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = LIF(threshold=0.5), LIF(threshold=0.5)

    def forward(self, x: Tensor) -> Tensor:
        return 1 - self.second(self.first(x))


# -- roles --


def test_neurons_made_of_others_are_one_layer() -> None:
    x = torch.tensor([1.0, 0.0, 1.0]).reshape(1, 1, 3)  # fires 1, 0, 1 inside, 0, 1, 0 outside
    (row,) = count(nn.Sequential(Chain()), x, layout="TN", timesteps=1).neurons
    assert (row.name, row.output_spikes, row.output_sites) == ("0", 1, 3)


def test_only_what_runs_after_the_last_neuron_is_a_readout() -> None:
    model = nn.Sequential(nn.Linear(3, 3), Recurrent(), nn.Linear(4, 2))
    rows = rows_of(count(model, torch.ones(1, 3), neurons=(Recurrent,)))
    assert {name: row.role for name, row in rows.items()} == {
        "0": Role.SYNAPSE,
        "1::feed": Role.SYNAPSE,
        "1::lateral": Role.SYNAPSE,
        "1": Role.NEURON,
        "2": Role.READOUT,
    }


# -- weights that are computed --


def _pruned(layer: nn.Module) -> nn.Module:
    prune.l1_unstructured(layer, "weight", amount=4)
    return layer


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize(
    "computed",
    [
        parametrizations.spectral_norm,
        parametrizations.weight_norm,
        spectral_norm_by_hook,
        _pruned,
    ],
    ids=["spectral_norm", "weight_norm", "spectral_norm_by_hook", "pruned"],
)
@pytest.mark.filterwarnings("ignore:.*spectral_norm.*is deprecated:FutureWarning")
def test_computing_a_weight_is_no_synaptic_operation(
    computed: Callable[[nn.Module], nn.Module], train: bool, mode: Callable[[], Any]
) -> None:
    model = computed(nn.Linear(4, 3)).train(train)
    with mode(), snnbench.profile(model, strict=True) as p:
        model(torch.ones(2, 4))
    (row,) = p.result.layers
    # 2 samples x 4 inputs x 3 outputs; 2 x 3 biases
    assert (row.name, row.effective) == ("(model)", OpCount(acs=24))
    assert row.side == SideOps(bias_adds=6)
    assert row.params == 12
    assert row.nonzero_params == (8 if computed is _pruned else 12)
    assert p.result.samples == 2


def test_a_product_of_two_weights_is_work() -> None:
    class Factors(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Parameter(torch.full((3, 2), 0.5))
            self.b = nn.Parameter(torch.full((2, 4), 0.25))

        def forward(self, x: Tensor) -> Tensor:
            return functional.linear(x, (self.a @ self.b).t())

    # a @ b: 3 * 2 * 4; x @ (a b): 3 inputs, 4 outputs
    assert count(Factors(), torch.ones(1, 3)).dense.synops == 24 + 12


def test_weights_cast_by_autocast_within_a_neuron_keep_their_names() -> None:
    model = Recurrent()
    with torch.autocast("cpu", torch.bfloat16):
        profile = count(model, torch.ones(2, 3), neurons=(Recurrent,))
    rows = rows_of(profile)
    assert rows["(model)::feed"].effective == OpCount(acs=2 * 3 * 4)
    assert rows["(model)::lateral"].effective == OpCount(acs=2 * 4 * 4)


def test_functional_call_swaps_weight_and_bias() -> None:
    class Swapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 4)

        def forward(self, x: Tensor) -> Tensor:
            other = {"weight": torch.eye(4, 3), "bias": torch.ones(4)}
            y: Tensor = torch.func.functional_call(self.fc, other, (x,))
            return y

    (row,) = count(Swapped(), torch.ones(2, 3)).layers
    assert (row.name, row.effective, row.side) == ("fc", OpCount(acs=24), SideOps(bias_adds=8))
    assert row.nonzero_params == 3


def test_a_lazy_layer_is_counted_in_its_first_call() -> None:
    (row,) = count(nn.LazyLinear(3), torch.ones(2, 4)).layers
    assert (row.name, row.params, row.effective) == ("(model)", 12, OpCount(acs=24))


# -- biases and norms --


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("batch_first", [False, True])
def test_the_bias_of_an_in_projection_lies_on_its_row(
    batch_first: bool, mode: Callable[[], Any]
) -> None:
    model = nn.MultiheadAttention(8, 2, batch_first=batch_first)
    x = torch.rand(2, 5, 8)
    with mode(), snnbench.profile(model, strict=True) as p:
        model(x, x, x, need_weights=False)
    rows = rows_of(p.result)
    assert rows["(model)::in_proj_weight"].side == SideOps(bias_adds=2 * 5 * 3 * 8)
    assert rows["(model)::out_proj.weight"].side == SideOps(bias_adds=2 * 5 * 8)
    assert "(model)" not in rows


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("affine", [False, True])
def test_rms_norm_is_a_norm_however_torch_runs_it(affine: bool, mode: Callable[[], Any]) -> None:
    model = nn.RMSNorm(4, elementwise_affine=affine)
    with mode(), snnbench.profile(model, strict=True) as p:
        model(torch.randn(2, 4))
    (row,) = p.result.layers
    assert (row.role, row.side) == (Role.NORM, SideOps(norm_ops=8))


# -- samples --


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (nn.Linear(4, 3), (4,)),
        (nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)), (4,)),
        (nn.Sequential(nn.Conv2d(3, 2, 3), LIF()), (3, 5, 5)),
    ],
    ids=["vector", "two layers", "image into neurons"],
)
def test_an_unbatched_input_has_no_samples(model: nn.Module, shape: tuple[int, ...]) -> None:
    profile = count(model, torch.ones(shape))
    assert profile.samples is None
    assert all(layer.effective_per_sample is None for layer in profile.layers)


def test_an_empty_batch_adds_nothing() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(18, 2))
    with torch.no_grad(), snnbench.profile(model, timesteps=1) as p:
        model(torch.ones(0, 1, 5, 5))
        assert (p.result.samples, p.result.effective) == (0, OpCount())
        model(torch.ones(2, 1, 5, 5))
        model(torch.ones(0, 1, 5, 5))
    assert p.result.samples == 2
    # 9 positions x 9 taps x 2 outputs
    assert p.result.layers[0].effective_per_sample == (162, 162)
    assert p.result.layers[0].effective_per_timestep == (324,)


def test_an_empty_batch_fires_no_neuron() -> None:
    model = nn.Sequential(LIF())
    with torch.no_grad(), snnbench.profile(model, timesteps=3) as p:
        model(torch.zeros(3, 0, 4))
        model(torch.full((3, 2, 4), 2.0))
    (neurons,) = p.result.neurons
    assert neurons.spikes_per_timestep == (8, 8, 8)


def test_unsigned_bytes_are_counted() -> None:
    class Product(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return a @ b

    image = torch.tensor([[0, 1, 255]], dtype=torch.uint8)
    profile = count(Product(), image, torch.full((3, 2), 3, dtype=torch.uint8))
    assert profile.effective == OpCount(acs=2 * 2)  # the second operand is binary


# -- where operations hide --


def test_neurons_of_one_class_are_watched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeing every membrane update from Python would cost more than all counting."""
    seen: list[str] = []
    dispatch = Audit.__torch_dispatch__

    def spy(self: Audit, func: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(str(func))
        return dispatch(self, func, *args, **kwargs)

    monkeypatch.setattr(Audit, "__torch_dispatch__", spy)
    updates = []
    for neurons in (1, 4):
        seen.clear()
        profile = count(nn.Sequential(*(LIF() for _ in range(neurons))), torch.ones(3, 2, 5))
        assert profile.side.membrane_updates == neurons * 3 * 2 * 5
        updates.append(seen.count("aten.gt.Scalar_out"))
    assert updates == [3, 3]


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_a_scripted_part_is_counted_a_scripted_whole_refused() -> None:
    scripted = torch.jit.script(nn.Sequential(nn.Linear(3, 4), nn.ReLU()))
    rows = rows_of(count(nn.Sequential(scripted, nn.Linear(4, 2)), torch.ones(1, 3)))
    assert rows["(model)::0.0.weight"].effective == OpCount(acs=12)
    assert set(rows) == {"(model)::0.0.weight", "1"}
    with pytest.raises(UsageError, match="a scripted model takes no hooks"):
        snnbench.profile(scripted)


def test_compiled_parts_are_refused() -> None:
    model = nn.Sequential(nn.Linear(3, 2))
    model[0].compile()
    with pytest.raises(UsageError, match="compiled model hides its operations"):
        snnbench.profile(model)
    with pytest.raises(UsageError, match="compiled model hides its operations"):
        snnbench.profile(nn.Sequential(torch.compile(nn.Linear(3, 2))))  # type: ignore[call-overload]


def test_a_model_without_values_is_refused() -> None:
    with pytest.raises(UsageError, match="meta device holds no values"):
        snnbench.profile(nn.Linear(3, 2, device="meta"))


def test_calls_in_another_thread_are_reported_not_half_counted() -> None:
    model = nn.Sequential(nn.Linear(3, 2), LIF())
    with torch.no_grad(), snnbench.profile(model) as p:
        thread = threading.Thread(target=model, args=(torch.ones(2, 1, 3),))
        thread.start()
        thread.join()
    assert p.result.layers == ()
    assert any("ran in another thread" in warning for warning in p.result.warnings)


def test_backward_is_not_counted() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    with snnbench.profile(model, strict=True) as p:
        model(torch.ones(2, 3)).sum().backward()
    assert p.result.dense.synops == 2 * (3 * 4 + 4 * 2)


def test_a_result_taken_inside_the_block_does_not_change() -> None:
    model = nn.Linear(3, 2)
    with torch.no_grad(), snnbench.profile(model) as p:
        model(torch.ones(1, 3))
        snapshot = p.result
        model(torch.ones(1, 3))
    assert (snapshot.samples, p.result.samples) == (1, 2)


@pytest.mark.parametrize("neuron", [Adaptive(), Louder(), LIF()])
def test_a_subclass_of_our_neuron_is_recognised_by_its_base(neuron: nn.Module):
    x = torch.ones(3, 2, 4)
    with torch.no_grad():
        spikes = neuron(x)
    row = count(nn.Sequential(neuron, nn.Linear(4, 2)), x).neurons[0]
    assert (row.output_spikes, row.output_sites) == (spikes.count_nonzero(), 24)
    assert row.side.membrane_updates == 24
