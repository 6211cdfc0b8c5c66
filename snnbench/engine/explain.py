"""The plan of a compiled network, printed as a table."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from snnbench.engine.execute import Executable
from snnbench.engine.plan import DenseStep, EventCurrent, Plan, SpikeScale, Step, step_inputs
from snnbench.engine.program import StepChoice

_WIDTH = 180


def explain_plan(
    plan: Plan,
    executables: Sequence[Executable],
    choices: Sequence[StepChoice],
    expected: Mapping[int, int],
    *,
    samples: int,
) -> str:
    """Render a plan as plain text.

    ``executables`` has one entry for each of the plan's steps, ``choices`` one for each of its
    layers of neurons, in order; ``expected`` maps a step's output to the additions expected on an
    example of ``samples`` samples.
    """
    table = Table(box=SIMPLE, pad_edge=False)
    for name in ("step", "kernel", "layout"):
        table.add_column(name, overflow="fold")
    table.add_column("buffers in bytes", justify="right")
    table.add_column("expected adds", justify="right")
    table.add_column("why", overflow="fold")
    chosen = dict(zip((s.output for s in plan.neuron_steps), choices, strict=True))
    for executable in executables:
        sizes = executable.buffer_bytes(samples)
        for step, kernel, size in zip(executable.steps, executable.kernels, sizes, strict=True):
            adds = expected.get(step.output)
            table.add_row(
                step.name,
                kernel,
                _layout(plan, step),
                f"{size:,}",
                "" if adds is None else f"{adds:,}",
                _why(step, chosen.get(step.output)),
            )
    out = io.StringIO()
    console = Console(file=out, width=_WIDTH, color_system=None)
    console.print(
        f"T = {plan.timesteps}, {len(plan.steps)} steps; bytes and additions for the example, "
        f"N = {samples}; layouts are masks of spikes unless marked dense or static"
    )
    console.print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def _layout(plan: Plan, step: Step) -> str:
    """Write the shapes of inputs and output; an unmarked shape is that of spike masks."""
    ins = " + ".join(_shape(plan, i) for i in dict.fromkeys(step_inputs(step)))
    return f"{ins} -> {_shape(plan, step.output)}"


def _shape(plan: Plan, index: int) -> str:
    value = plan.values[index]
    kind = "" if value.kind == "spikes" else "static " if value.static else "dense "
    return f"{kind}{'x'.join(map(str, value.shape))}"


def _why(step: Step, choice: StepChoice | None) -> str:
    if isinstance(step, DenseStep):
        return step.reason
    if not any(isinstance(c, EventCurrent | SpikeScale) for c in step.currents):
        return "neurons only"
    if choice is None or choice.event_s is None or choice.dense_s is None:
        return "set by mode"
    times = f"events {choice.event_s * 1e3:.3g} ms, dense {choice.dense_s * 1e3:.3g} ms"
    # conversions beside a neighbour that runs the other way, or a tie
    decided = choice.event == (choice.event_s < choice.dense_s)
    return times if decided else f"{times}; conversions or a tie decide"
