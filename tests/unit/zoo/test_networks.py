"""Networks as cards, options and weights ask for them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import torch
from torch import nn

from snnbench.core.errors import StructureError, UsageError
from snnbench.nn.neuron import IF, LIF
from snnbench.zoo import networks, registry
from snnbench.zoo.card import Card


class Lazy(LIF):
    """A neuron of somebody else's."""

    def __init__(self, *, threshold: float) -> None:
        super().__init__(threshold=2 * threshold)


class Choosy(LIF):
    """A neuron that checks its constants in a way of its own."""

    def __init__(self, *, tau: float | None = None) -> None:
        if tau is None:
            msg = "no tau"
            raise ValueError(msg)
        super().__init__()


def card(**neuron: object) -> Card:
    return msgspec.structs.replace(registry.get("resnet19").card, neuron=neuron)


def test_a_card_names_its_neurons() -> None:
    make = networks.neurons_of(card(decay=0.5))
    one, other = make(), make()
    assert type(one) is LIF
    assert one is not other
    assert one.decay == 0.5
    assert type(networks.neurons_of(card(**{"class": "IF"}))()) is IF
    own = networks.neurons_of(card(**{"class": f"{__name__}:Lazy", "threshold": 1.0}))()
    assert type(own) is Lazy
    assert own.threshold == 2.0


@pytest.mark.parametrize(
    ("neuron", "message"),
    [
        ({"class": "Fish"}, "card resnet19: Fish is not a class of neurons"),
        ({"class": "torch.nn:Linear"}, "torch.nn:Linear is not a class of neurons"),
        ({"class": 3}, "3 is not a class of neurons"),
        ({"class": "nowhere:Fish"}, "neuron class nowhere:Fish cannot be loaded: No module named"),
        ({"class": ":Fish"}, "neuron class :Fish cannot be loaded: Empty module name"),
        ({"class": ".near:Fish"}, "neuron class .near:Fish cannot be loaded: .*relative import"),
        ({"class": f"{__name__}:Choosy"}, "Choosy does not take the constants .*: no tau"),
        ({"class": "Neuron"}, "neurons of class Neuron have no threshold"),
        ({"class": "IF", "decay": 0.5}, "IF does not take the constants of the card: .*'decay'"),
        ({"decay": "fast"}, "LIF does not take the constants of the card: '<=' not supported"),
        ({"decay": 2.0}, r"LIF: decay must lie in \[0, 1\], got 2.0"),
        ({"class": f"{__name__}:Lazy"}, "Lazy does not take .* missing .* 'threshold'"),
    ],
)
def test_neurons_that_do_not_exist_are_one_line(neuron: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        networks.neurons_of(card(**neuron))
    assert "\n" not in str(caught.value)


def test_a_twin_starts_from_small_linear_weights_and_is_channels_last() -> None:
    benchmark = registry.get("resnet19")
    asked = {"timesteps": 1, "width": 0.125, "options": {"shortcut": "identity"}}
    torch.manual_seed(0)
    network = networks.build(benchmark, **asked)
    torch.manual_seed(0)
    twin = networks.build(benchmark, **asked, twin=True, channels_last=True)
    weight = "head.hidden.weight"
    assert twin.get_parameter(weight).std() < network.get_parameter(weight).std() / 2
    conv = "block1.0.synapses.0.conv.weight"
    assert torch.equal(twin.get_parameter(conv), network.get_parameter(conv))
    assert twin.get_parameter(conv).is_contiguous(memory_format=torch.channels_last)
    assert isinstance(network.get_submodule("block1.1.shortcut"), nn.Identity)


@pytest.mark.parametrize(
    ("outputs", "found"),
    [
        (lambda x: x.new_zeros(4, len(x), 10), r"\[4, 1, 10\]"),
        (lambda x: x.new_zeros(len(x), 50), r"\[1, 50\]"),
        (lambda x: (x.new_zeros(len(x), 10), None), "a tuple"),
    ],
    ids=["every timestep", "voters", "a tuple"],
)
def test_a_network_returns_one_number_for_each_class(outputs: Any, found: str) -> None:
    network = nn.Module()
    network.forward = outputs
    with pytest.raises(
        StructureError, match=rf"the network returns {found} for one sample, not \[1, 10\]"
    ):
        networks.check_outputs(network, card(), torch.zeros(1, 3, 32, 32))
    assert network.training
    networks.check_outputs(nn.Linear(4, 10), card(), torch.zeros(1, 4))
