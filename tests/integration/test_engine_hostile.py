"""What users do to a compiled network that no benchmark does."""

from __future__ import annotations

import copy
import gc
import io
import multiprocessing
import pickle
import threading
from collections.abc import Callable

import psutil
import pytest
import torch
from support.engine_nets import lively, margin, quarters, send_output
from torch import Tensor, nn

import snnbench
from snnbench.core.errors import SnnbenchError, StructureError, UsageError, WeightsError
from snnbench.engine.runtime import EventModel
from snnbench.nn.blocks import PerTimestep, SpikingBlock
from snnbench.nn.neuron import LIF

T, N = 3, 2
MODES = ("event", "dense")
MEBIBYTE = 2**20


def network() -> nn.Sequential:
    model = nn.Sequential(
        PerTimestep(nn.Conv2d(2, 20, 3, padding=1)),
        LIF(threshold=0.3),
        SpikingBlock("basic", 20, 24, stride=2),
        PerTimestep(nn.Flatten(), nn.Linear(24 * 16, 10)),
        LIF(threshold=0.1),
    )
    lively(model)
    return model


def inputs(samples: int = N, seed: int = 1) -> Tensor:
    return quarters(T, samples, 2, 8, 8, seed=seed) - 0.5


def compiled(mode: str = "event", threads: int = 2, **options: str) -> EventModel:
    return snnbench.compile(network(), inputs(), mode=mode, threads=threads, **options)


@torch.no_grad()
def wanted(x: Tensor) -> Tensor:
    y: Tensor = network()(x)
    assert 0.05 < y.mean() < 0.95
    assert margin(network(), x) > 2e-4
    return y


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_inputs_that_are_not_finite_are_refused(mode: str, bad: float):
    engine, x = compiled(mode), inputs()
    x[1, 0, 1, 2, 3] = bad
    with pytest.raises(UsageError, match="NaN or infinity"):
        engine(x)
    assert torch.equal(engine(inputs()), wanted(inputs()))  # and nothing is left behind


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["0.0.weight", "2.synapses.0.norm.running_var", "3.1.bias"])
def test_weights_that_are_not_finite_are_refused(bad: float, name: str):
    model = network()
    model.state_dict()[name].view(-1)[0] = bad
    with pytest.raises(WeightsError, match=f"'{name}' holds NaN or infinity"):
        snnbench.compile(model, inputs())


@pytest.mark.parametrize("mode", MODES)
def test_inputs_of_another_shape_or_dtype_are_refused(mode: str):
    engine, x = compiled(mode), inputs()
    for bad in (
        x[..., :7],
        x[:2],
        x[0],
        x[None],
        x[:, :, :1],
        x.long(),
        x.bool(),
        x.to(torch.complex64),
        torch.zeros(0, N, 2, 8, 8),
        torch.zeros(()),
        x.to("meta"),
    ):
        with pytest.raises(UsageError, match=r"compiled for floats of shape \[3, N, 2, 8, 8\]"):
            engine(bad)


@pytest.mark.parametrize("lead", [(0, N), (0, 0)])
def test_examples_without_timesteps_are_refused(lead: tuple[int, int]):
    with pytest.raises(SnnbenchError) as caught:
        snnbench.compile(network(), torch.zeros(*lead, 2, 8, 8), mode="event")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("mode", MODES)
def test_no_samples_give_no_outputs(mode: str):
    engine = compiled(mode)
    assert engine(inputs(0)).shape == (T, 0, 10)
    assert all(adds.executed == adds.padding == 0 for adds in engine.count(inputs(0)))
    assert all(fired.numel() == 0 for fired in engine.spikes(inputs(0)).values())
    assert torch.equal(engine(inputs()), wanted(inputs()))


@pytest.mark.parametrize("mode", [*MODES, "auto"])
def test_batches_of_changing_size(mode: str):
    engine = compiled(mode)
    for samples in (1, 7, 2, 0, 12, 1):
        x = inputs(samples, seed=samples)
        assert torch.equal(engine(x), network()(x).detach())


@pytest.mark.parametrize("mode", MODES)
def test_inputs_in_any_layout_give_the_same(mode: str):
    engine, x = compiled(mode), inputs()
    strided = torch.empty(2, 8, 8, N, T).permute(4, 3, 0, 1, 2).copy_(x)
    assert not strided.is_contiguous()
    for variant in (strided, x.double(), x.clone().requires_grad_()):
        result = engine(variant)
        assert result.dtype == variant.dtype
        assert not result.requires_grad
        assert torch.equal(result.float(), wanted(x))


@pytest.mark.parametrize("mode", MODES)
def test_inputs_are_left_as_they_are(mode: str):
    engine, x = compiled(mode), inputs()
    engine(x)
    assert torch.equal(x, inputs())


@pytest.mark.parametrize("mode", MODES)
def test_results_are_not_overwritten_by_the_next_call(mode: str):
    engine = compiled(mode)
    first = engine(inputs())
    spikes = engine.spikes(inputs())
    kept, kept_spikes = first.clone(), {name: s.clone() for name, s in spikes.items()}
    engine(inputs(seed=5))
    engine.spikes(inputs(seed=6))
    assert torch.equal(first, kept)
    assert all(torch.equal(spikes[name], kept_spikes[name]) for name in kept_spikes)


