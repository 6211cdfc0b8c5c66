from __future__ import annotations

import math
import threading
import time

import pytest
import torch
from support.engine_cases import FORMATS, Case, Convolution, Pair, check, spikes, weights

from snnbench.core.errors import UsageError
from snnbench.core.threads import run_on_threads
from snnbench.engine.kernels import masks, neuron_kernel
from snnbench.engine.kernels.neuron_kernel import NeuronKernel
from snnbench.engine.kernels.segment import Segment
from snnbench.engine.kernels.workspace import Workspace
from snnbench.engine.plan import DenseCurrent, EventCurrent, NeuronStep, Value
from snnbench.nn.neuron_spec import NeuronSpec

every_format = pytest.mark.parametrize("weights_dtype", FORMATS)
both_threads = pytest.mark.parametrize("threads", [1, 2])


def one_spike_case() -> Case:
    """One spike at row 1, column 1 of 3 x 3; a 2 x 2 kernel of weights 1/8 .. 4/8."""
    source = torch.zeros(2, 1, 1, 3, 3)
    source[0, 0, 0, 1, 1] = 1
    weight = torch.tensor([[[[0.125, 0.25], [0.375, 0.5]]]])
    return Case(convs=[Convolution(source, weight)], threshold=0.25)


def test_one_spike_by_hand():
    case = one_spike_case()
    segment = case.segment()
    # window (y, x) sees the spike at tap (1 - y, 1 - x): currents 4/8, 3/8; 2/8, 1/8.
    # t = 0: above 1/4 are 4/8 and 3/8. t = 1: nothing flows; potentials 0, 0; 1/8, 1/16.
    assert case.run(segment)[:, 0, 0].int().tolist() == [[[1, 1], [0, 0]], [[0, 0], [0, 0]]]
    # four windows, one output channel, one spike
    (adds,) = case.count(segment)
    assert (adds.layer, adds.executed) == ("conv0", 4)


def test_potential_decays_and_resets_by_hand():
    # a current of 0.75 at every timestep, decay 0.5, threshold 1.25, strictly above:
    # potentials 0.75, 1.125, 1.3125 (fires), and again
    source = torch.ones(6, 1, 1)
    weight = torch.tensor([[[[0.75]]]])
    case = Case(convs=[Convolution(source, weight)], threshold=1.25, vector=True)
    assert case.run(case.segment()).reshape(-1).int().tolist() == [0, 0, 1, 0, 0, 1]


def test_a_potential_equal_to_the_threshold_is_silent():
    source = torch.ones(1, 1, 2)
    weight = torch.tensor([[[[0.5]], [[0.5]]], [[[0.5]], [[0.625]]]])
    case = Case(convs=[Convolution(source, weight)], threshold=1.0, vector=True)
    # potentials: exactly 1, and 1.125
    assert case.run(case.segment()).reshape(-1).int().tolist() == [0, 1]


def test_a_static_current_flows_at_every_timestep():
    # potentials: 0.75, 1.125 (fires), and again
    step = Case(dense=[torch.full((1, 1, 1, 1), 0.75), torch.zeros(4, 1, 1, 1, 1)])
    assert step.run(step.segment()).reshape(-1).int().tolist() == [0, 1, 0, 1]


def test_only_a_static_current():
    values = (
        Value(name="in", kind="dense", shape=(2,), static=True),
        Value(name="lif", kind="spikes", shape=(2,)),
    )
    segment = _segment([_dense_kernel(values, timesteps=4)])
    out = segment({0: torch.tensor([[0.75, 2.0]])})[1]
    assert masks.unpack(out, 2, torch.float32)[:, 0, :, 0, 0].tolist() == [
        [0, 1],
        [1, 1],
        [0, 1],
        [1, 1],
    ]


def _dense_kernel(values: tuple[Value, ...], timesteps: int) -> NeuronKernel:
    step = NeuronStep(
        name="lif",
        currents=(DenseCurrent(source=0),),
        bias=torch.zeros(2, dtype=torch.float64),
        spec=NeuronSpec(decay=0.5, threshold=1.0),
        output=1,
    )
    return NeuronKernel(step, values, timesteps=timesteps, weights_dtype="float32", threads=1)


def _segment(kernels: list[NeuronKernel]) -> Segment:
    return Segment(kernels, Workspace())


