from dataclasses import replace

import msgspec
from support.factories import make_result, with_names

from snnbench.energy.models import get
from snnbench.metrics import dataframes
from snnbench.render import figures
from snnbench.render.canvas import label_layers, power_of_ten, style
from snnbench.render.figures import energy_figure, operations_figure, spikes_figure, timestep_figure
from snnbench.results.counts import OpCount


def test_a_name_the_font_lacks_is_drawn_without_a_warning():
    with style():
        plot = spikes_figure(with_names(make_result(), "脉冲"))

    assert plot.png.startswith(b"\x89PNG")


def test_unknown_timesteps_draw_firing_rates():
    result = make_result()
    with style():
        plot = spikes_figure(replace(result, snn=replace(result.snn, timesteps=None)))

    assert b"Firing rate" in plot.svg
    assert b"T unknown" in plot.svg


def test_a_network_without_neurons_has_no_spike_figure():
    result = make_result()
    layers = tuple(layer for layer in result.snn.layers if layer.output_spikes is None)
    with style():
        assert spikes_figure(replace(result, snn=replace(result.snn, layers=layers))) is None


def test_labels_of_many_layers_never_overlap():
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    label_layers(axes.yaxis, [f"layer{i}" for i in range(500)], inches=10)

    assert 70 <= len(axes.get_yticks()) <= 10 / 0.115


def test_power_of_ten():
    assert [power_of_ten(value) for value in (1e6, 0.01)] == ["10⁶", "10⁻²"]


def test_a_silent_layer_stays_in_the_figure_of_operations():
    result = make_result()
    silent = tuple(
        replace(layer, effective=OpCount()) if layer.name == "fc2" else layer
        for layer in result.snn.layers
    )
    with style():
        plot = operations_figure(result)
        one_silent = operations_figure(replace(result, snn=replace(result.snn, layers=silent)))

    assert plot.alt == one_silent.alt
    assert b"<!-- fc2 -->" in one_silent.svg


def test_a_network_that_never_fires_or_multiplies_has_no_figure_of_operations():
    result = make_result(twin=None)
    silent = tuple(replace(layer, effective=OpCount()) for layer in result.snn.layers)
    with style():
        assert operations_figure(replace(result, snn=replace(result.snn, layers=silent))) is None


def test_one_timestep_is_drawn_as_points():
    layers = tuple(
        replace(layer, spikes_per_timestep=layer.spikes_per_timestep[:1])
        for layer in make_result().snn.neurons
    )
    result = make_result(timings=())
    with style():
        plot = timestep_figure(replace(result, snn=replace(result.snn, layers=layers)))

    markers = {part.split(b'"')[0] for part in plot.svg.split(b'<use xlink:href="#')[1:]}
    dots = [m for m in markers if m.startswith(b"m") and plot.svg.count(b"#" + m) == 1]
    assert len(dots) >= len(layers)


def test_a_cost_table_in_which_all_is_free_is_drawn(monkeypatch):
    table = get("horowitz-45nm-fp32")
    costs = tuple(msgspec.structs.replace(cost, pj=0.0) for cost in table.costs)
    free = msgspec.structs.replace(table, costs=costs)
    for module in (dataframes, figures):
        monkeypatch.setattr(module, "models", lambda: (free,))
    with style():
        assert "Horowitz 45 nm fp32, SNN: 0 pJ." in energy_figure(make_result()).alt
