"""Compiled networks compute what their models do, whichever way their layers run."""

from __future__ import annotations

import copy
import gc
import io
import pickle
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
import torch
from support.engine_nets import (
    Residual,
    SpikesOfSpikes,
    dense_run,
    frames_net,
    lively,
    margin,
    quarters,
)
from torch import Tensor, nn

import snnbench
from snnbench.core.errors import SnnbenchError, StructureError, UsageError
from snnbench.engine.execute import DenseLayer
from snnbench.engine.store import Store
from snnbench.nn.fold import fold_batch_norm
from snnbench.nn.neuron import LIF
from snnbench.run.timing.interleaved import measure
from snnbench.zoo.registry import get

MODES = ("dense", "event", "auto")


def _nets() -> dict[str, tuple[nn.Module, Tensor]]:
    resnets = {}
    for card in ("resnet19", "resnet50", "plain20"):
        for shortcut in ("paper", "identity"):
            model = get(card).build(width=0.05, timesteps=2, shortcut=shortcut)
            size = 32 if card == "resnet19" else 64
            x = quarters(2, model.input_shape[0], size, size)
            resnets[f"{card} {shortcut}"] = lively(model), x
    return resnets | {
        "own forward": (lively(Residual()), quarters(2, 2, 14, 14)),
        "frames": (lively(frames_net()), quarters(3, 2, 2, 12, 12)),
        "spikes of spikes": (lively(SpikesOfSpikes()), quarters(3, 2, 2, 9, 9)),
    }


NETS = (
    "resnet19 paper",
    "resnet19 identity",
    "resnet50 paper",
    "plain20 paper",
    "own forward",
    "frames",
    "spikes of spikes",
)


@pytest.fixture(scope="module")
def nets() -> dict[str, tuple[nn.Module, Tensor]]:
    return _nets()


@pytest.mark.parametrize("name", NETS)
def test_no_processor_rounds_a_potential_over_its_threshold(
    nets: dict[str, tuple[nn.Module, Tensor]], name: str
) -> None:
    """What lets the other tests ask for equal spikes."""
    assert margin(*nets[name]) > 2e-4


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", NETS)
def test_no_spike_flips_in_double_precision(
    nets: dict[str, tuple[nn.Module, Tensor]], name: str, mode: str
) -> None:
    model, x = copy.deepcopy(nets[name][0]).double(), nets[name][1].double()
    # another example, so that nothing left of its spikes passes for those of x
    compiled = snnbench.compile(model, 1 - x, weights_dtype="float64", mode=mode)
    output, spikes = dense_run(model, x)
    ours = compiled.spikes(x)
    assert ours.keys() == spikes.keys()
    assert sum(int(s.sum()) for s in spikes.values()) > 0
    assert {n: int((ours[n] != s).sum()) for n, s in spikes.items()} == dict.fromkeys(spikes, 0)
    torch.testing.assert_close(compiled(x), output)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", NETS)
def test_no_spike_flips_in_single_precision(
    nets: dict[str, tuple[nn.Module, Tensor]], name: str, mode: str
) -> None:
    model, x = nets[name]
    compiled = snnbench.compile(model, x, mode=mode)
    output, spikes = dense_run(model, x)
    ours = compiled.spikes(x)
    assert {n: int((ours[n] != s).sum()) for n, s in spikes.items()} == dict.fromkeys(spikes, 0)
    assert compiled(x).dtype == x.dtype
    torch.testing.assert_close(compiled(x), output, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("weights_dtype", ["int16", "bfloat16"])
def test_rounded_weights_keep_most_spikes_of_the_first_layers(
    nets: dict[str, tuple[nn.Module, Tensor]], weights_dtype: str
) -> None:
    model, x = copy.deepcopy(nets["own forward"][0]), nets["own forward"][1]
    with torch.no_grad():
        for weight in (model.encode.weight, model.conv[0].weight):
            weight.mul_(1.01)  # no longer eighths, which both formats hold exactly
    compiled = snnbench.compile(model, x, weights_dtype=weights_dtype, mode="event")
    _, spikes = dense_run(model, x)
    ours = compiled.spikes(x)
    assert (ours["first"] != spikes["first"]).float().mean() < 1e-3  # of weights not rounded
    assert (ours["second"] != spikes["second"]).float().mean() < 0.02


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["own forward", "frames"])
def test_any_number_of_samples(
    nets: dict[str, tuple[nn.Module, Tensor]], name: str, mode: str
) -> None:
    model, x = nets[name]
    compiled = snnbench.compile(model, x, mode=mode)
    axis = 0 if x.ndim == 4 else 1
    with torch.no_grad():
        for samples in (1, 5, 0, 2, 1):
            batch = torch.cat([x] * 3, axis).narrow(axis, 0, samples)
            torch.testing.assert_close(compiled(batch), model(batch), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NETS)
