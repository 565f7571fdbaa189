"""Data sets that are refused: each in one line that says what was expected where."""

import pickle
import zipfile

import numpy as np
import pytest
import torch
from images_on_disk import Pairs, pixels, put_folder, put_image, put_npz
from PIL import Image

from pyaug import data
from pyaug.data import Loader, Split
from pyaug.errors import InputError

forks = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")

# --- Folders -------------------------------------------------------------------------------------


def bad_empty(root):
    root.mkdir(exist_ok=True)
    return "expected 2 class folders or more, got 0"


def bad_one_class(root):
    put_folder(root, classes=("a",))
    return "expected 2 class folders or more, got 1"


def bad_class_without_images(root):
    put_folder(root)
    (root / "c").mkdir()
    return f"{root / 'c'}: expected images"


def bad_text_file(root):
    put_folder(root)
    (root / "b" / "3.png").write_text("not an image")
    return f"{root / 'b' / '3.png'}: unreadable image"


def bad_cut_file(root):
    put_folder(root)
    cut = put_image(root / "b" / "3.png", size=(64, 64))
    cut.write_bytes(cut.read_bytes()[:2000])
    for other in root.rglob("*.png"):
        Image.fromarray(pixels(64, 64, 3)).save(other) if other != cut else None
    return f"{cut}: unreadable image"


def bad_empty_file(root):
    put_folder(root)
    (root / "a" / "0.png").write_bytes(b"")
    return f"{root / 'a' / '0.png'}: unreadable image"


def bad_depth(root):
    put_folder(root)
    Image.fromarray(pixels(5, 6).astype(np.uint16)).save(root / "a" / "3.png")
    return f"{root / 'a' / '3.png'}: expected 8 bits, as the images before it, got 16"


def bad_sizes(root):
    put_folder(root)
    put_image(root / "b" / "4.png", size=(7, 5))
    return f"image_size: expected one, as sizes differ: {root / 'a' / '0.png'} is 6x5, "


def bad_test_class(root):
    put_folder(root, parts=("train", "val"))
    put_image(root / "val" / "c" / "0.png")
    return f"{root / 'train'}: expected a class folder 'c', as in {root / 'val'}"


def bad_train_class(root):
    put_folder(root, parts=("train", "val"))
    put_image(root / "train" / "c" / "0.png")
    return f"{root / 'val'}: expected a class folder 'c', as in {root / 'train'}"


def bad_no_test_part(root):
    put_folder(root, parts=("train",))
    return "expected val/ or test/ beside train/, got neither"


def bad_single_image(root):
    put_folder(root)
    put_image(root / "c" / "0.png")
    return "expected 2 images or more a class (held_out=0.2), got 1 of class 2"


BAD_FOLDERS = [bad for name, bad in list(globals().items()) if name.startswith("bad_")]


@pytest.mark.parametrize("make", BAD_FOLDERS, ids=lambda make: make.__name__[4:])
def test_bad_folders_are_refused_in_one_line(tmp_path, make):
    expected = make(tmp_path / "set")
    with pytest.raises(InputError) as caught:
        data.load(tmp_path / "set")
    assert expected in str(caught.value) and "\n" not in str(caught.value)


@forks
@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_breaks_later_is_named_by_its_path(tmp_path, workers):
    put_folder(tmp_path, parts=("train", "val"))
    lazy = data.load(tmp_path, hold_gib=0)
    broken = tmp_path / "train" / "b" / "2.png"
    broken.write_text("gone")
    loader = Loader(lazy.train, 4, shuffle=True, workers=workers)
    with pytest.raises(InputError) as caught:
        list(loader.epoch(0))
    assert str(caught.value) == f"{broken}: unreadable image (not an image)"


# --- Arrays --------------------------------------------------------------------------------------


BAD_NPZ = {
    "no images": ({"images": None}, "expected an array 'images', got labels"),
    "no labels": ({"labels": None}, "expected an array 'labels', got images"),
    "floats": ({"images": np.zeros((20, 6, 5), np.float32)}, "images: expected uint8 or uint16 (N"),
    "no channels": ({"images": pixels(20, 6, 5, 0)}, "got uint8 (20, 6, 5, 0)"),
    "flat images": ({"images": pixels(20, 30)}, "got uint8 (20, 30)"),
    "no pixels": ({"images": pixels(20, 0, 5)}, "got uint8 (20, 0, 5)"),
    "no image": ({"images": pixels(0, 6, 5), "labels": np.zeros(0, int)}, "got 0 images and 0"),
    "too few labels": ({"labels": np.arange(19) % 4}, "got 20 images and 19 labels"),
    "float labels": ({"labels": np.arange(20) / 5}, "labels: expected integers (N,), got float64"),
    "one-hot labels": ({"labels": np.eye(20, dtype=int)}, "got int64 (20, 20)"),
    "negative label": ({"labels": np.arange(20) % 4 - 1}, "expected labels from 0, got -1"),
    "labels from one": ({"labels": np.arange(20) % 4 + 1}, "got none of class 0 ('0')"),
    "huge label": ({"labels": np.where(np.arange(20), 0, 10**12)}, "expected 2 images or more"),
    "one class": ({"labels": np.zeros(20, int)}, "expected at least 2 classes, got 1"),
    "pickled": ({"images": np.array([None] * 20)}, "images: expected an array of numbers"),
    "val images alone": ({"val_images": pixels(8, 6, 5, 3)}, "expected both 'val_images' and"),
    "val labels alone": ({"val_labels": np.arange(8) % 4}, "expected both 'val_images' and"),
    "val of another size": (
        {"val_images": pixels(8, 6, 6, 3), "val_labels": np.arange(8) % 4},
        "expected images of one shape, got (3, 6, 5) to train and (3, 6, 6) to test",
    ),
    "val with another class": (
        {"val_images": pixels(8, 6, 5, 3), "val_labels": np.arange(8) % 5},
        "test part: expected labels from 0 to 3, got 4",
    ),
    "val without a class": (
        {"val_images": pixels(8, 6, 5, 3), "val_labels": np.arange(8) % 3},
        "test part: expected images of every class, got none of class 3",
    ),
    "too few names": ({"names": np.array(["p", "q"])}, "expected labels from 0 to 1, got 3"),
    "names in numbers": ({"names": np.arange(4)}, "names: expected strings (K,), got int64"),
}