@every_format
@both_threads
@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_all_silent_and_all_firing(weights_dtype: str, threads: int, rate: float):
    source = spikes(2, 2, 18, 5, 5, rate=rate)
    assert source.mean() == rate
    conv = Convolution(source, weights(weights_dtype, 33, 18, 3, 3), padding=(1, 1))
    check(Case(convs=[conv]), weights_dtype, threads)


@both_threads
def test_samples_split_over_several_calls(monkeypatch: pytest.MonkeyPatch, threads: int):
    conv = Convolution(spikes(2, 7, 5, 6, 6), weights("float32", 20, 5, 3, 3), padding=(1, 1))
    scale = (spikes(2, 7, 20, 6, 6, seed=1), torch.full((20,), 0.5))
    dense = torch.full((7, 20, 6, 6), 0.125) * torch.arange(7).view(7, 1, 1, 1)
    case = Case(convs=[conv], scales=[scale], dense=[dense])
    whole = case.kernel("float32", threads).bind(7, Workspace())
    assert len(whole.steps) == 1
    per_sample = case.kernel("float32", threads).buffer_bytes(2) - case.kernel(
        "float32", threads
    ).buffer_bytes(1)
    monkeypatch.setattr(neuron_kernel, "_LISTS_BYTES", 3 * per_sample)
    split = case.kernel("float32", threads).bind(7, Workspace())
    assert split.steps["call_samples"].tolist() == [3, 3, 1]
    check(case, threads=threads)


@both_threads
def test_tiles_of_rows(monkeypatch: pytest.MonkeyPatch, threads: int):
    conv = Convolution(spikes(2, 2, 5, 7, 6), weights("float32", 70, 5, 3, 3), padding=(1, 1))
    monkeypatch.setattr(neuron_kernel, "_SUMS_BYTES", 1)
    check(Case(convs=[conv]), threads=threads)


@both_threads
def test_growing_and_shrinking_batches(threads: int):
    """The workspace moves under a segment that has already run, and another that shares it."""

    def case(samples: int, seed: int = 0) -> Case:
        conv = Convolution(
            spikes(2, samples, 6, 8, 8, seed=seed), weights("float32", 20, 6, 3, 3), padding=(1, 1)
        )
        return Case(convs=[conv])

    workspace = Workspace()
    kernels = [case(1).kernel("float32", threads) for _ in range(2)]
    first, second = (Segment([kernel], workspace) for kernel in kernels)
    for samples in (1, 5, 2, 0, 9, 1, 9):
        for segment in (first, second, first):
            wanted = case(samples, seed=samples)
            assert torch.equal(wanted.run(segment), wanted.expected())


def test_a_chain_of_steps_in_one_call():
    """Three steps, the last with a shortcut from the first; results as one by one."""
    x = spikes(3, 2, 10, 8, 8)
    first, second, third = (
        weights("float32", *s, seed=i)
        for i, s in enumerate([(20, 10, 3, 3), (24, 20, 3, 3), (24, 24, 3, 3)])
    )
    shortcut = weights("float32", 24, 20, 1, 1, seed=9)

    def lif(*convs: Convolution) -> torch.Tensor:
        return Case(convs=convs).expected().float()

    a = lif(Convolution(x, first, padding=(1, 1)))
    b = lif(Convolution(a, second, stride=(2, 2), padding=(1, 1)))
    c = lif(Convolution(b, third, padding=(1, 1)), Convolution(a, shortcut, stride=(2, 2)))
    assert 0.05 < c.mean() < 0.95
    shapes = [(10, 8, 8), (20, 8, 8), (24, 4, 4), (24, 4, 4)]
    values = tuple(Value(name=f"v{i}", kind="spikes", shape=s) for i, s in enumerate(shapes))
    wiring = [
        ((0, first, (1, 1), (1, 1)),),
        ((1, second, (2, 2), (1, 1)),),
        ((2, third, (1, 1), (1, 1)), (1, shortcut, (2, 2), (0, 0))),
    ]
    kernels = [
        NeuronKernel(
            NeuronStep(
                name=f"lif{i}",
                currents=tuple(
                    EventCurrent(
                        source=source, layer=f"{i}.{source}", weight=w, stride=s, padding=p
                    )
                    for source, w, s, p in currents
                ),
                bias=torch.zeros(shapes[i + 1][0], dtype=torch.float64),
                spec=NeuronSpec(decay=0.5, threshold=1.0),
                output=i + 1,
            ),
            values,
            timesteps=3,
            weights_dtype="float32",
            threads=2,
        )
        for i, currents in enumerate(wiring)
    ]
    segment = _segment(kernels)
    out = segment({0: masks.pack(x)})
    for index, expected in ((1, a), (2, b), (3, c)):
        assert torch.equal(masks.unpack(out[index], shapes[index][0], torch.float32), expected)
    counted = {adds.layer: adds.executed for adds in segment.count({0: masks.pack(x)})}
    assert counted == {
        "0.0": Convolution(x, first, padding=(1, 1)).adds(),
        "1.1": Convolution(a, second, (2, 2), (1, 1)).adds(),
        "2.2": Convolution(b, third, padding=(1, 1)).adds(),
        "2.1": Convolution(a, shortcut, (2, 2)).adds(),
    }


