"""What the event engine executed and how long it took: its part of a result file.

Frozen dataclasses of the standard library; nothing here imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLayer:
    """Operations the engine executed for one layer.

    Attributes:
        name: Module name, as in the layers of the SNN.
        executed_adds: Additions of weights for spikes, counted by the event kernels themselves.
        padding_adds: Additions of zero rows that fill event lists up.
        executed_macs: Multiply-accumulates of dense kernels, zeros included, which follow from
            the layer's shape; an input that is the same at every timestep is computed once.
        expected_adds: Effective accumulates the profiler counts in the folded network when its
            neurons pass on the engine's spikes; ``None`` where the layer runs densely or has no
            synapses.
    """

    name: str
    executed_adds: int
    padding_adds: int
    executed_macs: int
    expected_adds: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStep:
    """One step of the engine's plan: the layers that feed a population of neurons, and those.

    Attributes:
        name: Name of the step, which is that of its neurons.
        kernel: Kernel that ran it, e.g. ``event`` or ``dense``.
        reason: Why it did not run event-driven; ``None`` if it did.
        layers: The layers computed in it.
        input_spikes: Spikes that its convolutions and linear layers receive over timesteps and
            samples; ``None`` if their input is not spikes.
        input_sites: Neurons x timesteps x samples those come from; ``None`` likewise.
        raw_seconds: Times of the step, one per call.
        dense_raw_seconds: Times of the same step run densely, one per call; empty if it was not
            timed.
    """

    name: str
    kernel: str
    reason: str | None
    layers: tuple[EngineLayer, ...]
    input_spikes: int | None
    input_sites: int | None
    raw_seconds: tuple[float, ...]
    dense_raw_seconds: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRun:
    """The event engine against the dense folded network on the same batch.

    Attributes:
        mode: ``auto``, ``event`` or ``dense``, as asked.
        weights_dtype: Number format of the weights in event kernels.
        threads: Threads of the engine.
        batch_size: Samples of the batch; counts and times below are those of the whole batch.
        compile_s: Time of compiling the network, with what the disk held of compiled kernels.
        output_max_abs_difference: Largest difference of the outputs.
        output_max_abs: Largest output, to read the difference against.
        flipped_spikes: Spikes that differ.
        flipped_by_rounding: Spikes that differ when the network's neurons pass on the engine's
            spikes, so that an earlier flip changes nothing later.
        spike_sites: Neurons x timesteps x samples compared.
        adds_ceiling_per_s: Float32 additions per second that one core's loads allow, measured on
            this machine.
        adds_ceiling_method: How that was measured.
        steps: Steps in order of execution.
    """

    mode: str
    weights_dtype: str
    threads: int
    batch_size: int
    compile_s: float
    output_max_abs_difference: float
    output_max_abs: float
    flipped_spikes: int
    flipped_by_rounding: int
    spike_sites: int
    adds_ceiling_per_s: float
    adds_ceiling_method: str
    steps: tuple[EngineStep, ...]
