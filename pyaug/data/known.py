"""Data sets known by name: the bundled one, and those that torchvision reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

from pyaug.data import arrays, folder
from pyaug.data.images import from_array, resize
from pyaug.data.sets import DataSet, Split
from pyaug.errors import InputError

CIFAR_STATISTICS = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
"""Mean and standard deviation as Fast AutoAugment's recipe has them, for both CIFARs and SVHN."""

IMAGENET_STATISTICS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def read(name: str, *, root: Path, image_size: int | None, download: bool) -> DataSet:
    """Read a known data set; see `load`."""
    try:
        return READERS[name](name, root=root, image_size=image_size, download=download)
    except ModuleNotFoundError as error:
        missing = (error.name or "torchvision").partition(".")[0]
        raise InputError(f"{name}: expected {missing}; pip install {missing}") from error
    except InputError:
        raise
    except (OSError, RuntimeError, EOFError) as error:  # what torchvision raises where none is
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{name}: cannot be read from {root} ({reason})") from error


def _torchvision() -> ModuleType:
    import torchvision.datasets  # heavy, and not everybody has it

    return torchvision.datasets


def _bundled(name: str, *, root: Path, image_size: int | None, download: bool) -> DataSet:
    keys = {
        "images": "x_train",
        "labels": "y_train",
        "val_images": "x_test",
        "val_labels": "y_test",
    }
    path = Path(__file__).with_name("fashion_mnist_small.npz")
    return arrays.read(path, image_size=image_size, held_out=0.2, name=name, keys=keys)


def _cifar(name: str, *, root: Path, image_size: int | None, download: bool) -> DataSet:
    kind = {"cifar10": "CIFAR10", "cifar100": "CIFAR100"}[name]
    reader = getattr(_torchvision(), kind)
    parts = [reader(str(root), train=train, download=download) for train in (True, False)]
    splits = [_split(p.data, p.targets, image_size, where=name) for p in parts]
    return DataSet(name, *splits, tuple(parts[0].classes), *CIFAR_STATISTICS)


def _svhn(name: str, *, root: Path, image_size: int | None, download: bool) -> DataSet:
    reader = _torchvision().SVHN
    parts = [reader(str(root), split=split, download=download) for split in ("train", "test")]
    splits = [_split(p.data.transpose(0, 2, 3, 1), p.labels, image_size, where=name) for p in parts]
    return DataSet(name, *splits, tuple("0123456789"), *CIFAR_STATISTICS)


def _imagenet(name: str, *, root: Path, image_size: int | None, download: bool) -> DataSet:
    reader = _torchvision().ImageNet
    shape = (3, image_size or 224, image_size or 224)
    parts = [reader(str(root), split=split) for split in ("train", "val")]
    splits = [folder.files(*map(list, zip(*p.samples, strict=True)), shape) for p in parts]
    classes = tuple(synonyms[0] for synonyms in parts[0].classes)
    return DataSet(name, *splits, classes, *IMAGENET_STATISTICS)


def _split(images: np.ndarray, labels: object, image_size: int | None, *, where: str) -> Split:
    held = resize(from_array(images, where=where), image_size)
    return Split(held, torch.as_tensor(np.asarray(labels)))


READERS: dict[str, Callable[..., DataSet]] = {
    "fashion-mnist-small": _bundled,
    "cifar10": _cifar,
    "cifar100": _cifar,
    "svhn": _svhn,
    "imagenet": _imagenet,
}
