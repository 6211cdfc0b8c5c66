"""Which data set a user means."""

import pytest
import torch
from msgspec.structs import replace
from support.labelled_sets import EVENTS, SMALL, opened, write_cifar
from support.recorded import write_aer

from snnbench.core.errors import DataError
from snnbench.data.dataset import DataSet, Draw, stored_images
from snnbench.data.draw import draw_samples
from snnbench.data.open import FORMATS, Format, kind_of
from snnbench.zoo.card import InputSpec


def test_unknown_kind(tmp_path):
    with pytest.raises(
        DataError, match=r"'mnist=.*' is not KIND=PATH; the kinds are cifar10, imagenet"
    ):
        opened(f"mnist={tmp_path}")
    for kind in FORMATS:
        with pytest.raises(DataError, match="is not KIND=PATH"):
            opened(f"{kind}=")


def test_folder_of_no_kind(tmp_path):
    with pytest.raises(DataError, match="give KIND=PATH with one of cifar10, imagenet, images"):
        opened(str(tmp_path))
    with pytest.raises(
        DataError, match="give KIND=PATH with one of nmnist, dvs-gesture, cifar10-dvs"
    ):
        opened(str(tmp_path), spec=EVENTS)
    for spec in (SMALL, EVENTS):
        with pytest.raises(DataError, match="does not exist"):
            opened(str(tmp_path / "gone"), spec=spec)
    with pytest.raises(DataError, match="cannot be read: file name too long"):
        opened(300 * "a")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"embedded": "digit-saccades"},
            "embedded data digit-saccades holds events, but the ",
        ),
        ({"kind": "events", "shape": (2, 8, 8), "slice_us": 5}, "digits holds images, but the ben"),
        ({"kind": "events", "embedded": "digit-saccades"}, "its card must give slice_us"),
        (
            {"kind": "events", "embedded": "digit-saccades", "slice_us": 5},
            r"events have 2 channels \(OFF, ON\), but .* has 3",
        ),
        ({"shape": (2, 32, 32), "mean": (), "std": ()}, "1 or 3 channels, but the benchmark's"),
        ({"mean": (0.5,)}, "mean and std have 1 and 3 values for 3 channels; give one per"),
        ({"std": ()}, "mean and std have 3 and 0 values"),
    ],
)
@pytest.mark.parametrize("draw", [None, Draw(samples=1)], ids=["whole", "draw"])
def test_cards_that_do_not_fit(changes, problem, draw):
    with pytest.raises(DataError, match=problem):
        opened(None, spec=replace(SMALL, **changes), draw=draw)


def test_the_kind_of_data(tmp_path):
    write_cifar(tmp_path / "cifar")
    write_aer(tmp_path / "events" / "a.bin", [(1, 1, 5, 1)])
    (tmp_path / "pets" / "cat").mkdir(parents=True)
    (tmp_path / "pets" / "cat" / "1.JPEG").touch()
    for spec, data, kind in (
        (SMALL, None, "digits"),
        (SMALL, str(tmp_path / "cifar"), "cifar10"),
        (SMALL, str(tmp_path / "pets"), "images"),
        (SMALL, "imagenet=anywhere", "imagenet"),
        (EVENTS, None, "digit-saccades"),
        (EVENTS, str(tmp_path / "events"), "nmnist"),
    ):
        assert kind_of(spec, data) == kind
    with pytest.raises(DataError, match="gone does not exist"):
        kind_of(SMALL, str(tmp_path / "gone"))


class Numbers:
    """A reader of folders that hold a file ``numbers``: images of one grey each."""

    @staticmethod
    def recognises(root, wanted):
        return (root / "numbers").exists() and wanted.part == "test"

    @staticmethod
    def read(root, wanted):
        greys = torch.tensor([int(word) for word in (root / "numbers").read_text().split()])
        images = greys.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, *wanted.spec.shape)
        return DataSet(
            name=root.name, description="n", samples=len(images), values=stored_images(images)
        )


def test_another_format_is_one_reader_and_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(FORMATS, "numbers", Format("image", f"{__name__}:Numbers"))
    (tmp_path / "numbers").write_text("7 9 30")
    named, looked = (
        draw_samples(SMALL, data=data, samples=2, timesteps=1)
        for data in (f"numbers={tmp_path}", str(tmp_path))
    )
    assert named.info == looked.info
    assert (named.info.name, named.labels, kind_of(SMALL, str(tmp_path))) == (
        tmp_path.name,
        None,
        "numbers",
    )
    red = named.inputs[:, 0, 0, 0] * SMALL.std[0] + SMALL.mean[0]
    assert {round(255 * level) for level in red.tolist()} < {7, 9, 30}
    with pytest.raises(DataError, match="has no labels, without which nothing is trained"):
        opened(f"numbers={tmp_path}", "test")
    with pytest.raises(DataError, match="the kinds that fit are nmnist, dvs-gesture, cifar10-dvs"):
        opened(f"numbers={tmp_path}", spec=EVENTS)


def test_kind_that_the_network_does_not_take(tmp_path):
    with pytest.raises(
        DataError, match="nmnist holds events, but the benchmark's input is an image"
    ):
        opened(f"nmnist={tmp_path}")
    with pytest.raises(
        DataError, match="cifar10 holds images, but the benchmark's input is events"
    ):
        opened(f"cifar10={tmp_path}", spec=EVENTS)


def test_recordings_by_kind_and_by_looking(tmp_path):
    for part in ("Train", "Test"):
        (tmp_path / "nmnist" / part / "7").mkdir(parents=True)
        # x 3, y 4, ON, 2,000 microseconds
        (tmp_path / "nmnist" / part / "7" / "00001.bin").write_bytes(
            bytes([3, 4, 0x80, 0x07, 0xD0])
        )
    spec = InputSpec(
        kind="events", shape=(2, 34, 34), dataset="x", embedded="digit-saccades", slice_us=5_000
    )
    done = []
    named = opened(
        f"nmnist={tmp_path / 'nmnist'}", "test", spec, 2, cache=tmp_path / "cache", show=done.append
    )
    looked = opened(str(tmp_path / "nmnist"), "test", spec, 2, cache=tmp_path / "cache")
    assert done == [1]
    for data in (named, looked):
        frames, labels = data.batch([0], None)
        assert frames.shape == (2, 1, 2, 34, 34)
        assert frames.nonzero().tolist() == [[0, 0, 1, 4, 3]]
        assert labels.tolist() == [7]


def test_no_timesteps():
    with pytest.raises(DataError, match="timesteps must be at least 1"):
        opened(None, timesteps=0)
