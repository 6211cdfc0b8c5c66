"""A plan made ready to run: packed kernels, prepacked layers, steps by events or densely."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from snnbench.engine.execute import DenseLayer, DenseNeurons, EventSegment, Executable
from snnbench.engine.kernels.neuron_kernel import NeuronKernel
from snnbench.engine.kernels.segment import Segment
from snnbench.engine.kernels.workspace import Workspace
from snnbench.engine.plan import DenseStep, NeuronStep, Plan, SpikeScale, Step, unread_after
from snnbench.engine.store import Store

_LITTLE_WORK_MACS = 2e8  # some two milliseconds on one processor


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of a compiled network.

    Attributes:
        weights_dtype: Number format in event kernels; with ``float64`` all else is float64 too.
        mode: ``auto``, ``event`` or ``dense``.
        threads: Threads of event kernels; ``None`` for as many as PyTorch has.
    """

    weights_dtype: str
    mode: str
    threads: int | None

    @property
    def dtype(self) -> torch.dtype:
        """Number format of currents, potentials and dense layers."""
        return torch.float64 if self.weights_dtype == "float64" else torch.float32


@dataclass(frozen=True, slots=True, kw_only=True)
class StepChoice:
    """Whether a neuron step runs by events or densely, and the times that decided it.

    Attributes:
        name: Name of the step.
        event: Whether it runs by event kernels.
        event_s: Seconds by event kernels on the example; ``None`` if not measured.
        dense_s: Seconds densely, from tensors to tensors; ``None`` if not measured. T times the
            time of one timestep, if that was long and clearly slower than events.
    """

    name: str
    event: bool
    event_s: float | None = None
    dense_s: float | None = None


class Program:
    """Runs the plan of a factory, with event kernels for the neuron steps of some outputs.

    Attributes:
        executables: Executables of all steps, in order.
    """

    def __init__(self, factory: Factory, events: Collection[int]) -> None:
        self._plan = plan = factory.plan
        self.factory = factory
        self._events = frozenset(events)
        self.executables = tuple(self._build())
        self._shares_processors = self.factory.threads > 1 and any(
            isinstance(executable, EventSegment) for executable in self.executables
        )
        self._freed_after = unread_after((e.steps for e in self.executables), plan.output)

    def run(
        self, x: Tensor, *, visit: Callable[[Executable, Store], object] | None = None
    ) -> Store:
        """Run all steps, and forget values that no later step reads.

        Args:
            x: The plan's input, in the program's dtype.
            visit: Called after each executable, while its inputs are still there.
        """
        store = self.factory.store()
        store.put(self._plan.input, x)
        samples = x.shape[0 if self._plan.values[self._plan.input].static else 1]
        threads = torch.get_num_threads()
        try:
            for executable, freed in zip(self.executables, self._freed_after, strict=True):
                if self._shares_processors and threads > 1:
                    self._choose_torch_threads(executable, samples, threads)
                executable.run(store)
                if visit is not None:
                    visit(executable, store)
                for index in freed:
                    store.free(index)
        finally:
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
        return store

    @staticmethod
    def _choose_torch_threads(executable: Executable, samples: int, most: int) -> None:
        """Give PyTorch one thread for little work between event kernels on several threads.

        PyTorch's other threads would go on spinning for some milliseconds after their work, on the
        processors that event kernels need next.
        """
        much = isinstance(executable, DenseNeurons) or (
            isinstance(executable, DenseLayer) and executable.macs(samples) > _LITTLE_WORK_MACS
        )
        wanted = most if much else 1
        if torch.get_num_threads() != wanted:
            torch.set_num_threads(wanted)

    def alone(self) -> tuple[Executable, ...]:
        """Build an executable for each single step, sharing weights with this program."""
        single: list[Executable] = []
        for executable in self.executables:
            if isinstance(executable, EventSegment):
                single += [self.factory.events([step]) for step in executable.steps]
            else:
                single.append(executable)
        return tuple(single)

    def _build(self) -> Iterator[Executable]:
        for by_events, group in groupby(self._plan.steps, key=lambda s: s.output in self._events):
            if by_events:
                neurons = [step for step in group if isinstance(step, NeuronStep)]
                yield from (self.factory.events(part) for part in _segments(neurons))
            else:
                yield from (self.factory.dense(step) for step in group)


class Factory:
    """Makes executables for the steps of a plan.

    Attributes:
        kernels: Kernels packed so far, by output of their step.
    """

    def __init__(
        self, plan: Plan, settings: Settings, kernels: dict[int, NeuronKernel] | None = None
    ) -> None:
        self.plan = plan
        self.settings = settings
        self.threads = settings.threads or torch.get_num_threads()
        self._workspace = Workspace()
        self.kernels = kernels or {}

    def store(self) -> Store:
        """Make an empty store for one call."""
        return Store(self.plan.values, self.plan.timesteps, self.settings.dtype)

    def events(self, steps: list[NeuronStep]) -> EventSegment:
        """Make an executable that runs consecutive neuron steps by event kernels."""
        segment = Segment([self._kernel(step) for step in steps], self._workspace)
        return EventSegment(steps, segment)

    def dense(self, step: Step) -> Executable:
        """Make an executable that runs a step in PyTorch."""
        if isinstance(step, DenseStep):
            return DenseLayer(step, self.plan, self.settings.dtype)
        return DenseNeurons(step, self.plan, self.settings.dtype)

    def _kernel(self, step: NeuronStep) -> NeuronKernel:
        if step.output not in self.kernels:
            self.kernels[step.output] = NeuronKernel(
                step,
                self.plan.values,
                timesteps=self.plan.timesteps,
                weights_dtype=self.settings.weights_dtype,
                threads=self.threads,
            )
        return self.kernels[step.output]


def _segments(steps: Sequence[NeuronStep]) -> list[list[NeuronStep]]:
    """Divide steps into segments that kernels run in one call.

    A step with several scales of spikes begins a new segment: kernels take one scale, the others
    are summed before the segment runs, so their spikes must be there by then.
    """
    parts: list[list[NeuronStep]] = []
    for step in steps:
        if not parts or sum(isinstance(c, SpikeScale) for c in step.currents) > 1:
            parts.append([])
        parts[-1].append(step)
    return parts
