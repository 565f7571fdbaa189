"""Any map-style torch Dataset as a data set."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from pyaug.data.arrays import hold_out
from pyaug.data.images import is_grey, resize, to_tensor
from pyaug.data.sets import DataSet, Lazy, Split
from pyaug.errors import InputError


def from_dataset(
    train: Dataset,
    *,
    test: Dataset | None = None,
    name: str = "custom",
    classes: Sequence[str] | None = None,
    image_size: int | None = None,
    held_out: float = 0.2,
    hold_gib: float = 4.0,
) -> DataSet:
    """A data set from map-style Datasets of (image, label).

    Args:
        train, test: give the plain images: what a random transform draws while they are read would
            be frozen. An image is a PIL image, a tensor `[C, H, W]` or `[H, W]`, or an array
            (H, W) or (H, W, C): uint8, or floats in [0, 1], which are rounded to 256 levels. A
            label is an integer.
        name: what policies and recipes know it by.
        classes: their names; default: the `classes` of `train`, otherwise numbers.
        image_size, held_out, hold_gib: as `load` has them.

    Raises:
        InputError: an item that is not such a pair, sizes that differ without `image_size`, and
            whatever `DataSet` refuses.
    """
    parts = [train] if test is None else [train, test]
    for part in parts:
        if not hasattr(part, "__len__") or not hasattr(part, "__getitem__"):
            kind = type(part).__name__
            raise InputError(f"{name}: expected a map-style Dataset with a length, got {kind}")
        if not len(part):
            raise InputError(f"{name}: expected images, got an empty Dataset")
    first = item(train, 0, name=name)[0]
    size = (image_size, image_size) if image_size else tuple(first.shape[1:])
    needed = sum(map(len, parts)) * 3 * size[0] * size[1]
    if needed <= hold_gib * 2**30:
        splits = _same_channels([_held(part, name, image_size) for part in parts])
    else:
        splits = [_lazy(part, name, (3, *size)) for part in parts]
    both = splits if test is not None else hold_out(splits[0], held_out, where=name)
    if classes is None:
        numbers = range(int(splits[0].labels.max()) + 1)
        classes = getattr(train, "classes", None) or [str(i) for i in numbers]
    return DataSet(name, *both, tuple(map(str, classes)))


def item(dataset: Dataset, i: int, *, name: str) -> tuple[Tensor, int]:
    """Item i as uint8 `[C, H, W]`, C = 1 or 3, and its label; InputError names the item."""
    pair = dataset[i]
    where = f"{name}, item {i}"
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise InputError(f"{where}: expected (image, label), got {type(pair).__name__}")
    return _image(pair[0], where), _label(pair[1], where)


def _label(label: Any, where: str) -> int:
    value = np.asarray(label)
    if value.ndim or value.dtype.kind not in "iu" or value < 0:
        raise InputError(f"{where}: label: expected an integer from 0, got {label!r}")
    return int(value)


def _image(image: Any, where: str) -> Tensor:
    if isinstance(image, Image.Image):
        return to_tensor(image, (1 if is_grey(image) else 3, image.height, image.width))
    if isinstance(image, np.ndarray):
        x = torch.from_numpy(np.ascontiguousarray(image))
        x = x.permute(2, 0, 1) if x.ndim == 3 else x
    elif isinstance(image, Tensor):
        x = image
    else:
        kind = type(image).__name__
        raise InputError(f"{where}: expected a PIL image, tensor or array, got {kind}")
    x = x[None] if x.ndim == 2 else x
    if x.ndim != 3 or x.shape[0] not in (1, 3):
        shape = tuple(image.shape)
        raise InputError(f"{where}: expected an image of 1 or 3 channels, got shape {shape}")
    if x.is_floating_point():
        if not bool(((x >= 0) & (x <= 1)).all()):
            raise InputError(f"{where}: expected floats in [0, 1], not normalised, got others")
        return (x * 255).round().to(torch.uint8)
    if x.dtype != torch.uint8:
        raise InputError(f"{where}: expected uint8 or floats in [0, 1], got {x.dtype}")
    return x


def _held(dataset: Dataset, name: str, image_size: int | None) -> tuple[list[Tensor], list[int]]:
    images, labels = [], []
    for i in range(len(dataset)):
        image, label = item(dataset, i, name=name)
        images.append(resize(image[None], image_size)[0])
        labels.append(label)
        if images[i].shape[1:] != images[0].shape[1:]:
            sizes = f"item 0 is {tuple(images[0].shape[1:])}, item {i} {tuple(image.shape[1:])}"
            raise InputError(f"{name}: image_size: expected one, as sizes differ: {sizes}")
    return images, labels


def _same_channels(parts: list[tuple[list[Tensor], list[int]]]) -> list[Split]:
    """All grey stays grey; among RGB images grey ones become RGB."""
    channels = max(len(image) for images, _ in parts for image in images)
    return [
        Split(
            torch.stack([image.expand(channels, -1, -1) for image in images]), torch.tensor(labels)
        )
        for images, labels in parts
    ]


def _lazy(dataset: Dataset, name: str, shape: tuple[int, int, int]) -> Split:
    labels = getattr(dataset, "targets", None)
    if labels is None or len(labels) != len(dataset):
        labels = [item(dataset, i, name=name)[1] for i in range(len(dataset))]
    index = torch.arange(len(dataset))
    return Split(
        Lazy(partial(_decode, dataset, name, shape), index, shape), torch.as_tensor(labels)
    )


def _decode(dataset: Dataset, name: str, shape: tuple[int, int, int], i: int) -> Tensor:
    image = item(dataset, i, name=name)[0].expand(shape[0], -1, -1)
    if shape[1] == shape[2]:
        image = resize(image[None], shape[1])[0]
    if image.shape != shape:
        sizes = f"(H, W) = {shape[1:]} and, item {i}, {tuple(image.shape[1:])}"
        raise InputError(f"{name}: image_size: expected one, as sizes differ: {sizes}")
    return image