def test_executed_additions_are_those_that_spikes_cause(
    nets: dict[str, tuple[nn.Module, Tensor]], name: str
) -> None:
    # in double precision, where both see the same spikes
    model, x = copy.deepcopy(nets[name][0]).double(), nets[name][1].double()
    compiled = snnbench.compile(model, x, weights_dtype="float64", mode="event")
    reference = fold_batch_norm(model).model
    with torch.no_grad(), snnbench.profile(reference) as profile:
        reference(x)
    effective = {row.name: row.effective.acs for row in profile.result.layers}
    adds = compiled.count(x)
    assert adds
    assert {a.layer: a.executed for a in adds} == {a.layer: effective[a.layer] for a in adds}
    assert sum(a.executed for a in adds) > 0
    assert snnbench.compile(model, x, mode="dense").count(x) == ()


def test_explain_names_steps_kernels_and_reasons(
    nets: dict[str, tuple[nn.Module, Tensor]],
) -> None:
    model, x = nets["own forward"]
    text = snnbench.compile(model, x, mode="event").explain()
    for step in ("encode", "first", "second", "pool", "third", "fourth", "readout"):
        assert f"\n {step} " in text
    assert "its input is not spikes" in text
    assert "no neurons follow" in text
    assert "T = 3" in text
    compiled = snnbench.compile(model, x, mode="event")
    for layer in compiled.count(x):
        assert f"{layer.executed:,}" in text


def test_auto_says_what_it_measured(nets: dict[str, tuple[nn.Module, Tensor]]) -> None:
    model, x = nets["frames"]
    compiled = snnbench.compile(model, x)
    assert [c.name for c in compiled.choices] == [s.name for s in compiled.plan.neuron_steps]
    assert all(c.event_s > 0 and c.dense_s > 0 for c in compiled.choices)
    assert " ms, dense " in compiled.explain()


def test_times_of_steps(nets: dict[str, tuple[nn.Module, Tensor]]) -> None:
    model, x = nets["frames"]
    compiled = snnbench.compile(model, x, mode="event")
    times = compiled.time_steps(x, 3)
    assert [t.name for t in times] == [s.name for s in compiled.plan.steps]
    assert all(len(t.seconds) == 3 and min(t.seconds) > 0 for t in times)


@pytest.mark.parametrize("mode", MODES)
def test_copies_and_pickles_compute_the_same(
    nets: dict[str, tuple[nn.Module, Tensor]], mode: str
) -> None:
    for name in ("own forward", "frames"):
        model, x = nets[name]
        compiled = snnbench.compile(model, x, mode=mode)
        for twin in (copy.deepcopy(compiled), pickle.loads(pickle.dumps(compiled))):
            assert torch.equal(twin(x), compiled(x))
            assert twin.choices == compiled.choices
        buffer = io.BytesIO()
        torch.save(compiled, buffer)
        buffer.seek(0)
        assert torch.equal(torch.load(buffer, weights_only=False)(x), compiled(x))


def test_a_worker_process_times_it(nets: dict[str, tuple[nn.Module, Tensor]]) -> None:
    model, x = nets["frames"]
    compiled = snnbench.compile(model, x)
    (timing,) = measure(
        {"snn-event": compiled},
        {"snn-event": x},
        runs=2,
        warmup=1,
        threads=1,
        device="cpu",
        batch_size=2,
        min_run_seconds=0.001,
    )
    assert min(timing.raw_seconds) > 0


