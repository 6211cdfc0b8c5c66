"""Random networks run by events equal the dense folded network: spikes, outputs, additions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from hypothesis import HealthCheck, given, settings, strategies as st
from support.neurons import Adaptive, AtThreshold
from torch import Tensor, nn

import snnbench
from snnbench.engine.plan import EventCurrent, Plan
from snnbench.nn.blocks import PerTimestep
from snnbench.nn.fold import fold_batch_norm
from snnbench.nn.neuron import IF, LIF, Neuron
from snnbench.nn.norm import ThresholdDependentBatchNorm2d

Shape = tuple[int, ...]
FLIPS_PER_NEURON = 1e-5
SILENT, FIRING = 1e6, 1e-6
SETTINGS = settings(
    max_examples=int(os.environ.get("SNNBENCH_EXAMPLES", "75")),
    suppress_health_check=list(HealthCheck),
)


@dataclass(frozen=True)
class Net:
    """A network, its input and how to run it.

    Attributes:
        model: On [T, N, ...], or on [N, ...] that it repeats itself.
        x: Float32 input.
        threads: Of the kernels.
    """

    model: nn.Module
    x: Tensor
    threads: int


class Repeat(nn.Module):
    """A static image at every timestep (direct encoding)."""

    def __init__(self, timesteps: int, body: nn.Module) -> None:
        super().__init__()
        self.timesteps = timesteps
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x.expand(self.timesteps, *x.shape))
        return y


class Joined(nn.Module):
    """Branches that meet in an addition before a neuron."""

    def __init__(self, branches: list[nn.Module], neuron: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.neuron = neuron

    def forward(self, x: Tensor) -> Tensor:
        first, *others = self.branches
        y = first(x)
        for branch in others:
            y = y + branch(x)
        spikes: Tensor = self.neuron(y)
        return spikes


def _neuron(draw: st.DrawFn) -> Neuron:
    """Mostly an LIF or IF; one of the others has no event kernel."""
    own = draw(st.sampled_from([*[None] * 6, Adaptive, AtThreshold]))
    if own is not None:
        return own()
    threshold = draw(st.sampled_from([0.25, 0.5, 1.0, 1.0, FIRING, SILENT]))
    decay = draw(st.sampled_from([None, 0.0, 0.25, 0.5, 0.9]))
    return IF(threshold=threshold) if decay is None else LIF(decay=decay, threshold=threshold)


def _norm(draw: st.DrawFn, channels: int) -> nn.Module:
    norm = draw(st.sampled_from([ThresholdDependentBatchNorm2d, nn.BatchNorm2d]))(channels)
    with torch.no_grad():
        for tensor in (norm.weight, norm.running_var):
            tensor.uniform_(0.5, 2.0)
        for tensor in (norm.bias, norm.running_mean):
            tensor.uniform_(-0.5, 0.5)
    return norm


def _convolution(draw: st.DrawFn, shape: Shape, channels: int) -> nn.Module:
    kernel = tuple(draw(st.sampled_from([1, 2, 3, 3, 5])) for _ in range(2))
    padding = tuple(
        draw(st.integers(max(0, -(-(k - size) // 2)), k))
        for k, size in zip(kernel, shape[1:], strict=True)
    )
    divisors = [g for g in (1, 1, 1, 2, 3) if shape[0] % g == channels % g == 0]
    conv = nn.Conv2d(
        shape[0],
        channels,
        kernel,
        stride=(draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        padding=padding,
        groups=draw(st.sampled_from(divisors)),
        bias=draw(st.booleans()),
    )
    return PerTimestep(conv, _norm(draw, channels)) if draw(st.booleans()) else PerTimestep(conv)


def _residual(draw: st.DrawFn, shape: Shape) -> nn.Module:
    """Two branches, which keep the height and width or halve them together."""
    stride = draw(st.sampled_from([1, 1, 2]))
    channels = shape[0] if stride == 1 else draw(st.integers(1, 20))
    inner = draw(st.integers(1, 20))
    body = nn.Sequential(
        PerTimestep(nn.Conv2d(shape[0], inner, 3, stride=stride, padding=1), _norm(draw, inner)),
        _neuron(draw),
        PerTimestep(nn.Conv2d(inner, channels, 3, padding=1, bias=False), _norm(draw, channels)),
    )
    if draw(st.booleans()):
        body.append(_neuron(draw))  # spikes are added to spikes
    convolved = PerTimestep(
        nn.Conv2d(shape[0], channels, 1, stride=stride, bias=False), _norm(draw, channels)
    )
    kinds: list[nn.Module] = [convolved]
    if stride == 1:
        kinds += [nn.Identity(), PerTimestep(_norm(draw, channels))]
    branches = [body, draw(st.sampled_from(kinds))]
    if draw(st.booleans()):
        branches.reverse()
    return Joined(branches, _neuron(draw))


def _pool(draw: st.DrawFn, shape: Shape) -> nn.Module:
    kind = draw(st.sampled_from([nn.MaxPool2d, nn.AvgPool2d]))
    return PerTimestep(kind(min(2, *shape[1:]), stride=draw(st.integers(1, 2))))


def _layers(draw: st.DrawFn, shape: Shape) -> Iterator[nn.Module]:
    yield PerTimestep(nn.Conv2d(shape[0], 8, 3, padding=1))
    yield _neuron(draw)
    shape = (8, *shape[1:])
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["conv", "conv", "residual", "pool"]))
        if kind == "conv":
            channels = draw(st.sampled_from([1, 6, 16, 17, 40]))
            made = nn.Sequential(_convolution(draw, shape, channels), _neuron(draw))
        else:
            made = (_residual if kind == "residual" else _pool)(draw, shape)
        yield made
        shape = _shape_after(made, shape)
    if draw(st.booleans()):
        features = int(torch.Size(shape).numel())
        width = draw(st.integers(1, 40))
        yield PerTimestep(nn.Flatten(), nn.Linear(features, width, bias=draw(st.booleans())))
        yield _neuron(draw)
        if draw(st.booleans()):
            yield PerTimestep(nn.Linear(width, 5))


def _shape_after(layer: nn.Module, shape: Shape) -> Shape:
    with torch.no_grad():
        return tuple(layer.eval()(torch.zeros(1, 1, *shape)).shape[2:])


@st.composite
def nets(draw: st.DrawFn) -> Net:
    seed = draw(st.integers(0, 2**20))
    generator = torch.Generator().manual_seed(seed)
    T, N = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 7)), draw(st.integers(1, 7)))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model: nn.Module = nn.Sequential(*_layers(draw, shape))
        with torch.no_grad():  # strong enough for spikes in the deepest layers
            for name, parameter in model.named_parameters():
                if name.endswith("weight") and parameter.ndim > 1:
                    parameter.mul_(3.0)
    lead: Shape = (T, N)
    if draw(st.booleans()):
        model, lead = Repeat(T, model), (N,)
    x = torch.randn(*lead, *shape, generator=generator)
    return Net(model.eval(), x, threads=draw(st.integers(1, 2)))


def _reference(model: nn.Module, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Output and spikes of every layer of neurons of the dense network."""
    spikes: dict[str, Tensor] = {}

    def keep(name: str) -> None:
        handles.append(
            model.get_submodule(name).register_forward_hook(
                lambda _m, _i, out: spikes.__setitem__(name, out.bool())
            )
        )

    handles: list[torch.utils.hooks.RemovableHandle] = []
    for name, module in model.named_modules():
        if isinstance(module, Neuron):
            keep(name)
    try:
        with torch.no_grad():
            return model(x), spikes
    finally:
        for handle in handles:
            handle.remove()


