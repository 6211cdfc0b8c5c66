"""Folders of labelled images, and ImageNet's layout."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.labelled_sets import LARGE, SMALL, opened, views_of

from snnbench.core.errors import DataError
from snnbench.data import image_folders
from snnbench.data.augment import mirrored, shifted
from snnbench.data.dataset import Draw
from snnbench.data.feed import Feed, batches
from snnbench.data.images import read_crop

LAZY = "the names, sizes and labels of the files"


def write_images(root: Path, size=(40, 30), count=3, suffix=".png") -> Path:
    random = np.random.RandomState(0)
    for part in ("train", "val"):
        for name in ("cat", "dog"):
            (root / part / name).mkdir(parents=True)
            for index in range(count):
                pixels = random.randint(0, 256, (size[1], size[0], 3)).astype(np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{index}{suffix}")
    return root


def test_small_images_are_decoded_once(tmp_path):
    root = write_images(tmp_path / "pets")
    done = []
    data = opened(f"images={root}", show=done.append)
    assert data.digested == "the names, labels and contents of the files"
    assert (len(data), data.classes, data.info.name, done) == (6, 2, "pets", [6])
    values, labels = data.batch([1, 5], None)
    assert labels.tolist() == [0, 1]
    assert np.array_equal(values[1], read_crop(root / "train" / "dog" / "2.png", SMALL.shape))
    views = views_of(2)
    assert torch.equal(data.batch([1, 5], views)[0], mirrored(shifted(values, views), views))
    assert opened(str(root), "test").info.description.startswith(
        "test images of a folder, 2 classes"
    )


def test_small_images_beyond_memory_are_decoded_when_asked_for(tmp_path, monkeypatch):
    stored = opened(f"images={write_images(tmp_path)}")
    monkeypatch.setattr(image_folders, "MEMORY_LIMIT_BYTES", 6 * 3 * 32 * 32 - 1)
    lazy = opened(f"images={tmp_path}")
    assert lazy.digested == LAZY
    for views in (None, views_of(6)):
        for one, other in zip(
            lazy.batch(range(6), views), stored.batch(range(6), views), strict=True
        ):
            assert torch.equal(one, other)


def test_large_images_are_cropped_anywhere(tmp_path):
    root = write_images(tmp_path, size=(150, 130))
    data = opened(f"images={root}", spec=LARGE)
    assert data.digested == LAZY
    plain, labels = data.batch([4, 0], None)
    assert labels.tolist() == [1, 0]
    path = root / "train" / "cat" / "0.png"
    assert np.array_equal(plain[1], read_crop(path, LARGE.shape))
    views = torch.tensor([[0, 0, 0.9], [1 - 2**-24, 0.5, 0.1]])
    seen, _ = data.batch([4, 0], views)
    kept = round(130 * 224 / 256)
    with Image.open(path) as image:
        left, top = 150 - kept, int(0.5 * (130 - kept + 1))
        box = (left, top, left + kept, top + kept)
        crop = np.asarray(image.resize((96, 96), Image.Resampling.BILINEAR, box=box))
    assert np.array_equal(seen[1], crop.transpose(2, 0, 1)[:, :, ::-1])


def test_metadata_that_pillow_warns_of_is_no_error_in_a_thread(tmp_path):
    root = write_images(tmp_path, size=(150, 130), suffix=".png")
    image = Image.new("P", (150, 130))
    image.putpalette([1, 2, 3] * 256)
    image.save(root / "train" / "cat" / "0.png", transparency=bytes(range(256)))
    data = opened(f"images={root}", spec=LARGE)
    ((values, _),) = Feed(data, [([0], None)])
    assert values[0, :, 5, 5].tolist() == [1, 2, 3]


@pytest.mark.parametrize("spec", [SMALL, LARGE], ids=["stored", "lazy"])
def test_broken_image(tmp_path, spec):
    path = write_images(tmp_path, size=(150, 130)) / "train" / "dog" / "1.png"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"dog/1.png cannot be decoded"):
        list(Feed(opened(f"images={tmp_path}", spec=spec), batches(6, 2), threads=2))


def test_image_that_was_removed_while_training(tmp_path):
    data = opened(f"images={write_images(tmp_path, size=(150, 130))}", spec=LARGE)
    (tmp_path / "train" / "cat" / "1.png").unlink()
    with pytest.raises(DataError, match=r"cat/1.png cannot be read: no such file"):
        data.batch([1], None)


def test_digest_of_a_folder(tmp_path):
    small, large = (
        opened(f"images={root}", spec=spec).info.sha256
        for root, spec in ((write_images(tmp_path / "a"), SMALL), (tmp_path / "a", LARGE))
    )
    same = write_images(tmp_path / "b")
    assert opened(f"images={same}").info.sha256 == small
    assert opened(f"images={same}", spec=LARGE).info.sha256 == large
    (same / "train" / "cat" / "2.png").rename(same / "train" / "dog" / "3.png")
    assert opened(f"images={same}").info.sha256 != small
    assert opened(f"images={same}", spec=LARGE).info.sha256 != large
    assert "names and sizes" not in opened(f"images={same}").info.description
    assert "names, sizes and labels" in opened(f"images={same}", spec=LARGE).info.description


def test_other_classes_in_the_other_part(tmp_path):
    write_images(tmp_path)
    (tmp_path / "val" / "cat").rename(tmp_path / "val" / "cow")
    with pytest.raises(DataError, match=r"1 class folders of .*train are not in .*val \(cat\)"):
        opened(f"images={tmp_path}")
    (tmp_path / "train" / "cat").rename(tmp_path / "train" / "cow")
    (tmp_path / "val" / "eel").mkdir()
    with pytest.raises(DataError, match=r"1 class folders of .*val are not in .*train \(eel\)"):
        opened(f"images={tmp_path}")


def test_folder_without_parts_or_classes(tmp_path):
    with pytest.raises(DataError, match="must hold a folder train and a folder test or val"):
        opened(f"images={tmp_path}")
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
    with pytest.raises(DataError, match="must hold one folder of images per class"):
        opened(f"images={tmp_path}")
    for part in ("train", "test"):
        (tmp_path / part / "cat").mkdir()
    with pytest.raises(DataError, match=r"holds no images \(\.bmp"):
        opened(f"images={tmp_path}")
    Image.new("RGB", (8, 8)).save(tmp_path / "train" / "loose.png")
    with pytest.raises(DataError, match="per class, and none directly"):
        opened(f"images={tmp_path}")


def test_broken_link(tmp_path):
    write_images(tmp_path)
    (tmp_path / "train" / "cat" / "9.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(DataError, match=r"9.png cannot be read: no such file"):
        opened(f"images={tmp_path}")


def test_a_draw_decodes_and_reads_only_what_it_takes(tmp_path):
    root = write_images(tmp_path / "pets")
    (root / "val" / "dog" / "2.png").write_bytes(b"broken")
    drawn = opened(f"images={root}", "test", draw=Draw(samples=1, outputs=10))
    assert (drawn.classes, drawn.digested) == (2, LAZY)
    assert drawn.batch([4])[1].tolist() == [1]
    with pytest.raises(DataError, match=r"dog/2.png cannot be decoded"):
        drawn.batch([5])


def test_folders_that_only_a_draw_takes(tmp_path):
    root = write_images(tmp_path)
    for data, outputs, labels in (
        (root / "val", 2, [0, 0, 0, 1, 1, 1]),  # class folders without parts
        (root / "val", 10, None),
        (root / "val" / "cat", 1, None),  # flat
    ):
        drawn = opened(str(data), "test", draw=Draw(samples=1, outputs=outputs))
        assert (None if drawn.labels is None else drawn.labels.tolist()) == labels
        with pytest.raises(DataError, match="holds no data set"):
            opened(str(data), "test")


def test_a_draw_from_parts_of_other_classes_has_labels_like_a_folder_without_parts(tmp_path):
    root = write_images(tmp_path)
    (root / "train" / "eel").mkdir()
    for outputs, labelled in ((2, True), (3, False)):
        drawn = opened(str(root), "test", draw=Draw(samples=1, outputs=outputs))
        assert drawn.info.labelled == labelled
        assert drawn.name == root.name


def test_unlabelled_images_have_no_batches_with_labels(tmp_path):
    drawn = opened(str(write_images(tmp_path) / "val"), "test", draw=Draw(samples=1))
    assert drawn.values([0], None).shape == (1, 3, 32, 32)
    with pytest.raises(DataError, match="val has no labels; choose labelled data"):
        drawn.batch([0])


WNIDS = [f"n{number:08}" for number in range(10_000, 11_000)]


@pytest.fixture
def imagenet(tmp_path):
    for wnid in WNIDS:
        (tmp_path / "train" / wnid).mkdir(parents=True)
    for index in (3, 999):
        path = tmp_path / "train" / WNIDS[index] / f"{WNIDS[index]}_1.JPEG"
        Image.new("RGB", (120, 100), (index % 256, 0, 0)).save(path)
    return tmp_path


def write_table(root: Path, classes: int = 1000) -> Path:
    """Image i is of the class that is i-th from the end, and then again from the end."""
    path = root / "LOC_val_solution.csv"
    rows = [
        f"ILSVRC2012_val_{number:08},{WNIDS[-1 - (number - 1) % classes]} 1 2 3 4 "
        for number in range(1, 2001)
    ]
    path.write_text("\n".join(["ImageId,PredictionString", *rows]) + "\n")
    return path


def write_flat_validation(root: Path, numbers=(1, 1001, 1003)) -> None:
    (root / "val").mkdir()
    for number in numbers:
        Image.new("RGB", (120, 100)).save(root / "val" / f"ILSVRC2012_val_{number:08}.JPEG")


@pytest.mark.parametrize("data", ["imagenet={}", "{}"])
def test_imagenet(imagenet, data):
    found = opened(data.format(imagenet), spec=LARGE)
    assert (len(found), found.classes, found.info.name) == (2, 1000, "ImageNet")
    assert "2 of 1,281,167" in found.info.description
    values, labels = found.batch([1, 0], None)
    assert labels.tolist() == [999, 3]
    assert values.shape == (2, 3, 96, 96)


def test_imagenet_of_fewer_classes(imagenet):
    (imagenet / "train" / WNIDS[5]).rmdir()
    with pytest.raises(DataError, match=r"holds 999 of the 1,000 class folders"):
        opened(f"imagenet={imagenet}", spec=LARGE)
    with pytest.raises(DataError, match="val does not exist"):
        opened(f"imagenet={imagenet}", "test", spec=LARGE)


def test_flat_validation_images_have_the_labels_of_the_table(tmp_path):
    write_flat_validation(tmp_path)
    with pytest.raises(DataError, match=r"no class folders.* put LOC_val_solution.csv"):
        opened(f"imagenet={tmp_path}", "test", spec=LARGE)
    write_table(tmp_path)
    data = opened(f"imagenet={tmp_path}", "test", spec=LARGE)
    # images 1 and 1001 are of the last class in sorted order, 1003 of the third last
    assert data.labels.tolist() == [999, 999, 997]
    assert (data.classes, "3 of 50,000" in data.info.description) == (1000, True)
    assert data.batch([0], None)[0].shape == (1, 3, 96, 96)


def test_a_draw_takes_validation_images_without_labels(imagenet):
    write_flat_validation(imagenet)
    with pytest.raises(DataError, match=r"no class folders.* put LOC_val_solution.csv"):
        opened(str(imagenet), "test", spec=LARGE)
    for data in (str(imagenet), f"imagenet={imagenet}"):
        drawn = opened(data, "test", spec=LARGE, draw=Draw(samples=1, outputs=1000))
        assert drawn.description == "validation images of ILSVRC 2012, 3 of 50,000, unlabelled"
        assert (drawn.labels, drawn.classes) == (None, 0)


def test_a_part_with_some_of_the_thousand_classes_is_a_folder_of_images(imagenet):
    write_images(imagenet / "other", size=(120, 100))
    (imagenet / "other" / "val").rename(imagenet / "val")
    (imagenet / "val" / "cat").rename(imagenet / "val" / WNIDS[3])
    drawn = opened(str(imagenet), "test", spec=LARGE, draw=Draw(samples=1, outputs=1000))
    assert (drawn.name, len(drawn), drawn.labels) == (imagenet.name, 6, None)


def test_validation_images_of_another_name(tmp_path):
    write_flat_validation(tmp_path, numbers=(1, 50_001))
    write_table(tmp_path)
    with pytest.raises(DataError, match=r"no class for 1 of the images in .*00050001.JPEG"):
        opened(f"imagenet={tmp_path}", "test", spec=LARGE)


def test_table_of_fewer_classes(tmp_path):
    write_flat_validation(tmp_path)
    path = write_table(tmp_path, classes=999)
    with pytest.raises(DataError, match="names 999 classes, not 1,000; download it again"):
        opened(f"imagenet={tmp_path}", "test", spec=LARGE)
    path.write_bytes(bytes(range(256)))
    with pytest.raises(DataError, match="names 0 classes"):
        opened(f"imagenet={tmp_path}", "test", spec=LARGE)
