"""What ``profile`` leaves behind (nothing), and what it says when it cannot count."""

from __future__ import annotations

import copy
import pickle
from contextlib import ExitStack, suppress

import pytest
import torch
from support.counting import rows_of
from torch import Tensor, nn
from torch.utils._python_dispatch import _get_current_dispatch_mode

import snnbench
from snnbench.core.errors import UncountedOperationError, UsageError
from snnbench.count.rules import RULES, rule
from snnbench.nn.neuron import LIF


class Net(nn.Module):
    """A convolution, a neuron that may raise, a readout."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1)
        self.bn = nn.BatchNorm2d(2)
        self.lif = LIF()
        self.fc = nn.Linear(2 * 4 * 4, 3)
        self.error: BaseException | None = None

    def forward(self, x: Tensor) -> Tensor:
        x = self.lif(self.bn(self.conv(x))[None])[0]
        if self.error is not None:
            raise self.error
        y: Tensor = self.fc(x.flatten(1))
        return y


def hooks_of(model: nn.Module) -> list[int]:
    return [
        len(hooks)
        for module in model.modules()
        for hooks in (
            module._forward_hooks,
            module._forward_pre_hooks,
            module._forward_hooks_always_called,
            module._forward_hooks_with_kwargs,
            module._forward_pre_hooks_with_kwargs,
        )
    ]


def test_the_model_comes_back_untouched() -> None:
    model, x = Net().train(), torch.rand(2, 1, 4, 4)
    before, attributes = copy.deepcopy(model.state_dict()), sorted(vars(model))
    random = torch.get_rng_state()
    with snnbench.profile(model), torch.no_grad():
        model(x)
    assert torch.equal(torch.get_rng_state(), random)
    with torch.no_grad():
        expected = copy.deepcopy(Net())
        expected.load_state_dict(before)
        expected.train()(x)  # the same training step of the batch norm, and no other
    after = model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in expected.state_dict().items())
    assert sorted(vars(model)) == attributes
    assert model.training
    assert not any(hooks_of(model))
    pickle.loads(pickle.dumps(model))


@pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt()])
def test_an_exception_in_forward_leaves_nothing_behind(error: BaseException) -> None:
    model, x = Net().eval(), torch.rand(2, 1, 4, 4)
    fastpath = torch.backends.mha.get_fastpath_enabled()
    model.error = error
    with pytest.raises(type(error)), snnbench.profile(model):
        model(x)
    assert not any(hooks_of(model))
    assert _get_current_dispatch_mode() is None
    assert torch.backends.mha.get_fastpath_enabled() == fastpath
    model.error = None
    with snnbench.profile(model, timesteps=1) as p, torch.no_grad():
        model(x)
    assert p.result.samples == 2


def test_ctrl_c_within_a_neuron_that_is_not_watched_leaves_nothing_behind() -> None:
    """A class of neurons is watched once; hooks that always run do not run for Ctrl-C."""
    model, x = Net().eval(), torch.rand(2, 1, 4, 4)

    def interrupt(*_: object) -> None:
        assert _get_current_dispatch_mode() is None, "it is watched; the test shows nothing"
        raise KeyboardInterrupt

    def call_twice() -> None:
        with snnbench.profile(model), torch.no_grad():
            model(x)
            with model.lif.register_forward_pre_hook(interrupt):
                model(x)

    fastpath = torch.backends.mha.get_fastpath_enabled()
    with pytest.raises(KeyboardInterrupt):
        call_twice()
    assert not any(hooks_of(model))
    assert _get_current_dispatch_mode() is None
    assert torch.backends.mha.get_fastpath_enabled() == fastpath


def test_ctrl_c_that_is_caught_hides_no_later_call() -> None:
    model, x = Net().eval(), torch.rand(2, 1, 4, 4)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with torch.no_grad(), snnbench.profile(model) as p:
        model(x)
        with model.lif.register_forward_pre_hook(interrupt), suppress(KeyboardInterrupt):
            model(x)
        model(x)
    conv = rows_of(p.result)["conv"]
    # 2 images, 2 channels; a row or column of 4 is met by 3 * 4 - 2 = 10 taps; all three calls
    assert (conv.calls, conv.effective.macs) == (3, 3 * 2 * 2 * 10 * 10)


def test_ctrl_c_while_hooks_are_set_leaves_none(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Net()

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(model.fc, "register_forward_hook", interrupt)
    fastpath = torch.backends.mha.get_fastpath_enabled()
    with pytest.raises(KeyboardInterrupt), snnbench.profile(model):
        pytest.fail("the profile began")
    assert not any(hooks_of(model))
    assert torch.backends.mha.get_fastpath_enabled() == fastpath


def test_profiles_may_end_in_another_order_than_they_began() -> None:
    model, x = Net().eval(), torch.rand(2, 1, 4, 4)
    with ExitStack() as first, ExitStack() as second, torch.no_grad():
        first.enter_context(snnbench.profile(model))
        p = second.enter_context(snnbench.profile(model))
        first.close()
        model(x)
    assert rows_of(p.result)["conv"].effective.macs
    assert _get_current_dispatch_mode() is None


def test_a_caught_exception_does_not_shift_the_names() -> None:
    class Tolerant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Net().eval()
            self.inner.error = ValueError("caught outside")
            self.last = nn.Linear(4, 2, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            with suppress(ValueError):
                self.inner(x)
            y: Tensor = self.last(x)
            return y

    with snnbench.profile(model := Tolerant()) as p, torch.no_grad():
        model(torch.ones(1, 1, 4, 4))
    assert rows_of(p.result)["last"].effective.acs == 4 * 4 * 2


def test_two_models_at_once_and_one_model_twice() -> None:
    first, second, x = nn.Linear(3, 2), nn.Linear(3, 4), torch.ones(1, 3)
    with torch.no_grad(), snnbench.profile(first) as a, snnbench.profile(second) as b:
        second(first(x) @ torch.zeros(2, 3) + 1)
    assert a.result.effective.acs == 6
    assert b.result.effective.acs == 12
    with torch.no_grad(), snnbench.profile(first) as outer, snnbench.profile(first) as inner:
        first(x)
    assert outer.result.effective == inner.result.effective


def test_a_custom_kernel_is_listed_fatal_under_strict_and_countable() -> None:
    library = torch.library.Library("snnbench_test", "DEF")
    library.define("mystery(Tensor x) -> Tensor")
    library.impl("mystery", lambda x: x * 2, "CompositeExplicitAutograd")

    class Mystery(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = torch.ops.snnbench_test.mystery(x)
            return y

    model, x = Mystery(), torch.ones(2, 3)
    with snnbench.profile(model) as p:
        model(x)
    (gap,) = p.result.uncounted
    assert (gap.module, gap.operation, gap.calls) == ("(model)", "snnbench_test.mystery", 1)
    assert gap.macs is None
    assert p.result.coverage is None
    with (
        pytest.raises(UncountedOperationError, match=r"snnbench_test\.mystery in module \(model\)"),
        snnbench.profile(model, strict=True),
    ):
        model(x)
    try:
        rule("snnbench_test.mystery")(
            lambda audit, op: audit.add_side("elementwise_muls", op.out.numel())
        )
        with snnbench.profile(model, strict=True) as p:
            model(x)
        assert p.result.side.elementwise_muls == 6
    finally:
        del RULES["snnbench_test.mystery"]
        library._destroy()


def test_a_name_has_one_rule() -> None:
    with pytest.raises(ValueError, match="'mm' has a counting rule already"):
        rule("mm")(lambda audit, op: None)


def test_an_input_without_batch_axis_has_no_samples() -> None:
    conv = nn.Conv2d(3, 2, 3)
    with snnbench.profile(conv) as p, torch.no_grad():
        conv(torch.ones(3, 5, 5))
    assert p.result.samples is None
    assert p.result.effective.acs == 3 * 2 * 9 * 9
    assert p.result.layers[0].effective_per_sample is None


def test_samples_are_not_told_apart_where_timesteps_may_lie_between_them() -> None:
    """A static image repeated over time: its neurons see [T, N, ...], and nobody has said T."""

    class Repeats(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 1, bias=False)
            self.lif = LIF(threshold=0.5)

        def forward(self, x: Tensor) -> Tensor:
            spikes: Tensor = self.lif(self.conv(x).expand(2, *x.shape))
            return spikes.mean(0)

    model, x = Repeats().eval(), torch.tensor([0.0, 1.0, 1.0, 0.0]).view(4, 1, 1, 1)
    nn.init.ones_(model.conv.weight)
    told = {}
    for T in (None, 2):
        with snnbench.profile(model, timesteps=T) as p, torch.no_grad():
            model(x)
        told[T] = rows_of(p.result)["lif"].spikes_per_sample
    assert told == {None: None, 2: (0, 2, 2, 0)}


def test_a_declared_batch_size_settles_what_shapes_leave_open() -> None:
    """[4, 1, ...] with T = 4 may be four images or four frames of one recording."""

    class Repeat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lif = LIF()

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.lif(x.expand(4, *x.shape))
            return y

    model = Repeat()
    with snnbench.profile(model, timesteps=4, batch_size=4) as p, torch.no_grad():
        model(torch.full((4, 1, 2, 2), 2.0))
    assert p.result.samples == 4
    assert p.result.layers[0].spikes_per_sample == (16, 16, 16, 16)


def test_sparse_parameters_do_not_stop_the_count() -> None:
    class Sparse(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mask = nn.Parameter(torch.eye(3).to_sparse(), requires_grad=False)
            self.fc = nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.fc(x)
            return y

    model = Sparse()
    with snnbench.profile(model) as p, torch.no_grad():
        model(torch.ones(1, 3))
    assert p.result.effective.acs == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"timesteps": 0}, "timesteps must be at least 1, not 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, not 0"),
        ({"layout": "NCHW"}, "layout must be one of auto, step, TN, NT, not 'NCHW'"),
    ],
)
def test_bad_arguments(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        snnbench.profile(nn.Linear(1, 1), **arguments)  # type: ignore[arg-type]


def test_what_is_no_module_or_compiled_is_refused() -> None:
    with pytest.raises(UsageError, match=r"needs a torch\.nn\.Module, not function"):
        snnbench.profile(lambda x: x)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="compiled model hides its operations"):
        snnbench.profile(torch.compile(nn.Linear(1, 1)))  # type: ignore[arg-type]


def test_timesteps_that_do_not_divide_the_calls_are_reported() -> None:
    lif = LIF()
    with snnbench.profile(lif, timesteps=4, layout="step") as p, torch.no_grad():
        for _ in range(3):
            lif(torch.ones(1, 2, 3))
    assert any("not a multiple of timesteps=4" in warning for warning in p.result.warnings)
