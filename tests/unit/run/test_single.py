from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snnbench.core.errors import UsageError
from snnbench.nn.layout import LAYOUTS
from snnbench.nn.neuron import LIF
from snnbench.results.run import DataInfo, RunResult
from snnbench.run.single import count_model

T, N = 3, 2


class Net(nn.Module):
    """One layer, called in any layout; its neurons keep nothing between timesteps."""

    def __init__(self, layout: str) -> None:
        super().__init__()
        self.layout = layout
        self.synapses, self.neurons = nn.Linear(4, 5), LIF(decay=0.0, threshold=0.1)

    def forward(self, x: Tensor) -> Tensor:
        if self.layout == "loop":
            return torch.stack([self.step(x) for _ in range(T)])
        if self.layout == "step":
            return self.step(x)
        return self.neurons(self.synapses(x if self.layout == "TN" else x.transpose(0, 1)))

    def step(self, x: Tensor) -> Tensor:
        return self.neurons(self.synapses(x)[None])[0]


def counted(layout: str, x: Tensor, **options: Any) -> RunResult:
    torch.manual_seed(0)
    return count_model(
        Net(layout),
        x,
        benchmark="net",
        weights="random",
        data=lambda samples: DataInfo(
            name="x", description="", sha256="", samples=samples, labelled=False
        ),
        timesteps=T,
        layout=layout,
        **options,
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_counts_the_same_work(layout: str):
    step = torch.bernoulli(torch.full((N, 4), 0.5), generator=torch.Generator().manual_seed(1))
    x = LAYOUTS[layout].arrange(step.expand(T, N, 4))
    result = counted(layout, x)
    dense = T * N * 4 * 5
    assert result.snn.dense.acs == dense
    assert result.snn.effective.acs == T * int(step.sum()) * 5
    assert (result.snn.samples, result.snn.timesteps) == (N, T)
    assert result.input_shape == (4,)
    assert (result.config.layout, result.config.batch_size, result.data.samples) == (layout, N, N)
    (neurons,) = result.snn.neurons
    assert neurons.spikes_per_timestep is not None
    assert len(set(neurons.spikes_per_timestep)) == 1


def test_arguments_that_cannot_be_are_refused():
    x = torch.zeros(T, N, 4)
    with pytest.raises(UsageError, match="layout must be one of step, loop, TN, NT, not 'NCT'"):
        counted("NCT", x)
    with pytest.raises(UsageError, match=r"takes x of \[T, N, ...\] with T = 3, not \[2, 2, 4\]"):
        counted("step", x[1:])
    with pytest.raises(UsageError, match=r"takes x of \[T, N, ...\] with T = 3, not \[4, 3, 4\]"):
        counted("TN", torch.zeros(T + 1, T, 4))
    with pytest.raises(UsageError, match=r"takes x of \[N, T, ...\] with T = 3, not \[3, 4, 4\]"):
        counted("NT", torch.zeros(T, T + 1, 4))
    with pytest.raises(UsageError, match=r"torch.stack\(\[x\] \* 3, dim=1\)"):
        counted("NT", torch.zeros(T))
    with pytest.raises(UsageError, match=r"accuracy is \(correct, samples\)"):
        counted("TN", x, accuracy=(3, 2))
    with pytest.raises(UsageError, match=r"an input of \[3, 0, 4\] holds nothing to count"):
        counted("TN", x[:, :0])
