"""Every kind of draw: the same arguments give the same bytes, which published numbers rest on."""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
import torch
from hypothesis import given, strategies as st
from msgspec.structs import replace
from PIL import Image
from sklearn.utils import Bunch
from support.labelled_sets import LARGE, SMALL, write_cifar
from support.recorded import write_aedat2, write_aer, write_gesture

from snnbench.core.errors import DataError
from snnbench.data.dataset import ENDLESS, DataSet, Draw
from snnbench.data.draw import choose, draw_samples
from snnbench.data.open import open_set
from snnbench.results.run import DataInfo
from snnbench.zoo.card import InputSpec

REAL_DATA = os.environ.get("SNNBENCH_DATA")

EVENTS = InputSpec(
    kind="events", shape=(2, 20, 24), dataset="x", embedded="digit-saccades", slice_us=30_000
)


def write_pngs(folder: Path, side: int, count: int = 3, seed: int = 0) -> None:
    """Images that no network's input resizes, so decoding and cropping round nothing."""
    folder.mkdir(parents=True)
    random = np.random.RandomState(seed)
    for index in range(count):
        pixels = random.randint(0, 256, (side, side, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")


def replace_photographs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pictures in place of the photographs, whose decoding is libjpeg's."""
    random = np.random.RandomState(7)
    pictures = [random.randint(0, 256, (30, 40, 3)).astype(np.uint8) for _ in range(2)]
    monkeypatch.setattr(sklearn.datasets, "load_sample_images", lambda: Bunch(images=pictures))


def flat(root: Path) -> None:
    write_pngs(root / "flat", side=32, count=5)


def classes(root: Path) -> None:
    for seed, name in enumerate(("cat", "dog")):
        write_pngs(root / "classes" / name, side=32, seed=seed)


def parts(root: Path) -> None:
    for seed, (part, name) in enumerate(
        (part, name) for part in ("train", "val") for name in ("cat", "dog")
    ):
        write_pngs(root / "parts" / part / name, side=32, seed=seed)


def cifar_binary(root: Path) -> None:
    write_cifar(root / "cifar-bin")


def cifar_python(root: Path) -> None:
    for path in write_cifar(root / "binary").iterdir():
        records = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, 3073)
        content = {b"data": records[:, 1:].copy(), b"labels": records[:, 0].tolist()}
        inner = root / "cifar-py" / "cifar-10-batches-py"
        inner.mkdir(parents=True, exist_ok=True)
        (inner / path.stem).write_bytes(pickle.dumps(content, protocol=4))


def imagenet(root: Path) -> None:
    for part in ("train", "val"):
        for number in range(1000):
            (root / "imagenet" / part / f"n{number:08}").mkdir(parents=True)
    for seed, number in enumerate((3, 500, 999)):
        folder = root / "imagenet" / "val" / f"n{number:08}"
        folder.rmdir()
        write_pngs(folder, side=110, count=2, seed=seed)


def nmnist(root: Path) -> None:
    random = np.random.RandomState(0)
    for part in ("Train", "Test"):
        for digit in range(10):
            rows = [
                (*random.randint(0, 34, 2).tolist(), time, time % 3 % 2)
                for time in sorted(random.randint(0, 90_000, 30).tolist())
            ]
            write_aer(root / "nmnist" / part / str(digit) / f"{digit}.bin", rows)
            write_aer(root / "bin" / f"{digit}.bin", rows)


def gestures(root: Path) -> None:
    for user, part in enumerate(("ibmGestureTrain", "ibmGestureTest")):
        for gesture in range(11):
            rows = [(gesture, 9 * gesture, 1, 100), (127, gesture, 0, 140), (3, user, 1, 170)]
            write_gesture(root / "gestures" / part / f"user{user:02}_led" / f"{gesture}.npy", rows)


def cifar10_dvs(root: Path) -> None:
    for label, name in enumerate(("airplane", "bird", "truck")):
        for number in (0, 900, 901):
            rows = [(label, number % 128, 50, 1), (127, label, 35_100, 0), (64, 0, 75_000, 1)]
            write_aedat2(root / "cifar10-dvs" / name / f"cifar10_{name}_{number}.aedat", rows)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One draw of four samples.

    Attributes:
        write: Makes the data below a folder.
        spec: Of the network's input.
        outputs: Of the network.
        data: Spellings of the same data, as on the command line.
        sha256: Of inputs and labels.
        name: Of the data.
        description: Of the data.
    """

    write: Callable[[Path], None] | None = None
    spec: InputSpec
    outputs: int
    data: tuple[str | None, ...]
    sha256: str
    name: str
    description: str


DRAWS = {
    "digits": Case(
        spec=SMALL,
        outputs=10,
        data=(None,),
        sha256="c16ca133e5f89c34ca982f1fa3c68331e14b7de18372689af9811d981ac1e0d5",
        name="digits",
        description=(
            "8x8 handwritten digits of scikit-learn (test part) enlarged to 32x32; classes "
            "are the digits 0 to 9"
        ),
    ),
    "digits, too few outputs": Case(
        spec=SMALL,
        outputs=5,
        data=(None,),
        sha256="31012f522515f27dc9ad7e6d662e4523037d6a946703fa35f37d685bb1b958b0",
        name="digits",
        description=(
            "8x8 handwritten digits of scikit-learn (test part) enlarged to 32x32; classes "
            "are the digits 0 to 9"
        ),
    ),
    "photographs": Case(
        spec=LARGE,
        outputs=1000,
        data=(None,),
        sha256="2000bb6144790c644b5b118bdf87b80d79f5570b9d4bc114102f9437bd2a714a",
        name="photos",
        description=(
            "random crops of scikit-learn's two photographs (a temple, a flower), unlabelled"
        ),
    ),
    "simulated events": Case(
        spec=EVENTS,
        outputs=11,
        data=(None,),
        sha256="8c9b070cfdbea54f7ad29c1ee8df599d0ed44466d194274be5b843ae2f9e592d",
        name="digit-saccades",
        description=(
            "handwritten digits of scikit-learn (test part) seen by a simulated saccading "
            "event camera, binary frames; classes are the digits 0 to 9"
        ),
    ),
    "flat folder": Case(
        write=flat,
        spec=SMALL,
        outputs=10,
        data=("flat", "images=flat"),
        sha256="4dbce2a20c7a8057bb5e1dc739e640bdb4ef05693fd2828d8244a633a8b22237",
        name="flat",
        description="images of a folder, test draw, centre-cropped; unlabelled",
    ),
    "class folders": Case(
        write=classes,
        spec=SMALL,
        outputs=2,
        data=("classes", "images=classes"),
        sha256="02d2c673d3f0cba37697a03db8b7b0c06a4d82674b5249d7216c2fa60ce9bd3c",
        name="classes",
        description=(
            "images of a folder, test draw, centre-cropped; labels are the sorted class folders"
        ),
    ),
    "class folders, other outputs": Case(
        write=classes,
        spec=SMALL,
        outputs=10,
        data=("classes", "images=classes"),
        sha256="f8317b8655a02ec6980f8600780b26720e135f263265d3f506b39203c691ca58",
        name="classes",
        description="images of a folder, test draw, centre-cropped; unlabelled",
    ),
    "folder with parts": Case(
        write=parts,
        spec=SMALL,
        outputs=2,
        data=("parts", "images=parts"),
        sha256="108a5cfa4bf754eed08fe2b4538227db557981f34cad56c49dd2491c6c6e243a",
        name="parts",
        description="test images of a folder, 2 classes in sorted order",
    ),
    "CIFAR-10, binary version": Case(
        write=cifar_binary,
        spec=SMALL,
        outputs=10,
        data=("cifar-bin", "cifar10=cifar-bin"),
        sha256="b965be0c8c7fdf3d707f7449d84c2c9e86696d624c827617fd5082bad18f816a",
        name="CIFAR-10",
        description="test images of CIFAR-10, 5 of 10,000 records",
    ),
    "CIFAR-10, Python version": Case(
        write=cifar_python,
        spec=SMALL,
        outputs=10,
        data=("cifar-py", "cifar10=cifar-py"),
        sha256="b965be0c8c7fdf3d707f7449d84c2c9e86696d624c827617fd5082bad18f816a",
        name="CIFAR-10",
        description="test images of CIFAR-10, 5 of 10,000 records",
    ),
    "ImageNet": Case(
        write=imagenet,
        spec=LARGE,
        outputs=1000,
        data=("imagenet", "imagenet=imagenet"),
        sha256="c04a3dc9a719a19acd24b21734aac7caa5dcb89cc71b73c1d9c4b1224050a76a",
        name="ImageNet",
        description="validation images of ILSVRC 2012, 6 of 50,000, 1,000 classes in sorted order",
    ),
    "N-MNIST": Case(
        write=nmnist,
        spec=EVENTS,
        outputs=10,
        data=("nmnist", "nmnist=nmnist"),
        sha256="7434c4936333bac9d7aa0c45e6140ec22b349b753e268ab2470eeba6c622df09",
        name="nmnist",
        description="N-MNIST, test part, 10 of 10,000 recordings, binary frames of 30,000 us",
    ),
    "flat folder of recordings": Case(
        write=nmnist,
        spec=EVENTS,
        outputs=10,
        data=("bin", "nmnist=bin"),
        sha256="7fa6d5d28c905fee479050d63f46bb76fca9dfeb6aab521c98bfc727501bb727",
        name="bin",
        description=(
            "event recordings of a folder, test draw, unlabelled, binary frames of 30,000 us"
        ),
    ),
    "DVS-Gesture": Case(
        write=gestures,
        spec=EVENTS,
        outputs=11,
        data=("gestures", "dvs-gesture=gestures"),
        sha256="ef228e5b4426d3a63accd68cac45f90954916d887556596c6d417c405829f628",
        name="gestures",
        description="DVS-Gesture, test part, 11 of 264 recordings, binary frames of 30,000 us",
    ),
    "CIFAR10-DVS": Case(
        write=cifar10_dvs,
        spec=EVENTS,
        outputs=10,
        data=("cifar10-dvs", "cifar10-dvs=cifar10-dvs"),
        sha256="7addeed2504b8592ad5366423e185652d6563a9a67c282344709ded7c9561aee",
        name="cifar10-dvs",
        description="CIFAR10-DVS, test part, 6 of 1,000 recordings, binary frames of 30,000 us",
    ),
}


@pytest.mark.parametrize("case", DRAWS.values(), ids=DRAWS)
def test_a_draw_is_what_it_always_was(case, tmp_path, monkeypatch):
    if case.write is not None:
        case.write(tmp_path)
    if case.name == "photos":
        replace_photographs(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SNNBENCH_CACHE", str(tmp_path / "cache"))
    for data in case.data:
        found = draw_samples(
            case.spec, data=data, samples=4, timesteps=3, seed=5, classes=case.outputs
        )
        assert found.info == DataInfo(
            name=case.name,
            description=case.description,
            sha256=case.sha256,
            samples=4,
            labelled=found.labels is not None,
        )
        assert found.inputs.shape[found.inputs.ndim - 4] == 4
    assert not (tmp_path / "cache").exists()


def drawn(spec=SMALL, **options):
    return draw_samples(spec, **{"data": None, "samples": 3, "timesteps": 2, **options})


@pytest.mark.parametrize("spec", [SMALL, LARGE, EVENTS], ids=["digits", "photos", "saccades"])
def test_another_seed_or_size_is_another_draw(spec):
    first = drawn(spec, seed=1)
    assert drawn(spec, seed=1).info == first.info
    others = [drawn(spec, **changed) for changed in ({"seed": 2}, {"samples": 4})]
    assert len({first.info.sha256, *(other.info.sha256 for other in others)}) == 3


@pytest.mark.parametrize(
    ("spec", "sha256"),
    [
        (
            replace(SMALL, mean=(0.5, 0.25, 0.75), std=(0.25, 0.5, 1.0)),
            "7c7965c4971d637b1571c530c02a305e4c23a00473413251853dfdfa941e4d58",
        ),
        (
            replace(EVENTS, shape=(2, 32, 32)),
            "212305ef33cece75b12b484547f1dc72c4e987cb88ebf5ce6e42632753ae16cb",
        ),
    ],
)
def test_embedded_data_is_the_published_one(spec, sha256):
    # changes only together with every number measured on it
    assert drawn(spec, samples=4, timesteps=4).info.sha256 == sha256


def test_images_are_normalised_per_channel():
    values = open_set(SMALL, data=None, part="test", timesteps=1).values(range(300), None)
    found = drawn(samples=300)
    order = choose(open_set(SMALL, data=None, part="test", timesteps=1), Draw(samples=300))
    for channel, (mean, std) in enumerate(zip(SMALL.mean, SMALL.std, strict=True)):
        expected = (values[order, channel].numpy() / 255 - mean) / std
        assert np.allclose(found.inputs[:, channel].numpy(), expected, atol=1e-6)
    assert found.inputs.dtype == torch.float32
    assert found.labels.dtype == torch.int64
    plain = drawn(replace(SMALL, mean=(), std=()), samples=5)
    assert (plain.inputs.min(), plain.inputs.max()) == (0, 1)


def test_events_have_time_first_and_do_not_change_with_more_timesteps():
    short, long = (drawn(EVENTS, samples=2, timesteps=n) for n in (3, 5))
    assert short.inputs.shape == (3, 2, 2, 20, 24)
    assert torch.equal(long.inputs[:3], short.inputs)
    assert torch.count_nonzero((short.inputs != 0) & (short.inputs != 1)) == 0


def test_frames_after_the_end_of_every_recording_are_counted(tmp_path):
    write_aer(tmp_path / "a.bin", [(1, 1, 5, 1)])
    write_aer(tmp_path / "b.bin", [(1, 1, 70_000, 1)])
    found = drawn(EVENTS, data=str(tmp_path), samples=2, timesteps=5)
    assert found.info.description.endswith("frames of 30,000 us, 2 of 5 frames with events")


@pytest.mark.parametrize(
    ("classes", "labelled"), [(None, True), (10, True), (11, True), (9, False)]
)
def test_a_set_with_more_classes_than_the_network_has_no_labels(classes, labelled):
    found = drawn(classes=classes)
    assert found.info.labelled == labelled == (found.labels is not None)
    assert torch.equal(found.inputs, drawn().inputs)
    assert (found.info.sha256 == drawn().info.sha256) == labelled


@pytest.mark.parametrize("wrong", [{"samples": 0}, {"timesteps": 0}, {"seed": -1}, {"seed": 2**32}])
def test_numbers_out_of_range(wrong):
    with pytest.raises(DataError, match="samples and timesteps must be at least 1 and the seed"):
        drawn(**wrong)


def a_set(samples: int) -> DataSet:
    return DataSet(
        name="box",
        description="numbers",
        samples=samples,
        values=lambda indices, _: torch.tensor(indices),
        digest=lambda: "0",
    )


@given(available=st.integers(1, 60), data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_draws_are_repeatable_and_distinct_and_grow_at_the_end(available, data, seed):
    samples = data.draw(st.integers(1, available))
    whole = choose(a_set(available), Draw(samples=available, seed=seed))
    assert sorted(whole) == list(range(available))
    assert choose(a_set(available), Draw(samples=samples, seed=seed)) == whole[:samples]


def test_seeds_differ_but_not_for_an_endless_set():
    assert choose(a_set(50), Draw(samples=5, seed=3)) != choose(a_set(50), Draw(samples=5, seed=4))
    assert choose(a_set(ENDLESS), Draw(samples=3, seed=3)) == [0, 1, 2]


def test_too_few_samples_are_counted():
    with pytest.raises(DataError, match=r"test part of box holds 3 samples, 4 were asked for; ask"):
        choose(a_set(3), Draw(samples=4))


def test_images_need_neither_tonic_nor_a_warning():
    code = (
        "import sys; from snnbench.zoo.card import InputSpec\n"
        "from snnbench.data.draw import draw_samples\n"
        "assert not {'tonic', 'sklearn'} & set(sys.modules)\n"
        "spec = InputSpec(kind='image', shape=(3, 32, 32), dataset='x', embedded='digits')\n"
        "draw_samples(spec, data=None, samples=1, timesteps=1); assert 'tonic' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(REAL_DATA is None, reason="SNNBENCH_DATA names no folder with real data")
def test_real_cifar_and_photographs():
    root = Path(str(REAL_DATA))
    cifar = drawn(data=str(root / "cifar10"), samples=500, classes=10)
    assert torch.bincount(cifar.labels, minlength=10).min() > 25
    # means of CIFAR-10's channels as everyone's normalisation has them
    pixels = cifar.inputs * torch.tensor(SMALL.std).view(3, 1, 1)
    means = pixels.mean((0, 2, 3)) + torch.tensor(SMALL.mean)
    assert torch.allclose(means, torch.tensor([0.4914, 0.4822, 0.4465]), atol=0.03)
    large = replace(LARGE, shape=(3, 224, 224))
    photos = drawn(large, data=str(root / "photos" / "images"), samples=4)
    assert photos.inputs.shape == (4, 3, 224, 224)
