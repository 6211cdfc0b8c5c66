"""The fixture ``snn_benchmark``: count a model, compare it with its baseline, say what moved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from snnbench.compare.history.values import summary
from snnbench.compare.identity import check_allowed
from snnbench.compare.limits import limits
from snnbench.core.errors import UsageError
from snnbench.render.escape import printable
from snnbench.results.run import DataInfo, RunResult
from snnbench.run.single import count_model
from snnbench.testing.baselines import Baselines, keep
from snnbench.zoo.weight_files import state_sha256

if TYPE_CHECKING:
    from torch import Tensor, nn


_MARKER = "snn_benchmark"
_KEYWORDS = {"fail_above", "exact", "allow"}
_NO_NEURON = "no spiking neuron is known in the model: pass neurons=(MyNeuron,) to count spikes"
EXTRA_INFO = "snnbench"
"""Key in pytest-benchmark's ``extra_info``."""


class SnnBenchmark:
    """Counts models in one test, and compares them with its baselines.

    Attributes:
        results: Results so far, by the test's node id, followed by a colon and the name of the
            call if it has one.
    """

    def __init__(self, request: pytest.FixtureRequest, notes: list[str]) -> None:
        self.results: dict[str, RunResult] = {}
        self._notes = notes
        self._request = request
        self._node_id = request.node.nodeid.encode("utf-8", "backslashreplace").decode()
        options = request.config.option
        self._results_folder = options.snnbench_results
        self._baselines = Baselines(
            folder=options.snnbench_baseline and Path(options.snnbench_baseline),
            update=options.snnbench_update,
            notes=notes,
            **_rules(request.node.get_closest_marker(_MARKER)),
        )

    def __call__(
        self,
        model: nn.Module,
        x: Tensor,
        *,
        timesteps: int,
        layout: str = "step",
        name: str = "",
        batch_size: int | None = None,
        neurons: tuple[type[nn.Module], ...] = (),
        accuracy: tuple[int, int] | None = None,
        strict: bool = False,
    ) -> RunResult:
        """Count ``model`` on ``x``; fail the test where that is worse than the baseline.

        The model runs in evaluation mode, without gradients. Neurons that keep a membrane
        potential must be reset before, as before any other input.

        Args:
            model: Any module.
            x: Input, [T, N, ...] (``step``, ``TN``), [N, T, ...] (``NT``) or [N, ...] (``loop``).
            timesteps: T.
            layout: How the model is called: once per timestep (``step``), once and loops over time
                itself (``loop``), or once with all timesteps (``TN``, ``NT``).
            name: Name of this call, if a test has several.
            batch_size: N, if it does not follow from the shape of ``x``.
            neurons: Further classes of spiking neurons.
            accuracy: Numbers of correct answers and samples, to be gated with the counts.
            strict: Stop at the first operation that has no counting rule.

        Returns:
            The result, as ``snnbench.load`` reads it from the baseline.

        Raises:
            UsageError: An argument is wrong, or two calls have the same name.
            ResultError: The baseline is damaged.
            OutputError: A result cannot be written.
        """
        benchmark = f"{self._node_id}:{name}" if name else self._node_id
        if benchmark in self.results:
            msg = f"{benchmark} is counted twice in one test: give each call a name of its own"
            raise UsageError(msg)
        result = count_model(
            model,
            x,
            benchmark=benchmark,
            weights="as the test made them",
            data=lambda samples: DataInfo(
                name="test input",
                description="the tensor that the test passed",
                sha256=state_sha256({"x": x.detach().cpu()}),
                samples=samples,
                labelled=accuracy is not None,
            ),
            timesteps=timesteps,
            layout=layout,
            batch_size=batch_size,
            neurons=neurons,
            accuracy=accuracy,
            strict=strict,
        )
        self.results[benchmark] = result
        if not result.snn.neurons:
            self._notes.append(f"{printable(benchmark)}: {_NO_NEURON}")
        self._add_extra_info(result)
        if self._results_folder:
            keep(result, Path(self._results_folder))
        self._baselines.check(result)
        return result

    def _add_extra_info(self, result: RunResult) -> None:
        """Add the numbers to the file of pytest-benchmark, if the test uses its fixture."""
        plugins = self._request.config.pluginmanager
        if not any(map(plugins.hasplugin, ("benchmark", "pytest_benchmark.plugin"))):
            return
        if "benchmark" in self._request.fixturenames:
            benchmark = self._request.getfixturevalue("benchmark")
            benchmark.extra_info.setdefault(EXTRA_INFO, []).append(summary(result))


def _rules(mark: pytest.Mark | None) -> dict[str, Any]:
    """Limits and allowed keys that the marker of a test gives."""
    given = {} if mark is None else dict(mark.kwargs)
    lists = [given.get(key, ()) for key in ("fail_above", "allow")]
    wrong = given.keys() - _KEYWORDS
    if wrong or (mark is not None and mark.args) or any(isinstance(x, str) for x in lists):
        msg = (
            "@pytest.mark.snn_benchmark takes fail_above=[...], exact=True and allow=[...], such "
            'as fail_above=["synops:1%"]'
        )
        raise UsageError(msg)
    return {
        "limits": limits(lists[0], exact=bool(given.get("exact"))),
        "allowed": check_allowed(lists[1]),
    }
