"""``snnbench.compile``: a spiking network as an ``EventModel``, run from spikes to spikes."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from snnbench.core.errors import UsageError
from snnbench.engine.choose import choose
from snnbench.engine.execute import EventSegment, Executable
from snnbench.engine.explain import explain_plan
from snnbench.engine.kernels.segment import LayerAdds
from snnbench.engine.lowering.lower import lower
from snnbench.engine.plan import NeuronStep, Plan, fires
from snnbench.engine.program import Factory, Program, Settings, StepChoice
from snnbench.engine.store import Store
from snnbench.engine.synapses import expected_adds

WeightsDtype = Literal["float32", "float64", "int16", "bfloat16"]
Mode = Literal["auto", "event", "dense"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTime:
    """Wall-clock times of one step.

    Attributes:
        name: Name of the step.
        kernel: Kernel that ran it.
        seconds: Time of each run, with conversions between masks and tensors if this step is the
            first to need them.
    """

    name: str
    kernel: str
    seconds: tuple[float, ...]


def compile(  # noqa: A001 - used as snnbench.compile
    model: nn.Module,
    example: Tensor,
    *,
    weights_dtype: WeightsDtype = "float32",
    mode: Mode = "auto",
    threads: int | None = None,
    strict: bool = False,
) -> EventModel:
    """Compile a spiking network for event-driven inference on a CPU.

    Args:
        model: Network with neurons of ``snnbench.nn`` on [T, N, ...]; copied, left as it is.
            It is compiled as in evaluation mode, batch norms folded.
        example: Input as the model takes it: static [N, ...] if the model expands it over time, or
            [T, N, ...]. Later inputs differ from it in N only.
        weights_dtype: Number format in event kernels. ``float32`` gives the spikes of the dense
            network up to the order of summation; ``float64`` computes everything in double
            precision; ``int16`` and ``bfloat16`` round the weights.
        mode: ``event`` runs every layer of neurons by event kernels, ``dense`` none; ``auto`` times
            both on the example's spikes and takes the faster, layer by layer.
        threads: Threads of event kernels; by default as many as PyTorch has when they are made.
        strict: Raise where an unsupported layer would run densely.

    Returns:
        The compiled network, called as the model is.

    Raises:
        UsageError: An argument is not one of those above, or is not on the CPU.
        StructureError: The network cannot be lowered, or ``strict`` refuses a layer.
        WeightsError: A weight is NaN or infinite.
    """
    for name, value, known in (
        ("weights_dtype", weights_dtype, get_args(WeightsDtype)),
        ("mode", mode, get_args(Mode)),
    ):
        if value not in known:
            msg = f"{name} must be one of {', '.join(known)}, got {value!r}"
            raise UsageError(msg)
    if threads is not None and threads < 1:
        msg = f"threads is {threads}: choose 1 or more"
        raise UsageError(msg)
    plan = lower(model, example, strict=strict)
    settings = Settings(weights_dtype=weights_dtype, mode=mode, threads=threads)
    return EventModel(plan, settings, example)


class EventModel(nn.Module):
    """A spiking network compiled by ``snnbench.compile``.

    For inference only, without gradients. Calls from several threads wait for each other. It may
    be copied and pickled; kernels are made again at the next call, choices stay.

    Attributes:
        plan: Plan of the network.
        choices: Event or dense for each layer of neurons, in order.
    """

    def __init__(self, plan: Plan, settings: Settings, example: Tensor) -> None:
        super().__init__()
        self.training = False
        self.plan = plan
        self._settings = settings
        self._lock = threading.Lock()
        self._program: Program | None = None
        self._samples = example.shape[0 if plan.values[plan.input].static else 1]
        self.choices: tuple[StepChoice, ...] = ()
        self._expected: dict[int, int] = {}
        self._choose(self._checked(example))

    @torch.no_grad()
    def _choose(self, x: Tensor) -> None:
        if self._settings.mode == "auto":
            self.choices, self._expected, self._program = choose(self.plan, self._settings, x)
            return
        event = self._settings.mode == "event"
        steps = self.plan.neuron_steps
        self.choices = tuple(StepChoice(name=step.name, event=event) for step in steps)

        def expect(executable: Executable, store: Store) -> None:
            for step in executable.steps:
                if isinstance(step, NeuronStep):
                    self._expected[step.output] = expected_adds(step, self.plan, store)

        self._ready().run(x, visit=expect)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Compute the model's output, in the dtype of ``x``.

        Args:
            x: Floats, of the example's shape but for N, which may be 0.

        Raises:
            UsageError: ``x`` has another shape, or holds NaN or infinity.
        """
        checked = self._checked(x)
        with self._lock:
            return self._ready().run(checked).tensor(self.plan.output).to(x.dtype)

    @torch.no_grad()
    def spikes(self, x: Tensor) -> dict[str, Tensor]:
        """Return the spikes of every layer of neurons, bool [T, N, ...], by name."""
        checked = self._checked(x)
        spikes: dict[str, Tensor] = {}

        def keep(executable: Executable, store: Store) -> None:
            for step in executable.steps:
                if fires(step, self.plan):
                    spikes[step.name] = store.tensor(step.output).bool()

        with self._lock:
            self._ready().run(checked, visit=keep)
        return spikes

    @torch.no_grad()
    def count(self, x: Tensor) -> tuple[LayerAdds, ...]:
        """Count the additions that event kernels execute for an input, in order of layers.

        An instrumented build of the same kernels counts. Layers that run densely add no events and
        are left out.
        """
        checked = self._checked(x)
        adds: list[LayerAdds] = []

        def count(executable: Executable, store: Store) -> None:
            if isinstance(executable, EventSegment):
                adds.extend(executable.count(store))

        with self._lock:
            self._ready().run(checked, visit=count)
        return tuple(adds)

    @torch.no_grad()
    def time_steps(self, x: Tensor, runs: int) -> tuple[StepTime, ...]:
        """Time every step by itself, ``runs`` times after one to warm up."""
        checked = self._checked(x)
        with self._lock:
            program = self._ready()
            alone = program.alone()
            seconds: list[list[float]] = [[] for _ in alone]
            for run in range(runs + 1):
                store = program.factory.store()
                store.put(self.plan.input, checked)
                for executable, times in zip(alone, seconds, strict=True):
                    start = time.perf_counter()
                    executable.run(store)
                    if run:
                        times.append(time.perf_counter() - start)
        return tuple(
            StepTime(name=e.steps[0].name, kernel=e.kernels[0], seconds=tuple(times))
            for e, times in zip(alone, seconds, strict=True)
        )

    def explain(self) -> str:
        """Show the plan as a table: kernels, shapes, memory, expected additions, and reasons."""
        with self._lock:
            executables = self._ready().executables
        return explain_plan(
            self.plan, executables, self.choices, self._expected, samples=self._samples
        )

    def train(self, mode: bool = True) -> EventModel:
        """Refuse to train.

        Raises:
            UsageError: ``mode`` is true.
        """
        if mode:
            msg = "a compiled network is for inference only: train the model, then compile it"
            raise UsageError(msg)
        return self

    def extra_repr(self) -> str:
        """Size and settings for ``repr``."""
        steps = f"{len(self.plan.steps)} steps, T={self.plan.timesteps}"
        return f"{steps}, {self._settings.weights_dtype}, {self._settings.mode}"

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_lock", "_program")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._lock = threading.Lock()
        self._program = None

    def _ready(self) -> Program:
        if self._program is None:
            chosen = zip(self.plan.neuron_steps, self.choices, strict=True)
            events = [step.output for step, choice in chosen if choice.event]
            self._program = Program(Factory(self.plan, self._settings), events)
        return self._program

    def _checked(self, x: Tensor) -> Tensor:
        value = self.plan.values[self.plan.input]
        time = () if value.static else (self.plan.timesteps,)
        fits = x.shape[: len(time)] == time and x.shape[len(time) + 1 :] == value.shape
        if not (fits and x.is_floating_point() and x.device.type == "cpu"):
            wanted = ", ".join(map(str, (*time, "N", *value.shape)))
            msg = (
                f"this network was compiled for floats of shape [{wanted}] on the CPU, "
                f"got {x.dtype} {list(x.shape)} on {x.device}: compile it again for another shape"
            )
            raise UsageError(msg)
        converted = x.detach().to(self._settings.dtype)
        # a finite sum decides it fast; an infinite one may be an overflow
        if not (math.isfinite(converted.sum()) or converted.isfinite().all()):
            msg = (
                f"the input holds NaN or infinity in {converted.dtype}, for which spikes are not "
                "defined: clean it"
            )
            raise UsageError(msg)
        return converted