def test_pytorch_does_not_spin_beside_event_kernels(
    nets: dict[str, tuple[nn.Module, Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, x = nets["own forward"]
    compiled = snnbench.compile(model, x, mode="event", threads=2)
    seen: list[int] = []
    run = DenseLayer.run

    def spy(self: DenseLayer, store: Store) -> None:
        seen.append(torch.get_num_threads())
        run(self, store)

    monkeypatch.setattr(DenseLayer, "run", spy)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        compiled(x)
        assert seen
        assert set(seen) == {1}
        assert torch.get_num_threads() == 2  # as the caller had it
        monkeypatch.setattr("snnbench.engine.program._LITTLE_WORK_MACS", -1)
        seen.clear()
        compiled(x)
        assert set(seen) == {2}  # much work is worth their spinning
    finally:
        torch.set_num_threads(before)


def test_threads_may_share_it(nets: dict[str, tuple[nn.Module, Tensor]]) -> None:
    model, x = nets["own forward"]
    compiled = snnbench.compile(model, x, mode="event", threads=2)
    inputs = [x.roll(shift, -1) for shift in range(8)]
    alone = [compiled(x) for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(compiled, inputs * 5))
    for index, output in enumerate(together):
        assert torch.equal(output, alone[index % 8])


def test_a_result_is_not_overwritten_by_the_next_call(
    nets: dict[str, tuple[nn.Module, Tensor]],
) -> None:
    lif = snnbench.compile(nn.Sequential(LIF(threshold=0.5)), quarters(2, 3, 5), mode="event")
    x = quarters(2, 3, 5)
    first, spikes = lif(x), lif.spikes(x)["0"]
    kept = first.clone()
    lif(torch.zeros_like(x))
    assert kept.any()
    assert torch.equal(first, kept)
    assert torch.equal(spikes, kept.bool())


def test_calls_leave_model_and_input_alone(nets: dict[str, tuple[nn.Module, Tensor]]) -> None:
    model, x = nets["frames"]
    before, seen = copy.deepcopy(model.state_dict()), x.clone()
    snnbench.compile(model, x, mode="event")(x)
    assert torch.equal(x, seen)
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())


@pytest.mark.parametrize(
    ("shape", "what"),
    [((2, 2, 14), "[N, 2, 14, 14]"), ((2, 3, 14, 14), "compile it again"), ((3, 2, 2, 14, 14), "")],
)
def test_inputs_of_another_shape_are_refused(
    nets: dict[str, tuple[nn.Module, Tensor]], shape: tuple[int, ...], what: str
) -> None:
    model, x = nets["own forward"]
    compiled = snnbench.compile(model, x, mode="dense")
    with pytest.raises(UsageError) as error:
        compiled(torch.zeros(shape))
    assert what in str(error.value)
    assert str(list(shape)) in str(error.value)


def test_bad_numbers_and_arguments_are_refused(nets: dict[str, tuple[nn.Module, Tensor]]) -> None:
    model, x = nets["own forward"]
    compiled = snnbench.compile(model, x, mode="dense")
    for bad in (torch.nan, torch.inf):
        with pytest.raises(UsageError, match="NaN or infinity"):
            compiled(torch.full_like(x, bad))
    with pytest.raises(UsageError, match="compiled for floats"):
        compiled(x.long())
    with pytest.raises(UsageError, match="weights_dtype must be one of float32, float64"):
        snnbench.compile(model, x, weights_dtype="int8")
    with pytest.raises(UsageError, match="mode must be one of auto, event, dense"):
        snnbench.compile(model, x, mode="fast")
    with pytest.raises(UsageError, match="threads is 0"):
        snnbench.compile(model, x, threads=0)
    with pytest.raises(UsageError, match="inference only"):
        compiled.train()
    assert compiled.eval() is compiled


class _Halves(nn.Module):
    """Two things kernels do not do: a function, and a convolution in groups."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = LIF(), LIF(threshold=0.3), LIF(threshold=0.2)
        self.conv = nn.Conv2d(8, 8, 3, groups=2, padding=1)
        self.linear = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        spikes = self.first(3 * x)
        y = self.conv(spikes.flatten(0, 1)).unflatten(0, spikes.shape[:2])
        spikes = self.second(torch.nn.functional.gelu(y))
        return self.third(self.linear(spikes.mean((3, 4))))


@pytest.mark.parametrize("mode", MODES)
def test_what_kernels_cannot_do_runs_densely_in_the_middle(mode: str) -> None:
    model, x = lively(_Halves()).double(), quarters(4, 2, 8, 6, 6, dtype=torch.float64)
    compiled = snnbench.compile(model, x, weights_dtype="float64", mode=mode)
    output, spikes = dense_run(model, x)
    assert spikes["second"].any()
    assert torch.equal(compiled(x), output)
    assert torch.equal(pickle.loads(pickle.dumps(compiled))(x), output)
    with pytest.raises(StructureError, match="cannot run by events"):
        snnbench.compile(model, x, strict=True)


@pytest.mark.parametrize("value", [0.0, 100.0])
@pytest.mark.parametrize("mode", MODES)
def test_silent_and_saturated_layers(
    nets: dict[str, tuple[nn.Module, Tensor]], mode: str, value: float
) -> None:
    model, x = nets["own forward"]
    compiled = snnbench.compile(model, x, mode=mode)
    filled = torch.full_like(x, value)
    with torch.no_grad():
        torch.testing.assert_close(compiled(filled), model(filled), rtol=1e-4, atol=1e-4)


def test_errors_are_one_line(nets: dict[str, tuple[nn.Module, Tensor]]) -> None:
    model, _ = nets["own forward"]
    for example in (torch.zeros(2, 2), torch.zeros(2, 2, 14, 14, dtype=torch.int32)):
        with pytest.raises((SnnbenchError, RuntimeError)) as error:
            snnbench.compile(model, example)
        assert "\n" not in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_a_thousand_calls_do_not_leak(nets: dict[str, tuple[nn.Module, Tensor]], mode: str) -> None:
    model, x = nets["resnet19 paper"]
    compiled = snnbench.compile(model, x, mode=mode)
    process = psutil.Process()

    def resident_mb(calls: int) -> float:
        for call in range(calls):
            compiled(x[: 1 + call % 2])
        gc.collect()
        return process.memory_info().rss / 1e6

    before = resident_mb(100)
    assert resident_mb(1000) - before < 8
