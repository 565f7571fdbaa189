"""Data sets: what is read from the bundled set, folders, arrays, Datasets and torchvision."""

import hashlib
import inspect
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from images_on_disk import Pairs, pixels, put_folder, put_image, put_npz
from PIL import Image

from pyaug import data
from pyaug.data import DataSet, Split
from pyaug.errors import InputError

# --- The bundled set -----------------------------------------------------------------------------


def test_bundled_set():
    sets = data.load(), data.load("fashion-mnist-small")
    for bundled in sets:
        assert bundled.train.images.shape == (2000, 1, 28, 28)
        assert bundled.test.images.shape == (1000, 1, 28, 28)
        assert bundled.train.labels.bincount().tolist() == [200] * 10
        assert bundled.test.labels.bincount().tolist() == [100] * 10
        assert bundled.classes[0] == "T-shirt/top" and len(bundled.classes) == 10
    x = bundled.train.images.double() / 255
    assert bundled.mean == pytest.approx([x.mean().item()], abs=1e-12)
    assert bundled.std == pytest.approx([x.std(correction=0).item()], abs=1e-9)


def test_bundled_file_is_unchanged_and_keeps_its_notice():
    folder = Path(data.__file__).parent
    digest = hashlib.sha256((folder / "fashion_mnist_small.npz").read_bytes()).hexdigest()
    assert digest == "d7201db58abac27af020b1d693eb26ba0d047bcb00deb3bfdfedc2fd127f0db8"
    assert "2017 Zalando SE" in (folder / "fashion_mnist_small.LICENSE").read_text()


# --- Folders -------------------------------------------------------------------------------------


def test_folder_of_class_folders_holds_out_a_stratified_part(tmp_path):
    put_folder(tmp_path / "pets", classes=("cat", "dog", "eel"), count=10)
    pets = data.load(tmp_path / "pets")
    assert (pets.name, pets.classes, pets.shape) == ("pets", ("cat", "dog", "eel"), (3, 5, 6))
    assert pets.train.labels.bincount().tolist() == [8, 8, 8]
    assert pets.test.labels.bincount().tolist() == [2, 2, 2]
    every = torch.cat([pets.train.images, pets.test.images]).flatten(1).tolist()
    assert len(set(map(tuple, every))) == 30  # disjoint, and complete
    assert torch.equal(data.load(tmp_path / "pets").test.images, pets.test.images)
    assert len(data.load(tmp_path / "pets", held_out=0.5).test) == 15


@pytest.mark.parametrize("test_part", ["val", "test"])
def test_folder_of_two_parts(tmp_path, test_part):
    put_folder(tmp_path, parts=("train", test_part))
    loaded = data.load(str(tmp_path))
    assert len(loaded.train) == len(loaded.test) == 10
    files = sorted((tmp_path / test_part).rglob("*.png"))
    stored = [torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1) for file in files]
    assert torch.equal(loaded.test.images, torch.stack(stored))


def test_folder_decoded_on_demand_equals_the_held_one(tmp_path):
    put_folder(tmp_path, count=8)
    held = data.load(tmp_path)
    lazy = data.load(tmp_path, hold_gib=0)
    assert held.train.held and not lazy.train.held
    assert torch.equal(lazy.train.hold().images, held.train.images)
    assert lazy.mean == held.mean and lazy.std == held.std  # fewer than 1,000 images: exact
    index = torch.tensor([3, 1])
    assert torch.equal(lazy.train.subset(index).hold().images, held.train.images[index])


def test_grey_stays_grey_and_becomes_rgb_among_colours(tmp_path):
    put_folder(tmp_path / "grey", mode="L")
    assert data.load(tmp_path / "grey").shape == (1, 5, 6)
    put_folder(tmp_path / "mixed", mode="L")
    put_image(tmp_path / "mixed" / "b" / "9.png")
    mixed = data.load(tmp_path / "mixed")
    assert mixed.shape == (3, 5, 6)
    grey = (mixed.train.images[:, :1] == mixed.train.images).all(3).all(2).all(1)
    assert grey.sum() >= len(mixed.train) - 1