@pytest.mark.parametrize("mode", ["event", "auto"])
def test_the_model_is_left_as_it_was(mode: str):
    model = network()
    model[2].train()  # a mixture of modes, and one frozen weight
    model[0][0].weight.requires_grad_(requires_grad=False)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    addresses = {name: tensor.data_ptr() for name, tensor in model.state_dict().items()}
    before = _surroundings(model)
    engine = snnbench.compile(model, inputs(), mode=mode)
    engine(inputs())
    engine.count(inputs())
    assert _surroundings(model) == before
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[name])
        assert tensor.data_ptr() == addresses[name]


def _surroundings(model: nn.Module) -> list[object]:
    return [
        (
            name,
            module.training,
            sorted(vars(module)),
            len(module._forward_hooks) + len(module._forward_pre_hooks),
            [p.requires_grad for p in module.parameters(recurse=False)],
            [p.grad for p in module.parameters(recurse=False)],
        )
        for name, module in model.named_modules()
    ]


def test_a_compiled_network_does_not_follow_its_model():
    model = network()
    engine = snnbench.compile(model, inputs(), mode="event")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert torch.equal(engine(inputs()), wanted(inputs()))


def test_a_model_in_training_mode_is_compiled_as_in_evaluation():
    model = network().train()
    engine = snnbench.compile(model, inputs(), mode="event")
    assert torch.equal(engine(inputs()), wanted(inputs()))
    assert model.training
    with pytest.raises(UsageError, match="for inference only"):
        engine.train()


def test_a_model_with_hooks_is_refused():
    model = network()
    model[2].neurons[0].register_forward_hook(lambda *_: None)
    with pytest.raises(StructureError, match=r"'2\.neurons\.0' has forward hooks"):
        snnbench.compile(model, inputs())


def test_a_thousand_calls_keep_memory_flat():
    engine = compiled(threads=1)
    process = psutil.Process()
    for seed in range(200):
        engine(inputs(1 + seed % 4, seed))
    gc.collect()
    before = process.memory_info().rss
    for seed in range(1000):
        engine(inputs(1 + seed % 4, seed))
    gc.collect()
    assert process.memory_info().rss - before < 8 * MEBIBYTE


def _together(*tasks: Callable[[], None]) -> None:
    """Run tasks at the same time; raise what they raise."""
    errors: list[BaseException] = []

    def guard(task: Callable[[], None]) -> None:
        try:
            task()
        except AssertionError as error:
            errors.append(error)

    threads = [threading.Thread(target=guard, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=600)
        assert not thread.is_alive()
    assert not errors


@pytest.mark.parametrize("threads", [1, 2])
def test_two_threads_call_one_compiled_network(threads: int):
    engine = compiled(threads=threads)
    cases = [(x, wanted(x)) for x in (inputs(1, 3), inputs(4, 4))]

    def call(x: Tensor, expected: Tensor) -> None:
        for _ in range(50):
            assert torch.equal(engine(x), expected)

    _together(*(lambda case=case: call(*case) for case in cases))


def test_two_compiled_networks_run_at_once():
    engines = [compiled(threads=2), compiled(threads=2, weights_dtype="float64")]
    x, expected = inputs(), wanted(inputs())

    def call(engine: EventModel) -> None:
        for _ in range(50):
            assert torch.equal(engine(x), expected)

    _together(*(lambda engine=engine: call(engine) for engine in engines))


def test_copies_do_not_share_memory():
    engine = compiled()
    other = copy.deepcopy(engine)
    assert torch.equal(other(inputs(seed=8)), wanted(inputs(seed=8)))
    first, second = engine.spikes(inputs()), other.spikes(inputs(seed=9))
    assert torch.equal(first["4"].float(), wanted(inputs()))
    assert torch.equal(second["4"].float(), wanted(inputs(seed=9)))


@pytest.mark.parametrize("mode", [*MODES, "auto"])
@pytest.mark.parametrize("used", [False, True])
def test_pickling_and_saving(mode: str, used: bool):
    engine = compiled(mode)
    if used:
        engine(inputs())
    file = io.BytesIO()
    torch.save(engine, file)
    file.seek(0)
    for other in (pickle.loads(pickle.dumps(engine)), torch.load(file, weights_only=False)):
        assert torch.equal(other(inputs()), wanted(inputs()))
        assert other.choices == engine.choices
        assert other.explain().splitlines()[0] == engine.explain().splitlines()[0]


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_workers_after_the_engine_has_run(method: str):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this platform cannot {method}")
    engine = compiled(threads=2)
    expected = engine(inputs()).flatten().tolist()  # threads of the engine run from here on
    context = multiprocessing.get_context(method)
    results, sender = context.Pipe(duplex=False)
    worker = context.Process(target=send_output, args=(engine, inputs(), sender))
    worker.start()
    sender.close()  # so that a worker that dies ends the wait for its results
    try:
        assert results.recv() == expected
    finally:
        worker.kill()
        worker.join()
