"""Results made by hand, consistent in every sum, for tests of whatever reads results.

The network is small but has one of everything: an encoding convolution on real values, spiking
convolutions, a pool that makes spikes dense, a spiking and a decoding linear layer.
"""

from __future__ import annotations

from dataclasses import replace

from snnbench.results.counts import (
    DENSE,
    Alphabet,
    AlphabetKind,
    LayerRecord,
    Profile,
    Role,
    SideOps,
    Uncounted,
    op_count,
)
from snnbench.results.engine import EngineLayer, EngineRun, EngineStep
from snnbench.results.run import (
    Accuracy,
    Check,
    DataInfo,
    EnergyMeasurement,
    Environment,
    Folding,
    Published,
    RunConfig,
    RunResult,
    Timing,
    WeightsInfo,
)

SPIKES = Alphabet(kind=AlphabetKind.BINARY, scale=1.0)
HOSTILE_NAME = 'β.<script>alert("x")</script>|50%_$a&b#{c}\\d~^'


def split(total: int, parts: int) -> tuple[int, ...]:
    """``total`` in ``parts`` integers that differ and sum to it."""
    weights = [2 * parts - i for i in range(parts)]
    shares = [total * weight // sum(weights) for weight in weights]
    return (shares[0] + total - sum(shares), *shares[1:])


def synapse(
    name: str,
    *,
    dense: int,
    density: float,
    samples: int = 2,
    timesteps: int = 6,
    spikes: bool = True,
    type_name: str = "Conv2d",
    role: Role = Role.SYNAPSE,
) -> LayerRecord:
    """A layer with ``dense`` operations per sample and timestep, ``density`` inputs non-zero."""
    calls = samples * timesteps
    sites = 4096 * calls
    effective = int(dense * calls * density * 0.9)
    return LayerRecord(
        name=name,
        type_name=type_name,
        role=role,
        calls=timesteps,
        params=dense // 64,
        nonzero_params=dense // 64,
        input_alphabet=SPIKES if spikes else DENSE,
        input_nonzero=int(sites * density),
        input_sites=sites,
        dense=op_count(dense * calls, spikes=spikes),
        in_image=op_count(int(dense * calls * 0.93), spikes=spikes),
        effective=op_count(effective, spikes=spikes),
        side=SideOps(bias_adds=64 * calls),
        effective_per_timestep=split(effective, timesteps),
        effective_per_sample=split(effective, samples),
    )


def neuron(
    name: str, *, rate: float, neurons: int = 1024, samples: int = 2, timesteps: int = 6
) -> LayerRecord:
    """A LIF layer that fires ``rate`` spikes per neuron and timestep."""
    sites = neurons * samples * timesteps
    spikes = int(sites * rate)
    return LayerRecord(
        name=name,
        type_name="LIF",
        role=Role.NEURON,
        calls=timesteps,
        side=SideOps(membrane_updates=sites),
        output_alphabet=SPIKES,
        output_spikes=spikes,
        output_sites=sites,
        spikes_per_timestep=split(spikes, timesteps),
        spikes_per_sample=split(spikes, samples),
    )


def snn_profile(*, blocks: int = 1, density: float = 0.15, samples: int = 2) -> Profile:
    """An SNN of ``2 * blocks + 3`` spiking layers."""
    layers = [
        synapse("conv1", dense=3_538_944, density=0.98, samples=samples, spikes=False),
        neuron("lif1", rate=density, samples=samples),
    ]
    for block in range(blocks):
        for index in (1, 2):
            rate = density * (1 - block / (blocks + 1)) * (1.1 - 0.2 * index)
            name = f"blocks.{block}"
            dense = 37_748_736 >> min(3, block // 4)
            layers += [
                synapse(f"{name}.conv{index}", dense=dense, density=density, samples=samples),
                neuron(f"{name}.lif{index}", rate=rate, samples=samples),
            ]
    layers += [
        LayerRecord(
            name="pool",
            type_name="AvgPool2d",
            role=Role.POOL,
            calls=6,
            side=SideOps(pool_ops=8192 * samples * 6),
        ),
        synapse(
            "fc1",
            dense=2_097_152,
            density=0.4,
            samples=samples,
            spikes=False,
            type_name="Linear",
        ),
        neuron("lif_fc", rate=density, neurons=256, samples=samples),
        synapse(
            "fc2",
            dense=2_560,
            density=density,
            samples=samples,
            type_name="Linear",
            role=Role.READOUT,
        ),
    ]
    return Profile(layers=tuple(layers), samples=samples, timesteps=6)


def twin_profile(snn: Profile) -> Profile:
    """The ANN twin of ``snn``: one timestep, every operation a MAC, half the inputs zero."""
    layers = []
    for layer in snn.layers:
        if not layer.dense.synops:
            continue
        dense = layer.dense.synops // (snn.timesteps or 1)
        effective = dense if layer.name == "conv1" else dense // 2
        layers.append(
            replace(
                layer,
                calls=1,
                input_alphabet=DENSE,
                input_sites=4096 * (snn.samples or 1),
                input_nonzero=2048 * (snn.samples or 1),
                dense=op_count(dense, spikes=False),
                in_image=op_count(int(dense * 0.93), spikes=False),
                effective=op_count(effective, spikes=False),
                effective_per_timestep=(effective,),
                effective_per_sample=split(effective, snn.samples or 1),
            )
        )
    return Profile(layers=tuple(layers), samples=snn.samples, timesteps=1, declared_dense=True)


def timing(name: str, milliseconds: float, *, process: int = 0, runs: int = 12) -> Timing:
    """Raw times around ``milliseconds`` per call of two samples, spread over 6 %."""
    return Timing(
        name=name,
        device="cpu",
        batch_size=2,
        number_per_run=1,
        raw_seconds=tuple(
            milliseconds / 1000 * (0.97 + 0.01 * ((i * i + len(name) * i + process) % 7))
            for i in range(runs)
        ),
        warmup_seconds=(milliseconds / 500,),
        threads=1,
        process=process,
    )


def engine_run(snn: Profile, **changes: object) -> EngineRun:
    """The engine on one sample of ``snn``: a dense encoding, then a step per spiking layer."""
    steps = [
        EngineStep(
            name="conv1",
            kernel="dense",
            reason="its input is not spikes",
            layers=(_dense_layer("conv1", 3_538_944),),
            input_spikes=None,
            input_sites=None,
            raw_seconds=(0.0011, 0.001, 0.0012),
            dense_raw_seconds=(0.001, 0.0011, 0.0012),
        )
    ]
    convolutions = [x for x in snn.layers if x.name.startswith("blocks.") and x.dense.synops]
    for index, layer in enumerate(convolutions):
        samples = snn.samples or 1
        adds = layer.effective.acs // samples
        dense = index % 5 == 4
        adds_layer = EngineLayer(
            name=layer.name,
            executed_adds=adds,
            padding_adds=adds // 50,
            executed_macs=0,
            expected_adds=adds,
        )
        steps.append(
            EngineStep(
                name=layer.name.replace("conv", "lif"),
                kernel="dense" if dense else "event",
                reason="dense was measured to be faster" if dense else None,
                layers=(_dense_layer(layer.name, layer.dense.acs // samples),)
                if dense
                else (adds_layer,),
                input_spikes=(layer.input_nonzero or 0) // samples,
                input_sites=(layer.input_sites or 0) // samples,
                raw_seconds=(0.0021 + 0.0001 * index, 0.002, 0.0023),
                dense_raw_seconds=(0.002,) * 3 if index % 2 else (0.008, 0.0081, 0.0079),
            )
        )
    run = EngineRun(
        mode="auto",
        weights_dtype="float32",
        threads=1,
        batch_size=1,
        compile_s=1.25,
        output_max_abs_difference=2.5e-6,
        output_max_abs=2.4,
        flipped_spikes=3,
        flipped_by_rounding=1,
        spike_sites=1_000_000,
        adds_ceiling_per_s=1.05e11,
        adds_ceiling_method="fastest of 20 sums in the first-level cache",
        steps=tuple(steps),
    )
    return replace(run, **changes)  # type: ignore[arg-type]


def _dense_layer(name: str, macs: int) -> EngineLayer:
    return EngineLayer(
        name=name, executed_adds=0, padding_adds=0, executed_macs=macs, expected_adds=None
    )


def with_engine(result: RunResult, **changes: object) -> RunResult:
    """``result`` whose SNN ran in the event engine too."""
    return replace(result, engine=engine_run(result.snn, **changes))


PUBLISHED = tuple(
    Published(quantity=quantity, value=value, timesteps=6, source="ZH21, table 6")
    for quantity, value in (
        ("snn_additions", 1.8e9),
        ("snn_multiplications", 3.4e7),
        ("ann_additions", 2.2e9),
        ("ann_multiplications", 2.2e9),
        ("top1_percent", 93.16),
    )
)


def make_result(*, blocks: int = 1, density: float = 0.15, **changes: object) -> RunResult:
    """A complete result; ``changes`` replace its fields."""
    snn = snn_profile(blocks=blocks, density=density)
    result = RunResult(
        benchmark="resnet19",
        benchmark_version="0123456789abcdef" * 4,
        title="ResNet-19",
        input_shape=(3, 32, 32),
        config=RunConfig(
            benchmark="resnet19",
            timesteps=6,
            samples=2,
            batch_size=2,
            seed=0,
            threads=1,
            device="cpu",
            width=1.0,
            shortcut="paper",
            data=None,
            weights=None,
            strict=False,
            latency=True,
        ),
        environment=Environment(
            snnbench="0.1.0",
            python="3.11.7",
            torch="2.13.0",
            numpy="2.4.6",
            platform="Linux-x86_64",
            cpu="Example CPU @ 2.50 GHz",
            cpu_count=2,
            threads=1,
            device="cpu",
            commit="0a1b2c3d4e5f60718293a4b5c6d7e8f901234567",
            dirty=False,
            packages={"pandas": "3.1.1", "matplotlib": "3.11.2"},
        ),
        weights=WeightsInfo(
            status="untrained",
            description="random initialisation, tdBN statistics calibrated on the input",
            sha256="ab" * 32,
        ),
        data=DataInfo(
            name="photos",
            description="random crops of two photographs",
            sha256="cd" * 32,
            samples=2,
            labelled=False,
        ),
        snn=snn,
        twin=twin_profile(snn),
        paper_multiplication_layers=("conv1", "fc1", "fc2"),
        published=PUBLISHED,
        checks=(
            Check(
                name="twin dense MACs, fvcore",
                expected=2_270_000_000.0,
                measured=2_270_000_000.0,
                ok=True,
                note="per sample",
            ),
        ),
        folding=Folding(
            folded=19,
            remaining=0,
            output_max_abs_difference=3.1e-6,
            output_max_abs=2.4,
            flipped_spikes=2,
            spike_sites=1_000_000,
        ),
        timings=tuple(
            timing(name, ms, process=process)
            for process in (0, 1)
            for name, ms in (
                ("snn-dense-fused", 61.0),
                ("snn-event", 48.0),
                ("ann-twin", 14.0),
            )
        ),
        created_utc="2026-01-02T03:04:05+00:00",
    )
    return replace(result, **changes)  # type: ignore[arg-type]


def with_names(result: RunResult, name: str) -> RunResult:
    """``result`` whose title, first layer, benchmark and data are called ``name``."""
    layers = (replace(result.snn.layers[0], name=name), *result.snn.layers[1:])
    return replace(
        result,
        benchmark=name,
        title=name,
        data=replace(result.data, name=name, description=name),
        snn=replace(result.snn, layers=layers, warnings=(name,)),
    )


def with_uncounted(result: RunResult) -> RunResult:
    """``result`` in which one operation had no rule and one module never ran."""
    profile = replace(
        result.snn,
        uncounted=(Uncounted(module="head", operation="aten.cdist", calls=6, macs=None),),
        uncalled=("spare",),
        warnings=("the input holds 4 samples: rates of so few samples vary",),
    )
    return replace(result, snn=profile)


def trained(result: RunResult) -> RunResult:
    """``result`` with trained weights, labels and accuracies."""
    return replace(
        result,
        weights=replace(result.weights, status="trained", evidence="93.1 % on CIFAR-10"),
        data=replace(result.data, labelled=True),
        accuracy=Accuracy(correct=93, samples=100),
        twin_accuracy=Accuracy(correct=95, samples=100),
    )


def metered(result: RunResult) -> RunResult:
    """``result`` with one meter reading."""
    reading = EnergyMeasurement(name="ann-twin", joules=12.5, runs=50, method="rapl-package")
    return replace(result, energy_measured=(reading,))
