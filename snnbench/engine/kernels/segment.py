"""A sequence of neuron steps run from spike masks to spike masks in one call of the kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from snnbench.core.threads import run_on_threads
from snnbench.engine.kernels.loops import COUNTERS, run_steps
from snnbench.engine.kernels.masks import Masks
from snnbench.engine.kernels.neuron_kernel import Bound, NeuronKernel
from snnbench.engine.kernels.pack import element_dtype
from snnbench.engine.kernels.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerAdds:
    """Additions that the engine executed for one layer in one call.

    Attributes:
        layer: Name of the module.
        executed: One per weight added for a spike.
        padding: Additions of rows of zeros that pad event lists.
    """

    layer: str
    executed: int
    padding: int


@dataclass(frozen=True, slots=True)
class _Call:
    """Arguments of ``run_steps`` for one number of samples.

    Attributes:
        samples: N.
        version: Version of the workspace's addresses.
        outputs: Masks that the kernels write, by index of the plan's values.
        entered: Kernels that read values from outside the segment, with views of their arguments;
            addresses of the other kernels stay the same.
    """

    samples: int
    version: int
    outputs: dict[int, Masks]
    entered: list[tuple[NeuronKernel, Bound]]
    neurons: NDArray[np.generic]
    passes: NDArray[np.void]
    steps: NDArray[np.void]


class Segment:
    """Runs neuron steps one after another, without returning to Python in between.

    Not to be called by two threads at once: steps share scratch memory and the masks they write.

    Args:
        kernels: Kernels in order, of one weights' format and number of threads. Each reads values
            from outside or outputs of those before it.
        workspace: Scratch memory, shared with other segments of the model.
    """

    def __init__(self, kernels: Sequence[NeuronKernel], workspace: Workspace) -> None:
        self.kernels = tuple(kernels)
        self._threads = kernels[0].threads
        self._workspace = workspace
        self._real = kernels[0].real
        self._witness = element_dtype(kernels[0].weights_dtype).type(0)
        self._call: _Call | None = None

    def __call__(self, sources: Mapping[int, Masks | Tensor]) -> dict[int, Masks]:
        """Compute spikes of all timesteps, by index of the plan's values.

        The next call overwrites them.

        Args:
            sources: By index, masks or dense currents [T, N, C, H, W] or [N, C, H, W] (the same
                at every timestep).
        """
        return self._run(sources, None)

    def count(self, sources: Mapping[int, Masks | Tensor]) -> tuple[LayerAdds, ...]:
        """Count each layer's additions, in order, with the instrumented build of the kernels."""
        layers = [layer for kernel in self.kernels for layer in kernel.pass_layers]
        counts = np.zeros((self._threads, len(layers), 2), np.int64)
        self._run(sources, counts)
        totals: dict[str, NDArray[np.int64]] = {}
        for layer, count in zip(layers, counts.sum(axis=0), strict=True):
            totals[layer] = totals.get(layer, np.zeros(2, np.int64)) + count
        return tuple(
            LayerAdds(layer=layer, executed=int(executed), padding=int(padding))
            for layer, (executed, padding) in totals.items()
        )

    def _run(
        self, sources: Mapping[int, Masks | Tensor], counts: NDArray[np.int64] | None
    ) -> dict[int, Masks]:
        samples = self.kernels[0].samples(sources)
        call = self._call
        if call is None or call.samples != samples or call.version != self._workspace.version:
            call = self._call = self._bind(samples)
        known = {**sources, **call.outputs}
        alive = [kernel.enter(part, known) for kernel, part in call.entered]
        counters = np.zeros((len(call.steps), COUNTERS), np.int64)
        real = self._real.type(0)

        def run(thread: int) -> None:
            run_steps(
                self._witness, real, call.neurons, call.passes, call.steps, counters, thread, counts
            )

        run_on_threads(self._threads, run)
        del alive  # currents whose addresses were in use until here
        return dict(call.outputs)

    def _bind(self, samples: int) -> _Call:
        version = -1
        while version != self._workspace.version:  # a buffer that grew has moved
            version = self._workspace.version
            parts = [kernel.bind(samples, self._workspace) for kernel in self.kernels]
        passes = np.concatenate([part.passes for part in parts])
        steps = np.concatenate([part.steps for part in parts])
        neurons = np.repeat(
            np.array([kernel.neuron for kernel in self.kernels], self._real),
            [len(part.steps) for part in parts],
            axis=0,
        )
        outputs = {k.output: part.out for k, part in zip(self.kernels, parts, strict=True)}
        entered, first_pass, first_step = [], 0, 0
        for kernel, part in zip(self.kernels, parts, strict=True):
            last_pass, last_step = first_pass + len(part.passes), first_step + len(part.steps)
            own = steps[first_step:last_step]
            own["first_pass"], own["passes"] = first_pass, len(part.passes)
            view = Bound(passes[first_pass:last_pass], own, part.out)
            if kernel.sums_dense or not kernel.sources <= outputs.keys():
                entered.append((kernel, view))
            else:
                kernel.enter(view, outputs)
            first_pass, first_step = last_pass, last_step
        return _Call(samples, version, outputs, entered, neurons, passes, steps)
