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
from pyaug.data.images import bits, is_grey, looks_turned, resize, to_tensor
from pyaug.data.sets import WHITE, DataSet, Lazy, Split
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
            (H, W) or (H, W, C): uint8, uint16, or floats in [0, 1], which are rounded to 256
            levels. A label is an integer.
        name: what policies and recipes know it by.
        classes: their names; default: the `classes` of `train`, otherwise numbers.
        image_size, held_out, hold_gib: as `load` has them.

    Raises:
        InputError: an item that is not such a pair, sizes that differ without `image_size`, numbers
            of channels that differ but for grey among others, types that differ, and whatever
            `DataSet` refuses.
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
    channels = 3 if len(first) == 1 else len(first)  # colour may follow the first, grey image
    needed = sum(map(len, parts)) * channels * size[0] * size[1] * first.dtype.itemsize
    if needed <= hold_gib * 2**30:
        splits = _same_channels([_held(part, name, image_size) for part in parts], name)
    else:
        splits = [_lazy(part, name, (channels, *size), first.dtype) for part in parts]
    both = splits if test is not None else hold_out(splits[0], held_out, where=name)
    if classes is None:
        numbers = range(int(splits[0].labels.max()) + 1)
        classes = getattr(train, "classes", None) or [str(i) for i in numbers]
    return DataSet(name, *both, tuple(map(str, classes)))


def item(dataset: Dataset, i: int, *, name: str) -> tuple[Tensor, int]:
    """Item i as uint8 or uint16 `[C, H, W]`, and its label; InputError names the item."""
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
        bits(image, where=where)
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
    if x.ndim != 3 or 0 in x.shape:
        shape = tuple(image.shape)
        raise InputError(f"{where}: expected an image of 2 or 3 axes, got shape {shape}")
    form = "(H, W, C)" if isinstance(image, np.ndarray) else "(C, H, W)"
    if looks_turned(image.shape if isinstance(image, np.ndarray) else x.shape[::-1]):
        raise InputError(f"{where}: expected {form}, got {tuple(image.shape)}, which looks turned")
    if x.is_floating_point():
        if not bool(((x >= 0) & (x <= 1)).all()):
            raise InputError(f"{where}: expected floats in [0, 1], not normalised, got others")
        return (x * 255).round().to(torch.uint8)
    if x.dtype not in WHITE:
        raise InputError(f"{where}: expected uint8, uint16 or floats in [0, 1], got {x.dtype}")
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


def _same_channels(parts: list[tuple[list[Tensor], list[int]]], name: str) -> list[Split]:
    """All grey stays grey; among others grey ones get as many channels."""
    first = parts[0][0][0]
    channels = max(len(image) for images, _ in parts for image in images)
    form = {"channels": channels, "dtype": first.dtype, "name": name}
    return [
        Split(
            torch.stack([_of_form(image, **form, i=i) for i, image in enumerate(images)]),
            torch.tensor(labels),
        )
        for images, labels in parts
    ]


def _of_form(image: Tensor, *, channels: int, dtype: torch.dtype, name: str, i: int) -> Tensor:
    """An image with so many channels, grey ones repeated; InputError where it has others."""
    if len(image) not in (1, channels) or image.dtype != dtype:
        wanted, got = ((n, str(kind)) for n, kind in ((channels, dtype), (len(image), image.dtype)))
        said = [f"{n} channels of {kind.removeprefix('torch.')}" for n, kind in (wanted, got)]
        raise InputError(f"{name}, item {i}: expected {said[0]}, as others have, got {said[1]}")
    return image.expand(channels, -1, -1)


def _lazy(dataset: Dataset, name: str, shape: tuple[int, int, int], dtype: torch.dtype) -> Split:
    labels = getattr(dataset, "targets", None)
    if labels is None or len(labels) != len(dataset):
        labels = [item(dataset, i, name=name)[1] for i in range(len(dataset))]
    get = partial(_decode, dataset, name, (shape, dtype))
    images = Lazy(get, torch.arange(len(dataset)), shape, dtype=dtype)
    return Split(images, torch.as_tensor(labels))


def _decode(
    dataset: Dataset, name: str, form: tuple[tuple[int, int, int], torch.dtype], i: int
) -> Tensor:
    shape, dtype = form
    image = item(dataset, i, name=name)[0]
    image = _of_form(image, channels=shape[0], dtype=dtype, name=name, i=i)
    if shape[1] == shape[2]:
        image = resize(image[None], shape[1])[0]
    if image.shape != shape:
        sizes = f"(H, W) = {shape[1:]} and, item {i}, {tuple(image.shape[1:])}"
        raise InputError(f"{name}: image_size: expected one, as sizes differ: {sizes}")
    return image
