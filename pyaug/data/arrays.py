"""Data sets in `.npz` files."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pyaug.data.images import from_array, resize
from pyaug.data.sets import DataSet, Split
from pyaug.data.stratified import stratified_splits
from pyaug.errors import InputError

_KEYS = ("images", "labels", "val_images", "val_labels", "names")


def read(
    path: Path,
    *,
    image_size: int | None,
    held_out: float,
    name: str | None = None,
    keys: Mapping[str, str] | None = None,
) -> DataSet:
    """Read an `.npz`; see `load`. `keys` renames the keys: {"images": "x_train", …}."""
    keys = {key: (keys or {}).get(key, key) for key in _KEYS}
    arrays = _arrays(path, tuple(keys.values()))
    for key in ("images", "labels"):
        if keys[key] not in arrays:
            has = ", ".join(arrays) or "no known one"
            raise InputError(f"{path}: expected an array {keys[key]!r}, got {has}")
    train = _split(arrays, keys["images"], keys["labels"], path=path, image_size=image_size)
    if (keys["val_images"] in arrays) != (keys["val_labels"] in arrays):
        both = f"{keys['val_images']!r} and {keys['val_labels']!r}"
        raise InputError(f"{path}: expected both {both} or neither, got one of them")
    classes = _classes(arrays.get(keys["names"]), train.labels, where=f"{path}: {keys['names']}")
    if keys["val_images"] in arrays:
        names = keys["val_images"], keys["val_labels"]
        test = _split(arrays, *names, path=path, image_size=image_size)
    else:
        train, test = hold_out(train, held_out, where=path)
    return DataSet(name or path.stem, train, test, classes)


def hold_out(split: Split, share: float, *, where: str | Path) -> tuple[Split, Split]:
    """Two stratified parts by seed 0, the second with this share of the images."""
    classes, counts = split.labels.unique(return_counts=True)
    if int(counts.min()) < 2:
        few = f"got 1 of class {int(classes[counts.argmin()])}"
        raise InputError(f"{where}: expected 2 images or more a class (held_out={share}), {few}")
    test = min(max(round(share * len(split)), len(classes)), len(split) - len(classes))
    return stratified_splits(split, (len(split) - test, test))


def labels_from_array(array: np.ndarray, *, where: str) -> Tensor:
    """(N,) integers from 0 to an int64 tensor, or InputError."""
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise InputError(f"{where}: expected integers (N,), got {array.dtype} {array.shape}")
    if len(array) and array.min() < 0:
        raise InputError(f"{where}: expected labels from 0, got {array.min()}")
    return torch.from_numpy(array.astype(np.int64))


def _arrays(path: Path, keys: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The arrays of these keys that the file has."""
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return {key: _array(file, key, path) for key in keys if key in file.files}
    except InputError:
        raise
    except (OSError, EOFError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: expected an .npz file, got one that is unreadable") from error


def _array(file: np.lib.npyio.NpzFile, key: str, path: Path) -> np.ndarray:
    try:
        return file[key]
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: {key}: expected an array of numbers, undamaged") from error


def _split(
    arrays: dict[str, np.ndarray], images: str, labels: str, *, path: Path, image_size: int | None
) -> Split:
    x = from_array(arrays[images], where=f"{path}: {images}")
    y = labels_from_array(arrays[labels], where=f"{path}: {labels}")
    if len(x) != len(y) or not len(x):
        counts = f"{len(x)} {images} and {len(y)} {labels}"
        raise InputError(f"{path}: expected as many labels as images, got {counts}")
    return Split(resize(x, image_size), y)


def _classes(names: np.ndarray | None, labels: Tensor, *, where: str) -> tuple[str, ...]:
    """The classes' names; without any, their numbers."""
    if names is None:
        # A label far out of range is told by the first class that is missing before it.
        return tuple(map(str, range(min(int(labels.max()), len(labels)) + 1)))
    if names.ndim != 1 or names.dtype.kind != "U":
        raise InputError(f"{where}: expected strings (K,), got {names.dtype} {names.shape}")
    return tuple(names.tolist())
