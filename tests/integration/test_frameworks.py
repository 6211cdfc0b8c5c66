"""Networks of the spiking frameworks, and the two exact counters among them as second opinions.

Run by the tox environment ``frameworks``; where a package is missing its tests are skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from support import reference
from support.counting import count, rows_of
from support.neurons import spikes_by_spec
from support.toynets import LIF, Tiny, exact_weights
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from snnbench.engine.dense.lif import lif_spikes
from snnbench.nn.neuron_spec import NeuronSpec, Reset
from snnbench.results.counts import LayerRecord, OpCount, Profile, Role

# the packages' own deprecations are theirs to fix
pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]

T, N = 4, 3


def package(name: str) -> Any:
    return pytest.importorskip(name, reason=f"{name} is not installed", exc_type=ImportError)


def events(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randint(0, 2, shape, generator=generator).float()


def recorded(model: nn.Module, x: Tensor, kind: Any) -> dict[str, tuple[list[Any], list[Any]]]:
    """Inputs and outputs of every module of a class, from a plain run."""
    seen: dict[str, tuple[list[Any], list[Any]]] = {}

    def hook_of(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, args: Any, output: Any) -> None:
            inputs, outputs = seen.setdefault(name, ([], []))
            inputs.append(args[0].clone())
            outputs.append(output)

        return hook

    handles = [
        module.register_forward_hook(hook_of(name))
        for name, module in model.named_modules()
        if isinstance(module, kind)
    ]
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    return seen


def check_synapses(model: nn.Module, x: Tensor, profile: Profile) -> None:
    rows = rows_of(profile)
    for name, (inputs, _) in recorded(model, x, (nn.Conv2d, nn.Linear)).items():
        counts = [reference.of_synapse(model.get_submodule(name), i.float()) for i in inputs]
        kind = "acs" if reference.alphabet(inputs).is_spikes else "macs"
        effective = sum(sum(c.effective) for c in counts)
        assert rows[name].effective == OpCount(**{kind: effective})
        assert rows[name].in_image == OpCount(**{kind: sum(c.in_image for c in counts)})


def check_neuron(row: LayerRecord, spikes: list[Tensor]) -> None:
    """``spikes``: one [N, ...] per timestep."""
    assert row.role is Role.NEURON
    assert row.spikes_per_timestep == tuple(int(s.count_nonzero()) for s in spikes)
    assert row.spikes_per_sample == tuple(
        int(sum(s[n].count_nonzero() for s in spikes)) for n in range(N)
    )
    assert row.output_sites == row.side.membrane_updates == sum(s.numel() for s in spikes)
    assert row.output_spikes, "a silent neuron proves nothing"


class Looped(nn.Module):
    """Run one-step layers over T; a neuron returns (spikes, state) and gets its state back."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        exact_weights(self, seed=2)

    def forward(self, x: Tensor) -> Tensor:
        states: dict[int, Any] = {}
        outputs = []
        for frame in x:
            y = frame
            for i, layer in enumerate(self.layers):
                if isinstance(layer, (nn.Conv2d, nn.Linear, nn.Flatten)):
                    y = layer(y)
                else:
                    y, states[i] = layer(y, states[i]) if i in states else layer(y)
            outputs.append(y)
        return torch.stack(outputs)


@pytest.mark.parametrize("step_mode", ["s", "m"])
def test_spikingjelly_network_and_its_counter(step_mode: str) -> None:
    functional, layer, neuron, op_counter = (
        package(f"spikingjelly.activation_based.{module}")
        for module in ("functional", "layer", "neuron", "op_counter")
    )

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(
                layer.Conv2d(2, 4, 3, padding=1, bias=False),
                neuron.IFNode(v_threshold=0.5),
                layer.Conv2d(4, 6, 3, stride=2, padding=1, groups=2, bias=False),
                neuron.LIFNode(v_threshold=0.5),
                layer.Flatten(),
                layer.Linear(6 * 9, 3, bias=False),
            )
            exact_weights(self, seed=2)
            functional.set_step_mode(self, step_mode)

        def forward(self, x: Tensor) -> Tensor:
            functional.reset_net(self)
            if step_mode == "s":
                return torch.stack([self.body(frame) for frame in x])
            y: Tensor = self.body(x)
            return y

    net, x = Net(), events(T, N, 2, 5, 5)
    profile = count(net, x, timesteps=T)
    counter = op_counter.SynOpCounter()
    with torch.no_grad(), op_counter.DispatchCounterMode([counter]):
        net(x)
    assert profile.effective == OpCount(acs=int(counter.get_total()))
    rows = rows_of(profile)
    for name, (_, outputs) in recorded(net, x, neuron.BaseNode).items():
        check_neuron(rows[name], outputs if step_mode == "s" else list(outputs[0]))