@pytest.mark.parametrize("arrays, expected", BAD_NPZ.values(), ids=BAD_NPZ.keys())
def test_bad_npz_are_refused_in_one_line(tmp_path, arrays, expected):
    path = put_npz(tmp_path / "bad.npz", **arrays)
    with pytest.raises(InputError) as caught:
        data.load(path)
    message = str(caught.value)
    assert expected in message and "bad" in message and "\n" not in message


def test_files_that_are_no_npz_are_refused(tmp_path):
    path = tmp_path / "x.npz"
    for content in (b"", b"text", pickle.dumps([1, 2]), b"PK\x03\x04 cut short"):
        path.write_bytes(content)
        with pytest.raises(InputError, match="unreadable"):
            data.load(path)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(InputError, match="unreadable"):
        data.load(path)
    put_npz(path)
    with zipfile.ZipFile(path) as file:
        offset = file.getinfo("images.npy").header_offset
    raw = bytearray(path.read_bytes())
    raw[offset + 300] ^= 0xFF  # the checksum notices
    path.write_bytes(raw)
    with pytest.raises(InputError, match="images: expected an array of numbers, undamaged"):
        data.load(path)


@pytest.mark.parametrize(
    "name, options, expected",
    [
        ("no-such-set", {}, "(fashion-mnist-small, cifar10, cifar100, svhn, imagenet)"),
        ("/nowhere/x.npz", {}, "got '/nowhere/x.npz'"),
        ("fashion-mnist-small", {"image_size": 0}, "image_size: expected 1 to 16384 pixels, got 0"),
        ("fashion-mnist-small", {"held_out": 1.0}, "held_out: expected a share between 0 and 1"),
    ],
)
def test_bad_arguments_of_load(name, options, expected):
    with pytest.raises(InputError) as caught:
        data.load(name, **options)
    assert expected in str(caught.value)


def test_a_text_file_is_no_data_set(tmp_path):
    (tmp_path / "x.txt").write_text("text")
    with pytest.raises(InputError, match="expected a known name"):
        data.load(tmp_path / "x.txt")


# --- Datasets of torch, splits -------------------------------------------------------------------


BAD_ITEMS = {
    "not a pair": (pixels(4, 4), "item 3: expected (image, label), got ndarray"),
    "text": (("x.png", 0), "item 3: expected a PIL image, tensor or array, got str"),
    "normalised": ((torch.full((3, 4, 4), -1.0), 0), "item 3: expected floats in [0, 1]"),
    "nan": ((torch.full((3, 4, 4), torch.nan), 0), "item 3: expected floats in [0, 1]"),
    "int32": ((torch.zeros(3, 4, 4, dtype=torch.int32), 0), "item 3: expected uint8, uint16 or"),
    "axes": ((torch.zeros(1, 3, 4, 4), 0), "item 3: expected an image of 2 or 3 axes"),
    "float label": ((pixels(4, 4), 1.0), "item 3: label: expected an integer from 0, got 1.0"),
    "negative label": ((pixels(4, 4), -1), "item 3: label: expected an integer from 0, got -1"),
    "other size": (
        (pixels(5, 4), 1),
        "image_size: expected one, as sizes differ: item 0 is (4, 4)",
    ),
}


@pytest.mark.parametrize("item, expected", BAD_ITEMS.values(), ids=BAD_ITEMS.keys())
def test_bad_items_are_named(item, expected):
    items = [(pixels(4, 4), i % 2) for i in range(8)]
    items[3] = item
    with pytest.raises(InputError) as caught:
        data.from_dataset(Pairs(items), name="mine")
    assert expected in str(caught.value) and str(caught.value).startswith("mine")


def test_what_is_no_dataset_is_refused():
    for wrong in (iter([]), Pairs([])):
        with pytest.raises(InputError, match="expected"):
            data.from_dataset(wrong)


@pytest.mark.parametrize(
    "images, labels",
    [
        (torch.zeros(4, 1, 2, 2), torch.arange(4)),
        (torch.zeros(4, 2, 2, dtype=torch.uint8), torch.arange(4)),
        (torch.zeros(4, 0, 2, 2, dtype=torch.uint8), torch.arange(4)),
        (torch.zeros(4, 1, 2, 2, dtype=torch.int16), torch.arange(4)),
        (torch.zeros(4, 3, 0, 2, dtype=torch.uint8), torch.arange(4)),
        (torch.zeros(4, 3, 2, 2, dtype=torch.uint8), torch.arange(4).float()),
        (torch.zeros(4, 3, 2, 2, dtype=torch.uint8), torch.tensor([True] * 4)),
        (torch.zeros(4, 3, 2, 2, dtype=torch.uint8), torch.arange(5)),
        (torch.zeros(4, 3, 2, 2, dtype=torch.uint8), torch.arange(4)[:, None]),
    ],
)
def test_a_split_checks_its_tensors(images, labels):
    with pytest.raises(InputError, match="expected"):
        Split(images, labels)