def test_image_size_resizes_the_shorter_side_and_crops_the_centre(tmp_path):
    put_folder(tmp_path, size=(40, 20), count=2)
    file = tmp_path / "a" / "0.png"
    wide = np.zeros((20, 40, 3), np.uint8)
    wide[:, 10:30] = 200  # the centre square
    Image.fromarray(wide).save(file)
    put_image(tmp_path / "a" / "1.png", size=(15, 31))
    loaded = data.load(tmp_path, image_size=10)
    assert loaded.shape == (3, 10, 10)
    everything = torch.cat([loaded.train.images, loaded.test.images])
    inner = everything[:, :, 1:-1, 1:-1]  # the filter reaches over the edge of the crop
    assert any((image == 200).all() for image in inner)


def test_other_files_and_hidden_ones_are_ignored(tmp_path):
    put_folder(tmp_path)
    (tmp_path / "a" / "notes.txt").write_text("no image")
    (tmp_path / "a" / "._0.png").write_text("no image either")
    (tmp_path / ".cache").mkdir()
    (tmp_path / "readme.md").write_text("text")
    put_image(tmp_path / "b" / "deeper" / "still" / "x.PNG")
    loaded = data.load(tmp_path)
    assert loaded.classes == ("a", "b") and len(loaded.train) + len(loaded.test) == 11


# --- Arrays --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 1), (6, 5, 3)])
def test_npz(tmp_path, shape):
    images = pixels(20, *shape)
    loaded = data.load(put_npz(tmp_path / "mine.npz", images=images))
    channels = shape[2] if len(shape) == 3 else 1
    assert (loaded.name, loaded.shape) == ("mine", (channels, 6, 5))
    assert loaded.classes == ("0", "1", "2", "3")
    assert (len(loaded.train), len(loaded.test)) == (16, 4)
    stored = images.reshape(20, 6, 5, channels).transpose(0, 3, 1, 2)
    place = [int((stored == image.numpy()).all((1, 2, 3)).argmax()) for image in loaded.test.images]
    assert [p % 4 for p in place] == loaded.test.labels.tolist()


def test_npz_with_its_own_split_and_names(tmp_path):
    val = pixels(8, 6, 5, 3, seed=1)
    names = np.array(["p", "q", "r", "s"])
    path = put_npz(
        tmp_path / "x.npz", val_images=val, val_labels=np.arange(8, dtype=np.uint8) % 4, names=names
    )
    loaded = data.load(path)
    assert (len(loaded.train), len(loaded.test), loaded.classes) == (20, 8, ("p", "q", "r", "s"))
    assert torch.equal(loaded.test.images, torch.from_numpy(val.transpose(0, 3, 1, 2)))
    assert data.load(path, image_size=9).shape == (3, 9, 9)


# --- Datasets of torch ---------------------------------------------------------------------------


def kinds(image):
    """A uint8 (H, W, C) array as every kind of image that is taken."""
    chw = torch.from_numpy(image.transpose(2, 0, 1).copy())
    return {
        "PIL": Image.fromarray(image),
        "array": image,
        "tensor": chw,
        "float tensor": chw.float() / 255,
        "double array": image / 255,
    }


@pytest.mark.parametrize("kind", kinds(pixels(2, 2, 3)))
@pytest.mark.parametrize("hold_gib", [1, 0])
def test_from_dataset_takes_every_kind_of_image(kind, hold_gib):
    images = pixels(20, 6, 5, 3)
    items = [(kinds(image)[kind], torch.tensor(i % 4)) for i, image in enumerate(images)]
    made = data.from_dataset(Pairs(items), test=Pairs(items), hold_gib=hold_gib)
    assert made.train.held == (hold_gib > 0)
    assert torch.equal(made.train.hold().images, torch.from_numpy(images.transpose(0, 3, 1, 2)))
    assert made.train.labels.tolist() == [i % 4 for i in range(20)]


def test_from_dataset_holds_out_resizes_and_mixes_grey_with_rgb():
    items = [(Image.fromarray(pixels(8 + i, 9, 3)), np.int32(i % 2)) for i in range(10)]
    items.append((Image.fromarray(pixels(8, 9)), 1))
    made = data.from_dataset(Pairs(items), image_size=7, classes=["p", "q"], held_out=0.4)
    assert made.shape == (3, 7, 7) and made.classes == ("p", "q")
    assert (len(made.train), len(made.test)) == (7, 4)
    grey = [(pixels(4, 4), i % 2) for i in range(6)]
    assert data.from_dataset(Pairs(grey)).shape == (1, 4, 4)