class BatchFirst(nn.Module):
    """``Tiny`` for a harness that puts the batch first, [N, T, ...], and skips zero weights."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Tiny()
        for parameter in self.net.parameters():
            parameter.data[parameter == 0] = 0.25

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.net(x.transpose(0, 1)).transpose(0, 1)
        return y


@pytest.mark.parametrize("kind", ["event", "float", "count"])
def test_neurobench_synaptic_operations_agree(kind: str) -> None:
    """Its means per sample, times N; its "dense" leaves padding out, as our ``in_image``."""
    benchmarks, workload, models = (
        package(f"neurobench.{module}") for module in ("benchmarks", "metrics.workload", "models")
    )

    generator = torch.Generator().manual_seed(5)
    shape = (N, T, 2, 9, 9)
    x = {
        "event": torch.randint(0, 2, shape, generator=generator).float(),
        "float": torch.randint(-64, 65, shape, generator=generator) / 64,
        "count": torch.randint(0, 4, shape, generator=generator).float(),
    }[kind]
    net = BatchFirst()
    model = models.TorchModel(net)
    model.add_activation_module(LIF)
    loader = DataLoader(TensorDataset(x, torch.zeros(N)), batch_size=N)
    metrics = [[], [workload.SynapticOperations]]
    theirs = benchmarks.Benchmark(model, loader, [], [], metrics).run(quiet=True)
    ours = count(BatchFirst(), x, timesteps=T)
    found = theirs["SynapticOperations"]
    assert round(found["Effective_ACs"] * N) == ours.effective.acs
    assert round(found["Effective_MACs"] * N) == ours.effective.macs
    assert round(found["Dense"] * N) == ours.in_image.synops


def test_snntorch_network() -> None:
    snntorch = package("snntorch")

    class Leaky(nn.Module):
        """Leaky starts from no state: hand it a zero one first."""

        def __init__(self) -> None:
            super().__init__()
            self.leaky = snntorch.Leaky(beta=0.5, threshold=0.5)

        def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
            spikes, state = self.leaky(x, self.leaky.init_leaky() if state is None else state)
            return spikes, state

    net = Looped(
        nn.Conv2d(2, 4, 3, padding=1), Leaky(), nn.Flatten(), nn.Linear(100, 3, bias=False), Leaky()
    )
    x = events(T, N, 2, 5, 5)
    profile = count(net, x, timesteps=T)
    check_synapses(net, x, profile)
    rows = rows_of(profile)
    assert [layer.name for layer in profile.neurons] == ["layers.1.leaky", "layers.4.leaky"]
    for name, (_, outputs) in recorded(net, x, snntorch.Leaky).items():
        check_neuron(rows[name], [spikes for spikes, _ in outputs])


def test_norse_recurrent_cell_counts_the_products_inside_the_cell() -> None:
    """No module owns them: hooks on layers see the read-out only."""
    norse = package("norse.torch")
    parameters = norse.LIFParameters(v_th=torch.tensor(0.05))
    net = Looped(norse.LIFRecurrentCell(6, 5, p=parameters), nn.Linear(5, 3))
    x = events(T, N, 6)
    profile = count(net, x, timesteps=T)
    check_synapses(net, x, profile)
    rows = rows_of(profile)
    ((_, outputs),) = recorded(net, x, norse.LIFRecurrentCell).values()
    spikes = [z for z, _ in outputs]
    check_neuron(rows["layers.0"], spikes)
    feed = sum(sum(reference.linear(reference.values(f), 5).effective) for f in x)
    recur = sum(sum(reference.linear(reference.values(z), 5).effective) for z in spikes[:-1])
    assert rows["layers.0::input_weights"].effective == OpCount(acs=feed)
    assert rows["layers.0::recurrent_weights"].effective == OpCount(acs=recur)
    assert rows["layers.0::recurrent_weights"].dense == OpCount(acs=T * N * 5 * 5)
    assert recur > 0


def test_sinabs_network_batch_first() -> None:
    layers = package("sinabs.layers")

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 4, 3, padding=1, bias=False)
            self.iaf = layers.IAF(spike_threshold=torch.tensor(1.0))
            self.fc = nn.Linear(100, 3, bias=False)
            exact_weights(self, seed=2)

        def forward(self, x: Tensor) -> Tensor:
            self.iaf.reset_states()
            y = self.conv(x.flatten(0, 1)).unflatten(0, x.shape[:2])
            out: Tensor = self.fc(self.iaf(y).flatten(2))
            return out

    net, x = Net(), events(N, T, 2, 5, 5)
    profile = count(net, x, timesteps=T, layout="NT")
    check_synapses(net, x, profile)
    assert (profile.samples, profile.timesteps) == (N, T)
    ((_, outputs),) = recorded(net, x, layers.IAF).values()
    check_neuron(rows_of(profile)["iaf"], list(outputs[0].transpose(0, 1)))


# -- a NeuronSpec can say what the frameworks' neurons do --


def check_spec(spec: NeuronSpec, spikes: Tensor, x: Tensor) -> None:
    assert 0.05 < spikes.mean() < 0.95
    assert torch.equal(spikes, spikes_by_spec(spec, x))
    if spec.kind in {known.kind for known in (NeuronSpec(), NeuronSpec(strict=False))}:
        assert torch.equal(spikes, lif_spikes(x, spec))


def currents() -> Tensor:
    return torch.randn(12, N, 4, 5, 5, generator=torch.Generator().manual_seed(0)).double()


@pytest.mark.parametrize("decay_input", [True, False])
@pytest.mark.parametrize(
    ("v_reset", "reset"), [(0.0, "value"), (-0.2, "value"), (None, "subtract")]
)
def test_spec_of_spikingjelly_lif(decay_input: bool, v_reset: float | None, reset: Reset) -> None:
    neuron = package("spikingjelly.activation_based.neuron")
    lif = neuron.LIFNode(
        tau=2.0, decay_input=decay_input, v_threshold=0.5, v_reset=v_reset, step_mode="m"
    )
    spec = NeuronSpec(
        decay=0.5,
        input_gain=0.5 if decay_input else 1.0,
        threshold=0.5 - (v_reset or 0.0),  # from rest, which is v_reset
        reset=reset,
        strict=False,
    )
    check_spec(spec, lif(currents()), currents())


@pytest.mark.parametrize("mechanism", ["subtract", "zero", "none"])
def test_spec_of_snntorch_leaky(mechanism: str) -> None:
    leaky = package("snntorch").Leaky(beta=0.8, threshold=0.5, reset_mechanism=mechanism).double()
    spec = {
        "subtract": NeuronSpec(decay=0.8, threshold=0.5, reset="subtract", reset_value=0.5 / 0.8),
        "zero": NeuronSpec(decay=0.8, threshold=0.5),
        "none": NeuronSpec(decay=0.8, threshold=0.5, reset="none"),
    }[mechanism]
    x = currents()
    spikes, potential = [], torch.zeros_like(x[0])
    for current in x:
        fired, potential = leaky(current, potential)
        spikes.append(fired)
    check_spec(spec, torch.stack(spikes), x)


@pytest.mark.parametrize("norm_input", [True, False])
@pytest.mark.parametrize(
    ("function", "reset"), [("MembraneReset", "value"), ("MembraneSubtract", "subtract")]
)
def test_spec_of_sinabs_lif(norm_input: bool, function: str, reset: Reset) -> None:
    layers, activation = package("sinabs.layers"), package("sinabs.activation")
    lif = layers.LIF(
        tau_mem=2.0,
        spike_threshold=torch.tensor(0.5),
        spike_fn=activation.SingleSpike,
        reset_fn=getattr(activation, function)(),
        norm_input=norm_input,
    ).double()
    decay = float(lif.alpha_mem_calculated)
    spec = NeuronSpec(
        decay=decay,
        input_gain=1 - decay if norm_input else 1.0,
        threshold=0.5,
        reset=reset,
        strict=False,
    )
    x = currents()
    with torch.no_grad():
        spikes = lif(x.transpose(0, 1).contiguous()).transpose(0, 1)
    check_spec(spec, spikes, x)
