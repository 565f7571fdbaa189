"""Data sets in folders of class folders."""

from __future__ import annotations

import math
import os
from functools import partial
from pathlib import Path

import torch

from pyaug.data.arrays import hold_out
from pyaug.data.images import EXTENSIONS, common_form
from pyaug.data.images import read as read_image
from pyaug.data.sets import DataSet, Lazy, Split
from pyaug.errors import InputError


def read(path: Path, *, image_size: int | None, held_out: float, hold_gib: float) -> DataSet:
    """Read a folder of class folders, or of `train/` and `val/` (or `test/`); see `load`."""
    in_parts = (path / "train").is_dir()
    parts = [path / "train", _test_folder(path)] if in_parts else [path]
    listed = [_list(part) for part in parts]
    classes = tuple(listed[0])
    if tuple(listed[-1]) != classes:
        odd = sorted(set(classes) ^ set(listed[-1]))[0]
        has, lacks = parts if odd in classes else reversed(parts)
        raise InputError(f"{lacks}: expected a class folder {odd!r}, as in {has}")
    splits = _splits(listed, image_size=image_size, hold_gib=hold_gib)
    train, test = splits if len(splits) == 2 else hold_out(splits[0], held_out, where=path)
    return DataSet(path.resolve().name, train, test, classes)


def files(
    paths: list[str],
    labels: list[int],
    shape: tuple[int, int, int],
    *,
    dtype: torch.dtype = torch.uint8,
) -> Split:
    """A split of image files, decoded on demand to this (C, H, W) and type."""
    get = partial(read_image, paths, shape, dtype)
    return Split(Lazy(get, torch.arange(len(paths)), shape, dtype=dtype), torch.tensor(labels))


def _test_folder(path: Path) -> Path:
    for name in ("val", "test"):
        if (path / name).is_dir():
            return path / name
    raise InputError(f"{path}: expected val/ or test/ beside train/, got neither")


def _list(path: Path) -> dict[str, list[str]]:
    """The image files of every class folder, sorted; hidden names are left out."""
    classes = sorted(d for d in path.iterdir() if d.is_dir() and not d.name.startswith("."))
    if len(classes) < 2:
        raise InputError(f"{path}: expected 2 class folders or more, got {len(classes)}")
    listed = {}
    for folder in classes:
        listed[folder.name] = sorted(
            os.path.join(at, name)
            for at, _, names in os.walk(folder, followlinks=True)
            for name in names
            if name.lower().endswith(EXTENSIONS) and not name.startswith(".")
        )
        if not listed[folder.name]:
            raise InputError(f"{folder}: expected images ({', '.join(EXTENSIONS)}), got none")
    return listed


def _splits(
    listed: list[dict[str, list[str]]], *, image_size: int | None, hold_gib: float
) -> list[Split]:
    paths = [[p for members in part.values() for p in members] for part in listed]
    labels = [[c for c, members in enumerate(part.values()) for _ in members] for part in listed]
    shape, dtype = common_form([p for part in paths for p in part], image_size)
    splits = [files(p, y, shape, dtype=dtype) for p, y in zip(paths, labels, strict=True)]
    taken = sum(map(len, paths)) * math.prod(shape) * dtype.itemsize
    return [split.hold() for split in splits] if taken <= hold_gib * 2**30 else splits
