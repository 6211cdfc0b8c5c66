"""Every kind of draw: the same arguments give the same bytes, which published numbers rest on."""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
from PIL import Image
from sklearn.utils import Bunch
from support.labelled_sets import LARGE, SMALL, write_cifar
from support.recorded import write_aedat2, write_aer, write_gesture

from snnbench.data.draw import draw_samples
from snnbench.zoo.card import InputSpec

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
        data: As on the command line.
        sha256: Of inputs and labels.
        name: Of the data.
        description: Of the data.
    """

    write: Callable[[Path], None] | None = None
    spec: InputSpec
    outputs: int
    data: str | None
    sha256: str
    name: str
    description: str


DRAWS = {
    "digits": Case(
        spec=SMALL,
        outputs=10,
        data=None,
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
        data=None,
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
        data=None,
        sha256="2000bb6144790c644b5b118bdf87b80d79f5570b9d4bc114102f9437bd2a714a",
        name="photos",
        description=(
            "random crops of scikit-learn's two photographs (a temple, a flower), unlabelled"
        ),
    ),
    "simulated events": Case(
        spec=EVENTS,
        outputs=11,
        data=None,
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
        data="flat",
        sha256="4dbce2a20c7a8057bb5e1dc739e640bdb4ef05693fd2828d8244a633a8b22237",
        name="flat",
        description="images of a folder, test draw, centre-cropped; unlabelled",
    ),
    "class folders": Case(
        write=classes,
        spec=SMALL,
        outputs=2,
        data="classes",
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
        data="classes",
        sha256="f8317b8655a02ec6980f8600780b26720e135f263265d3f506b39203c691ca58",
        name="classes",
        description="images of a folder, test draw, centre-cropped; unlabelled",
    ),
    "parts": Case(
        write=parts,
        spec=SMALL,
        outputs=2,
        data="parts",
        sha256="108a5cfa4bf754eed08fe2b4538227db557981f34cad56c49dd2491c6c6e243a",
        name="parts",
        description=(
            "images of a folder, test draw, centre-cropped; labels are the sorted class folders"
        ),
    ),
    "images=parts": Case(
        write=parts,
        spec=SMALL,
        outputs=2,
        data="images=parts",
        sha256="108a5cfa4bf754eed08fe2b4538227db557981f34cad56c49dd2491c6c6e243a",
        name="parts",
        description=(
            "test images of a folder, 2 classes in sorted order; SHA-256 over the names, "
            "labels and contents of the files"
        ),
    ),
    "cifar-bin": Case(
        write=cifar_binary,
        spec=SMALL,
        outputs=10,
        data="cifar-bin",
        sha256="b965be0c8c7fdf3d707f7449d84c2c9e86696d624c827617fd5082bad18f816a",
        name="CIFAR-10",
        description="test images of CIFAR-10",
    ),
    "cifar10=cifar-bin": Case(
        write=cifar_binary,
        spec=SMALL,
        outputs=10,
        data="cifar10=cifar-bin",
        sha256="b965be0c8c7fdf3d707f7449d84c2c9e86696d624c827617fd5082bad18f816a",
        name="CIFAR-10",
        description="test images of CIFAR-10, 5 of 10,000 records",
    ),
    "cifar-py": Case(
        write=cifar_python,
        spec=SMALL,
        outputs=10,
        data="cifar-py",
        sha256="b965be0c8c7fdf3d707f7449d84c2c9e86696d624c827617fd5082bad18f816a",
        name="CIFAR-10",
        description="test images of CIFAR-10",
    ),
    "cifar10=cifar-py": Case(
        write=cifar_python,
        spec=SMALL,
        outputs=10,
        data="cifar10=cifar-py",
        sha256="b965be0c8c7fdf3d707f7449d84c2c9e86696d624c827617fd5082bad18f816a",
        name="CIFAR-10",
        description="test images of CIFAR-10, 5 of 10,000 records",
    ),
    "imagenet": Case(
        write=imagenet,
        spec=LARGE,
        outputs=1000,
        data="imagenet",
        sha256="c04a3dc9a719a19acd24b21734aac7caa5dcb89cc71b73c1d9c4b1224050a76a",
        name="imagenet",
        description=(
            "images of a folder, test draw, centre-cropped; labels are the sorted class folders"
        ),
    ),
    "imagenet=imagenet": Case(
        write=imagenet,
        spec=LARGE,
        outputs=1000,
        data="imagenet=imagenet",
        sha256="c04a3dc9a719a19acd24b21734aac7caa5dcb89cc71b73c1d9c4b1224050a76a",
        name="ImageNet",
        description=(
            "validation images of ILSVRC 2012, 6 of 50,000, 1,000 classes in sorted order; "
            "SHA-256 over the names, sizes and labels of the files"
        ),
    ),
    "nmnist": Case(
        write=nmnist,
        spec=EVENTS,
        outputs=10,
        data="nmnist",
        sha256="7434c4936333bac9d7aa0c45e6140ec22b349b753e268ab2470eeba6c622df09",
        name="nmnist",
        description=(
            "event recordings of a folder, test draw, binary frames, 3 of 3 with events; "
            "labels are the sorted class folders"
        ),
    ),
    "nmnist=nmnist": Case(
        write=nmnist,
        spec=EVENTS,
        outputs=10,
        data="nmnist=nmnist",
        sha256="7434c4936333bac9d7aa0c45e6140ec22b349b753e268ab2470eeba6c622df09",
        name="nmnist",
        description="N-MNIST, test part, 10 of 10,000 recordings, binary frames of 30,000 us",
    ),
    "flat folder of recordings": Case(
        write=nmnist,
        spec=EVENTS,
        outputs=10,
        data="bin",
        sha256="7fa6d5d28c905fee479050d63f46bb76fca9dfeb6aab521c98bfc727501bb727",
        name="bin",
        description=(
            "event recordings of a folder, test draw, binary frames, 3 of 3 with events; unlabelled"
        ),
    ),
    "dvs-gesture=gestures": Case(
        write=gestures,
        spec=EVENTS,
        outputs=11,
        data="dvs-gesture=gestures",
        sha256="ef228e5b4426d3a63accd68cac45f90954916d887556596c6d417c405829f628",
        name="gestures",
        description="DVS-Gesture, test part, 11 of 264 recordings, binary frames of 30,000 us",
    ),
    "cifar10-dvs=cifar10-dvs": Case(
        write=cifar10_dvs,
        spec=EVENTS,
        outputs=10,
        data="cifar10-dvs=cifar10-dvs",
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
    drawn = draw_samples(
        case.spec, data=case.data, samples=4, timesteps=3, seed=5, classes=case.outputs
    )
    assert drawn.info.sha256 == case.sha256
    assert (drawn.info.name, drawn.info.description) == (case.name, case.description)
    assert (drawn.info.samples, drawn.info.labelled) == (4, drawn.labels is not None)
    assert drawn.inputs.shape[drawn.inputs.ndim - 4] == 4


def test_another_seed_or_size_is_another_draw():
    def sha256(**changed):
        options = {"samples": 3, "timesteps": 2, "seed": 1, **changed}
        return draw_samples(SMALL, data=None, **options).info.sha256

    assert sha256() == sha256()
    assert len({sha256(), sha256(seed=2), sha256(samples=4)}) == 3
