from dataclasses import FrozenInstanceError

import pytest
import torch
from support.neurons import Adaptive, Louder, Named

from snnbench.core.errors import UsageError
from snnbench.nn.functional import lif_step, spike
from snnbench.nn.neuron import IF, LIF, Neuron
from snnbench.nn.neuron_spec import NeuronSpec


def one_neuron(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).reshape(-1, 1)


def test_lif_follows_equations_1_to_3_by_hand():
    # u: 0.8 | 0.25*0.8 + 0.9 = 1.1 fires, reset | 1.0 does not exceed V_th
    #    | 0.25*1 + 0.75 = 1.0 neither | 0.25*1 + 0.76 = 1.01 fires
    spikes = LIF()(one_neuron(0.8, 0.9, 1.0, 0.75, 0.76))
    assert spikes.flatten().tolist() == [0, 1, 0, 0, 1]


def test_if_integrates_without_leak_and_resets_to_zero():
    # u: 0.5 | 1.0 | 1.5 fires | 0.5 | 1.0 | 1.5 fires
    assert IF()(one_neuron(*[0.5] * 6)).flatten().tolist() == [0, 0, 1, 0, 0, 1]


def test_threshold_is_the_module_s():
    assert LIF(threshold=2.0)(one_neuron(2.0, 2.0)).flatten().tolist() == [0, 1]


def test_lif_step_returns_the_potential_after_the_reset():
    spikes, v = lif_step(torch.tensor([0.5, 1.25]), torch.tensor([1.0, 1.0]), decay=0.5)
    assert spikes.tolist() == [0, 1]
    assert v.tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("width", "expected"), [(1.0, [0, 1, 1, 1, 0, 0]), (2.0, [0.5] * 6), (0.5, [0, 0, 2, 0, 0, 0])]
)
def test_surrogate_is_the_rectangular_window_of_equation_16(width: float, expected: list[float]):
    u = torch.tensor([0.49, 0.51, 1.0, 1.49, 1.5, 1.51], requires_grad=True)
    spike(u, surrogate_width=width).sum().backward()
    assert u.grad is not None
    assert u.grad.tolist() == expected


def test_gradient_flows_through_time_and_through_the_reset():
    # o1 = spike(0.25 * u0 * (1 - o0) + x1), both potentials inside the window, o0 = 0:
    # do1/dx0 = 0.25 * ((1 - o0) - u0 * do0/du0) = 0.25 * (1 - 0.8) = 0.05
    x = one_neuron(0.8, 0.9).requires_grad_()
    LIF()(x)[1].sum().backward()
    assert x.grad is not None
    assert x.grad.flatten().tolist() == pytest.approx([0.05, 1.0])


@pytest.mark.parametrize("decay", [0.0, 0.25, 0.9, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_inference_and_training_give_the_same_spikes(decay: float, dtype: torch.dtype):
    x = torch.randn(5, 2, 3, 7, 7, generator=torch.Generator().manual_seed(0)).to(dtype)
    lif = LIF(decay=decay)
    trained = lif(x.clone().requires_grad_())
    inferred = lif(x)
    assert trained.requires_grad
    assert inferred.dtype == dtype
    assert torch.equal(trained, inferred)
    assert 0 < inferred.count_nonzero() < inferred.numel()


def test_call_leaves_module_and_input_untouched_and_keeps_no_state():
    x = torch.rand(4, 2, 3, generator=torch.Generator().manual_seed(0)) * 2
    kept, lif = x.clone(), LIF()
    before = dict(vars(lif))
    first = lif(x)
    assert torch.equal(first, lif(x))
    assert torch.equal(x, kept)
    assert vars(lif) == before
    assert not lif.state_dict()


def test_samples_do_not_influence_each_other():
    x = torch.rand(4, 3, 2, 5, 5, generator=torch.Generator().manual_seed(0)) * 2
    together = LIF()(x)
    alone = torch.cat([LIF()(x[:, n : n + 1]) for n in range(3)], dim=1)
    assert torch.equal(together, alone)


@pytest.mark.parametrize(
    "layout",
    [
        lambda x: x.flatten(0, 1).to(memory_format=torch.channels_last).unflatten(0, x.shape[:2]),
        lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
    ],
    ids=["channels_last", "batch_first"],
)
def test_memory_layout_does_not_matter(layout):
    x = torch.rand(4, 2, 3, 5, 5, generator=torch.Generator().manual_seed(0)) * 2
    assert torch.equal(LIF()(layout(x)), LIF()(x))


def test_repeated_frames_may_share_memory():
    frame = torch.full((1, 2), 0.9)
    # u: 0.9 | 0.225 + 0.9 = 1.125 fires | 0.9
    assert LIF()(frame.expand(3, 1, 2))[:, 0, 0].tolist() == [0, 1, 0]
    assert frame.tolist() == [[pytest.approx(0.9)] * 2]


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"decay": 1.5}, r"decay must lie in \[0, 1\], got 1.5"),
        ({"decay": float("nan")}, r"decay must lie in \[0, 1\], got nan"),
        ({"threshold": 0.0}, "must be positive, got 0.0 and 1.0"),
        ({"surrogate_width": -1.0}, "must be positive, got 1.0 and -1.0"),
    ],
)
def test_constants_out_of_range_are_refused(constants: dict[str, float], message: str):
    with pytest.raises(UsageError, match=message):
        LIF(**constants)


def test_the_spec_has_the_constants_and_cannot_be_changed():
    spec = LIF(decay=0.5, threshold=2.0, surrogate_width=3.0).spec
    assert spec == NeuronSpec(decay=0.5, threshold=2.0, surrogate_width=3.0)
    assert IF(threshold=2.0).spec == NeuronSpec(threshold=2.0, surrogate_width=1.0)
    with pytest.raises(FrozenInstanceError):
        spec.decay = 1.0  # type: ignore[misc]


def test_the_spec_follows_the_neuron():
    lif = LIF()
    lif.threshold = torch.tensor(0.5)
    assert lif.spec.threshold == 0.5
    lif.threshold = torch.tensor([0.5, 1.0]).view(2, 1, 1)
    assert lif.spec is None


class _Mixin:
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class _Mixed(_Mixin, LIF):
    pass


class _Described(Louder):
    @property
    def spec(self) -> NeuronSpec:
        return NeuronSpec(reset="none")


def test_a_spec_belongs_to_one_forward():
    assert Named(decay=0.5).spec == LIF(decay=0.5).spec
    assert Adaptive().spec is None
    assert Louder().spec is None  # with another forward than the LIF it inherits from
    assert _Mixed().spec is None
    assert _Described().spec == NeuronSpec(reset="none")


def test_a_neuron_needs_a_forward():
    with pytest.raises(NotImplementedError, match="forward"):
        Neuron()(torch.zeros(1, 1))