def _event_layers(plan: Plan) -> set[str]:
    return {
        current.layer
        for step in plan.neuron_steps
        for current in step.currents
        if isinstance(current, EventCurrent)
    }


@SETTINGS
@given(nets())
def test_float64_has_no_flips_and_adds_what_the_profiler_counts(net: Net):
    folded = fold_batch_norm(net.model).model.double()
    x = net.x.double()
    other = 1 - net.x  # what is left of its spikes must not pass for those of x
    engine = snnbench.compile(
        net.model, other, weights_dtype="float64", mode="event", threads=net.threads
    )
    with snnbench.profile(folded, layout="TN") as counting, torch.no_grad():
        folded(x)
    expected, spikes = _reference(folded, x)
    for name, fired in engine.spikes(x).items():
        assert torch.equal(fired, spikes[name]), f"flipped spikes in {name}"
    torch.testing.assert_close(engine(x), expected, rtol=1e-9, atol=1e-9)
    effective = {row.name: row.effective.acs for row in counting.result.layers}
    executed = {adds.layer: adds.executed for adds in engine.count(x)}
    assert executed == {name: effective[name] for name in _event_layers(engine.plan)}


def _first_flips(made: dict[str, Tensor], expected: dict[str, Tensor]) -> int:
    """Flips where and when spikes first differ, before they cause others."""
    for name, fired in made.items():
        for step, wanted in zip(fired, expected[name], strict=True):
            flips = int((step != wanted).sum())
            if flips:
                return flips
    return 0


def test_float32_flips_at_most_one_spike_in_1e5():
    flips = neurons = 0

    @SETTINGS
    @given(nets())
    def check(net: Net) -> None:
        nonlocal flips, neurons
        expected, spikes = _reference(fold_batch_norm(net.model).model, net.x)
        engine = snnbench.compile(net.model, net.x, mode="event", threads=net.threads)
        flipped = _first_flips(engine.spikes(net.x), spikes)
        flips += flipped
        neurons += sum(fired.numel() for fired in spikes.values())
        if not flipped:
            torch.testing.assert_close(engine(net.x), expected, rtol=1e-4, atol=1e-4)

    check()
    print(f"{flips} flips among {neurons} neurons and timesteps")
    # none among 839,275 were seen once; so few neurons that three could be chance are no evidence
    assert flips <= max(3, FLIPS_PER_NEURON * neurons)
