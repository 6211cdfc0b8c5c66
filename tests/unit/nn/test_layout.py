import pytest
import torch

from snnbench.nn.layout import FRAMES, IMAGES, LAYOUTS, Layout, layout_of

# an input's values are 10 * timestep + sample
FRAMES_4 = (10 * torch.arange(2.0)[:, None] + torch.arange(4.0)).reshape(2, 4, 1, 1, 1)
IMAGES_4 = FRAMES_4[0]
BATCH_FIRST = LAYOUTS["NT"]


def test_five_axes_lead_with_time():
    assert layout_of(FRAMES_4) is FRAMES
    assert layout_of(IMAGES_4) is IMAGES


@pytest.mark.parametrize(
    ("layout", "inputs"),
    [(IMAGES, IMAGES_4), (FRAMES, FRAMES_4), (BATCH_FIRST, FRAMES_4.transpose(0, 1))],
)
def test_samples_are_found_whatever_the_layout(layout: Layout, inputs: torch.Tensor):
    assert layout.samples(inputs) == 4
    part = layout.batch(inputs, 1, 2)
    assert layout.first_timestep(part).flatten().tolist() == [1, 2]
    assert layout.first_timestep(part).ndim == inputs.ndim
    assert layout.first_timestep(layout.first_samples(inputs, 3)).flatten().tolist() == [0, 1, 2]
    expected = [0, 1, 2, 3] if layout is IMAGES else [5, 6, 7, 8]
    assert layout.twin_input(inputs).flatten().tolist() == expected
    assert layout.twin_input(inputs).shape == IMAGES_4.shape


def test_images_are_the_same_at_every_timestep():
    assert IMAGES.first_timestep(IMAGES_4) is IMAGES_4
    assert IMAGES.twin_input(IMAGES_4) is IMAGES_4


def test_more_samples_than_there_are_repeat_from_the_first():
    assert IMAGES.first_samples(IMAGES_4, 7).flatten().tolist() == [0, 1, 2, 3, 0, 1, 2]
    frames = FRAMES.first_samples(FRAMES_4, 5)
    assert frames.flatten().tolist() == [0, 1, 2, 3, 0, 10, 11, 12, 13, 10]


@pytest.mark.parametrize("name", LAYOUTS)
def test_timesteps_become_the_calls_of_a_network(name: str):
    layout = LAYOUTS[name]
    calls = layout.calls(layout.arrange(FRAMES_4))
    shapes = {"step": (4, 1, 1, 1), "loop": (4, 1, 1, 1), "TN": (2, 4, 1, 1, 1)}
    assert {tuple(x.shape) for x in calls} == {shapes.get(name, (4, 2, 1, 1, 1))}
    assert len(calls) == (2 if name == "step" else 1)
    if name == "step":
        assert torch.equal(torch.stack(calls), FRAMES_4)
    assert layout.twin_input(layout.arrange(FRAMES_4)).shape == IMAGES_4.shape
