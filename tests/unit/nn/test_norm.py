import pytest
import torch
from torch import nn

from snnbench.core.errors import StructureError
from snnbench.nn.blocks import conv_norm
from snnbench.nn.neuron import LIF
from snnbench.nn.norm import ChannelAffine, ThresholdDependentBatchNorm2d, calibrate_batch_norm


def samples(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(*shape, generator=generator, dtype=torch.float64) * 3 + 1


def tdbn(**options: float) -> ThresholdDependentBatchNorm2d:
    norm = ThresholdDependentBatchNorm2d(4, **options).double()
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([0.5, -1.0, 2.0, 0.0]))
        norm.bias.copy_(torch.tensor([0.25, 1.0, -1.0, 3.0]))
    return norm


def per_channel(values: torch.Tensor) -> torch.Tensor:
    return values.reshape(1, -1, 1, 1)


@pytest.mark.parametrize(("alpha", "threshold"), [(1.0, 1.0), (0.7071, 1.0), (0.5, 3.0)])
def test_training_matches_equations_4_to_8(alpha: float, threshold: float):
    x, norm = samples(6, 4, 5, 5), tdbn(alpha=alpha, threshold=threshold)
    mean = per_channel(x.mean(dim=(0, 2, 3)))
    var = per_channel(((x - mean) ** 2).mean(dim=(0, 2, 3)))
    x_hat = alpha * threshold * (x - mean) / torch.sqrt(var + norm.eps)
    expected = per_channel(norm.weight) * x_hat + per_channel(norm.bias)
    torch.testing.assert_close(norm(x), expected, rtol=1e-12, atol=1e-12)


def test_inference_uses_the_running_statistics_and_changes_nothing():
    x, norm = samples(6, 4, 5, 5), tdbn(alpha=0.5, threshold=2.0).eval()
    norm.running_mean.copy_(torch.arange(4.0))
    norm.running_var.copy_(torch.arange(1.0, 5.0))
    state = {name: value.clone() for name, value in norm.state_dict().items()}
    x_hat = (x - per_channel(torch.arange(4.0))) / per_channel(torch.arange(1.0, 5.0) + 1e-5).sqrt()
    expected = per_channel(norm.weight) * x_hat + per_channel(norm.bias)
    torch.testing.assert_close(norm(x), expected)
    assert all(torch.equal(value, state[name]) for name, value in norm.state_dict().items())


def test_fresh_layer_normalises_to_alpha_times_threshold():
    norm = ThresholdDependentBatchNorm2d(4, alpha=0.5, threshold=3.0).double()
    y = norm(samples(8, 4, 9, 9))
    torch.testing.assert_close(
        y.std(dim=(0, 2, 3), correction=0), torch.full((4,), 1.5).double(), rtol=1e-5, atol=0
    )


@pytest.mark.parametrize("momentum", [0.1, None])
def test_running_statistics_are_those_of_batch_norm(momentum: float | None):
    ours = ThresholdDependentBatchNorm2d(4, alpha=0.5, momentum=momentum).double()
    theirs = nn.BatchNorm2d(4, momentum=momentum).double()
    for scale in (1.0, 2.0, 5.0):
        ours(samples(3, 4, 5, 5) * scale)
        theirs(samples(3, 4, 5, 5) * scale)
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, rtol=1e-12, atol=0)


def test_gradients_are_right():
    norm = tdbn(alpha=0.5, threshold=2.0)
    assert torch.autograd.gradcheck(norm, samples(3, 4, 2, 2).requires_grad_())


def test_channel_affine_scales_and_shifts_per_channel():
    layer = ChannelAffine(torch.tensor([2.0, -1.0]), torch.tensor([0.5, 3.0]))
    assert layer(torch.ones(1, 2, 1, 2)).tolist() == [[[[2.5, 2.5]], [[2.0, 2.0]]]]
    assert layer(torch.tensor([[1.0, 0.0]])).tolist() == [[2.5, 3.0]]


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = (conv_norm(2, 8, 3), LIF(), conv_norm(8, 8, 3, stride=2, alpha=0.5), LIF())
    return nn.Sequential(*layers).double()


def test_calibrated_evaluation_equals_the_forward_in_training_mode():
    x, net = samples(3, 2, 2, 8, 8), network()
    trained = net.train()(x)
    assert calibrate_batch_norm(net, x) == 2
    assert torch.equal(net.eval()(x), trained)
    assert 0.01 < trained.mean().item() < 0.4


def test_calibration_takes_the_biased_statistics_of_the_batch():
    x, norm = samples(3, 4, 2, 2), tdbn()
    calibrate_batch_norm(norm, x)
    torch.testing.assert_close(norm.running_mean, x.mean(dim=(0, 2, 3)))
    torch.testing.assert_close(norm.running_var, x.var(dim=(0, 2, 3), correction=0))
    assert norm.num_batches_tracked == 1


def test_calibration_restores_modes_and_leaves_parameters_and_hooks():
    net = network()
    net[0].eval()
    modes = [module.training for module in net.modules()]
    parameters = {name: p.clone() for name, p in net.named_parameters()}
    calibrate_batch_norm(net, samples(3, 2, 2, 8, 8))
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(p, parameters[name]) for name, p in net.named_parameters())
    assert all(not module._forward_pre_hooks for module in net.modules())
    assert {m.momentum for m in net.modules() if isinstance(m, nn.BatchNorm2d)} == {0.1}


def test_calibration_on_a_constant_input_stays_finite():
    net = network()
    calibrate_batch_norm(net, torch.zeros(3, 2, 2, 8, 8, dtype=torch.float64))
    assert net.eval()(samples(3, 2, 2, 8, 8)).isfinite().all()


def test_calibration_refuses_a_batch_norm_in_a_loop_over_time_and_restores():
    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm2d(4)

        def forward(self, x):
            return torch.stack([self.norm(frame) for frame in x])

    loop = Loop().double()
    with pytest.raises(StructureError, match="batch norm 'norm' runs more than once per forward"):
        calibrate_batch_norm(loop, samples(2, 3, 4, 2, 2))
    assert loop.norm.training
    assert not loop.norm._forward_pre_hooks
