import pytest
import torch

from snnbench.nn.twin import ann_twin
from snnbench.run.checks import fvcore_macs
from snnbench.zoo import registry


@pytest.mark.parametrize("name", ["resnet19", "plain20"])
def test_fvcore_counts_the_closed_form(name: str):
    benchmark = registry.get(name)
    twin = ann_twin(benchmark.build()).eval()
    macs, unsupported = fvcore_macs(twin, torch.zeros(1, *benchmark.card.input.shape))
    assert macs == benchmark.card.expected.twin_dense_macs
    assert unsupported["aten::mean"] == 1
    assert "aten::_convolution" not in unsupported