@both_threads
def test_counts_do_not_add_up_over_calls(threads: int):
    case = Case(convs=[Convolution(spikes(2, 3, 5, 6, 6), weights("float32", 9, 5, 3, 3))])
    segment = case.segment(threads=threads)
    counts = {case.count(segment) for _ in range(3)}
    assert len(counts) == 1
    (adds,) = counts.pop()
    assert adds.executed == case.convs[0].adds()


@every_format
@both_threads
def test_repeated_calls_make_the_same_spikes(weights_dtype: str, threads: int):
    conv = Convolution(spikes(4, 2, 32, 9, 9), torch.randn(40, 32, 3, 3), padding=(1, 1))
    case = Case(convs=[conv])
    segment = case.segment(weights_dtype, threads)
    first = case.run(segment)
    assert all(torch.equal(case.run(segment), first) for _ in range(20))


def test_bits_beyond_the_last_channel_stay_zero():
    # a threshold below zero: every neuron fires, those that are not must not
    conv = Convolution(torch.zeros(2, 1, 3, 2, 2), weights("float32", 18, 3, 1, 1))
    case = Case(convs=[conv], threshold=-1.0)
    made = case.segment()(case.plan()[2])[1]
    assert (made[..., 0] == 0xFFFF).all()
    assert (made[..., 1] == 0b11).all()


def test_a_source_that_is_not_packed_is_refused():
    case = one_spike_case()
    with pytest.raises(TypeError, match="pack it first"):
        case.segment()({0: case.convs[0].spikes})


def test_wide_images_at_their_far_end():
    # events are 32-bit offsets: the last column is the largest
    source = torch.zeros(1, 1, 40, 1, 20_000)
    source[..., -1] = 1
    conv = Convolution(source, weights("float32", 5, 40, 1, 7), padding=(0, 3))
    check(Case(convs=[conv]))


@pytest.mark.parametrize("size", [(8000, 8000), (1, 10**7)])
def test_images_beyond_32_bit_offsets_are_refused(size: Pair):
    values = (
        Value(name="in", kind="spikes", shape=(64, *size)),
        Value(name="lif", kind="spikes", shape=(8, *size)),
    )
    current = EventCurrent(
        source=0, layer="big", weight=weights("float32", 8, 64, 3, 3), padding=(1, 1)
    )
    step = NeuronStep(
        name="lif",
        currents=(current,),
        bias=torch.zeros(8, dtype=torch.float64),
        spec=NeuronSpec(decay=0.5, threshold=1.0),
        output=1,
    )
    with pytest.raises(UsageError, match=rf"'big' reads images of {size[0]}x{size[1]}"):
        NeuronKernel(step, values, timesteps=2, weights_dtype="float32", threads=1)


def test_no_thread_still_runs_after_an_interruption():
    started, finished = threading.Event(), []

    def task(thread: int) -> None:
        if thread == 0:
            started.wait()
            raise KeyboardInterrupt
        started.set()
        time.sleep(0.1)
        finished.append(thread)

    with pytest.raises(KeyboardInterrupt):
        run_on_threads(2, task)
    assert finished == [1]


def test_describes_itself_and_its_buffers():
    case = Case(convs=[Convolution(spikes(2, 1, 5, 6, 6), weights("int16", 9, 5, 3, 3))])
    kernel = case.kernel("int16", 1)
    assert "int16" in kernel.describe()
    assert kernel.buffer_bytes(2) > kernel.buffer_bytes(1) > math.prod((9, 5, 3, 3)) * 2
    dense = Case(dense=[torch.zeros(2, 1, 3, 2, 2)])
    assert dense.kernel("float32", 1).describe() == "neurons"
