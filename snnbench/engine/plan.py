"""The engine's intermediate representation: what a spiking network computes, in typed steps.

Values are the edges, steps the nodes, in order of execution. Batch norms are folded; a value has
neither batch nor time in its shape. ``lower`` makes plans, ``runtime`` runs them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from torch import Tensor, nn

from snnbench.nn.neuron import Neuron
from snnbench.nn.neuron_spec import NeuronSpec

ValueKind = Literal["dense", "spikes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """An input of the network, or the output of a step.

    Attributes:
        name: Name of the module that makes it, or ``input``.
        kind: ``dense`` reals, or ``spikes``, which are zero or one.
        shape: (C, H, W), (F,), or any other without time and batch.
        static: Whether it is the same at every timestep, and kept without the time axis.
    """

    name: str
    kind: ValueKind
    shape: tuple[int, ...]
    static: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EventCurrent:
    """A convolution of spikes: each spike adds rows of the weights. A ``Linear`` is a 1x1.

    Attributes:
        source: Index of a value of spikes.
        layer: Name of the convolution or ``Linear`` in the model.
        weight: [C_out, C_in, k_y, k_x], batch norm folded in.
        stride: (s_y, s_x).
        padding: (p_y, p_x), zeros.
    """

    source: int
    layer: str
    weight: Tensor
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SpikeScale:
    """Spikes times a constant of their channel: a shortcut without convolution.

    Attributes:
        source: Index of a value of spikes, of the output's shape.
        layer: Name of the ``ChannelAffine``, or of the neuron step where spikes are added as
            they are.
        scale: [C].
    """

    source: int
    layer: str
    scale: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseCurrent:
    """A current that a dense step has computed.

    Attributes:
        source: Index of a dense value of the output's shape; static ones flow at every timestep.
    """

    source: int


Current: TypeAlias = EventCurrent | SpikeScale | DenseCurrent


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NeuronStep:
    """One layer of neurons with all its input currents.

    Attributes:
        name: Name of the neurons in the model.
        currents: Input currents, at least one.
        bias: Sum of all biases and shifts, [C], float64.
        spec: Dynamics of the neurons, which kernels can compute.
        output: Index of the value of spikes.
    """

    name: str
    currents: tuple[Current, ...]
    bias: Tensor
    spec: NeuronSpec
    output: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DenseStep:
    """A module of PyTorch, run on dense tensors.

    It sees [T*N, ...], or [N, ...] if all its inputs are static; with ``keeps_time`` [T, N, ...].

    Attributes:
        name: Name of the layer, or of the operation where no layer does it.
        module: Module that takes the inputs in order.
        inputs: Indices of values.
        output: Index of the value it makes.
        reason: Why it has no event kernel.
        unsupported: Whether an event kernel is possible but missing in the engine.
        keeps_time: Whether the module works across time, or was written for [T, N, ...].
    """

    name: str
    module: nn.Module
    inputs: tuple[int, ...]
    output: int
    reason: str
    unsupported: bool = False
    keeps_time: bool = False


Step: TypeAlias = NeuronStep | DenseStep


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """A network as the engine runs it.

    Attributes:
        values: Values, which steps refer to by index.
        steps: Steps in order of execution.
        input: Index of the network's input; static for direct encoding, [N, ...], else
            [T, N, ...].
        output: Index of the network's output, [N, ...] if static, else [T, N, ...].
        timesteps: T.
    """

    values: tuple[Value, ...]
    steps: tuple[Step, ...]
    input: int
    output: int
    timesteps: int

    @property
    def neuron_steps(self) -> tuple[NeuronStep, ...]:
        """The layers of neurons that event kernels can run."""
        return tuple(step for step in self.steps if isinstance(step, NeuronStep))


def fires(step: Step, plan: Plan) -> bool:
    """Tell whether a step is a layer of neurons that puts out zeros and ones."""
    neurons = isinstance(step, NeuronStep) or isinstance(step.module, Neuron)
    return neurons and plan.values[step.output].kind == "spikes"


def step_inputs(step: Step) -> tuple[int, ...]:
    """List the indices of the values a step reads, in order, perhaps with repetitions."""
    if isinstance(step, DenseStep):
        return step.inputs
    return tuple(current.source for current in step.currents)


def unread_after(groups: Iterable[Sequence[Step]], output: int) -> list[list[int]]:
    """List for each group of steps the values, but for the output, that no later group reads."""
    reads = [{i for step in steps for i in step_inputs(step)} for steps in groups]
    last = {index: position for position, own in enumerate(reads) for index in own}
    return [
        [i for i in own if last[i] == position and i != output]
        for position, own in enumerate(reads)
    ]