# --- Splits and sets -----------------------------------------------------------------------------


def test_constant_images_can_be_normalised():
    part = Split(torch.full((4, 3, 2, 2), 7, dtype=torch.uint8), torch.tensor([0, 1, 0, 1]))
    made = DataSet("flat", part, part, ("a", "b"))
    assert made.mean == pytest.approx([7 / 255] * 3) and min(made.std) > 0


# --- torchvision ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "svhn", "imagenet"])
def test_a_missing_torchvision_is_named(name, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torchvision", None)
    with pytest.raises(InputError) as caught:
        data.load(name)
    assert str(caught.value) == f"{name}: expected torchvision; pip install torchvision"


@pytest.mark.peers
@pytest.mark.parametrize("name, missing", [("cifar10", "not found"), ("imagenet", "")])
def test_an_empty_root_is_named(tmp_path, name, missing):
    with pytest.raises(InputError) as caught:
        data.load(name, root=tmp_path, download=False)
    message = str(caught.value)
    assert message.startswith(f"{name}: cannot be read from {tmp_path}") and missing in message


@pytest.mark.peers
@pytest.mark.parametrize("name, count", [("cifar10", 10), ("cifar100", 100)])
def test_cifar_files(tmp_path, monkeypatch, name, count):
    from torchvision.datasets import CIFAR10, CIFAR100

    kind = CIFAR10 if name == "cifar10" else CIFAR100
    monkeypatch.setattr(kind, "_check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    folder = tmp_path / kind.base_folder
    folder.mkdir()
    raw = pixels(count, 3072)
    batch = {"data": raw, ("labels" if count == 10 else "fine_labels"): list(range(count))}
    for file, _ in kind.train_list + kind.test_list:
        (folder / file).write_bytes(pickle.dumps(batch))
    names = [f"class {i}" for i in range(count)]
    (folder / kind.meta["filename"]).write_bytes(pickle.dumps({kind.meta["key"]: names}))
    loaded = data.load(name, root=tmp_path, download=False)
    assert len(loaded.train) == count * len(kind.train_list) and loaded.classes == tuple(names)
    assert torch.equal(loaded.test.images, torch.from_numpy(raw.reshape(count, 3, 32, 32)))
    assert loaded.mean == (0.4914, 0.4822, 0.4465) and loaded.std == (0.2023, 0.1994, 0.2010)


@pytest.mark.peers
def test_svhn_files(tmp_path, monkeypatch):
    from scipy.io import savemat
    from torchvision.datasets import SVHN

    monkeypatch.setattr(SVHN, "_check_integrity", lambda self: True)
    raw = pixels(32, 32, 3, 20)
    for part in ("train", "test"):
        labels = 1 + np.arange(20)[:, None] % 10  # in the file 10 stands for the digit 0
        savemat(tmp_path / f"{part}_32x32.mat", {"X": raw, "y": labels})
    loaded = data.load("svhn", root=tmp_path, download=False)
    assert torch.equal(loaded.train.images, torch.from_numpy(raw.transpose(3, 2, 0, 1)))
    assert loaded.train.labels.tolist() == [(1 + i) % 10 for i in range(20)]


@pytest.mark.peers
def test_imagenet_is_decoded_on_demand(tmp_path):
    wnids = ["n01", "n02"]
    torch.save(({"n01": ("tench", "fish"), "n02": ("crane",)}, []), tmp_path / "meta.bin")
    for part in ("train", "val"):
        for c, wnid in enumerate(wnids):
            put_image(tmp_path / part / wnid / "0.JPEG", size=(50, 40), seed=c)
    loaded = data.load("imagenet", root=tmp_path)
    assert not loaded.train.held and loaded.shape == (3, 224, 224)
    assert loaded.classes == ("tench", "crane") and loaded.mean == (0.485, 0.456, 0.406)
    small = data.load("imagenet", root=tmp_path, image_size=32)
    assert small.train.hold().images.shape == (2, 3, 32, 32)


# --- Conventions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", data.__all__)
def test_public_names_are_documented(name):
    assert inspect.getdoc(getattr(data, name))
