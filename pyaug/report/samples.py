"""The images that a report or a preview shows: of files, of arrays, of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

from pyaug import grids
from pyaug.data import images as image_files
from pyaug.errors import InputError
from pyaug.grids import Subject, from_data
from pyaug.images import to_batch

__all__ = ["from_any", "from_data", "from_files", "load", "save"]


def from_any(images: Any, *, size: int, most: int = 3) -> list[Subject]:
    """Images of a user: paths as :func:`from_files` has them, PIL images, tensors and arrays.

    Args:
        images: one of these or a list; tensors (..., C, H, W) and arrays (H, W, C) as
            :class:`pyaug.Augment` takes them, of which the first three channels are shown.
        size: the longest side in pixels; larger images are scaled down to it.
        most: images that a folder gives.

    Raises:
        InputError: something that is no image.
    """
    subjects = []
    for one in images if isinstance(images, list | tuple) else [images]:
        if isinstance(one, str | Path):
            subjects += from_files([one], size=size, most=most)
            continue
        if isinstance(one, Image.Image):
            batch = _from_pil(one.copy(), size)[None]
        else:
            batch = _scaled(grids.to_bytes(to_batch(one, "preview: images")[0]), size)
        subjects += [Subject(f"image {len(subjects) + i}", x) for i, x in enumerate(batch, 1)]
    if not subjects:
        raise InputError("preview: images: expected at least one image")
    return subjects


def from_files(paths: Sequence[str | Path], *, size: int, most: int = 3) -> list[Subject]:
    """Read images; those with a longer side than ``size`` pixels are scaled down to it.

    Of a folder, ``most`` of the images in it and below are read, equally spaced by their names.

    Raises:
        InputError: a file that is no image, or a folder without any, named by its path.
    """
    return [
        Subject(name, _read(file, size))
        for path in map(Path, paths)
        for name, file in _listed(path, most)
    ]


def _listed(path: Path, most: int) -> list[tuple[str, Path]]:
    """A file, or files of a folder, each with what it is called."""
    if not path.is_dir():
        return [(path.name, path)]
    found = [p for p in path.rglob("*") if p.suffix.lower() in image_files.EXTENSIONS]
    found = sorted(p for p in found if not p.name.startswith("."))
    if not found:
        raise InputError(f"{path}: expected image files in this folder, found none")
    count = min(most, len(found))
    chosen = [found[(2 * i + 1) * len(found) // (2 * count)] for i in range(count)]
    return [(str(p.relative_to(path)), p) for p in chosen]


def _read(path: Path, size: int) -> Tensor:
    with image_files.open_image(str(path)) as image:
        try:
            return _from_pil(image, size)
        except (OSError, SyntaxError) as error:  # as of a file that was cut short
            raise InputError(f"{path}: unreadable image ({error})") from error


def _from_pil(image: Image.Image, size: int) -> Tensor:
    """uint8 [C, H, W], grey or RGB, the way up that its camera noted."""
    image.draft(None, (size, size))  # a photograph is decoded at a fraction of its size
    image = ImageOps.exif_transpose(image)
    channels = 1 if image_files.is_grey(image) else 3
    pixels = image_files.to_tensor(image, (channels, image.height, image.width))
    return _scaled(grids.to_bytes(pixels[None]), size)[0]


def _scaled(batch: Tensor, size: int) -> Tensor:
    """uint8 [B, C, H, W], the longer side ``size`` at most."""
    longest = max(batch.shape[2:])
    if longest <= size:
        return batch
    shape = [max(1, round(side * size / longest)) for side in batch.shape[2:]]
    return F.interpolate(batch, shape, mode="bilinear", antialias=True)


def save(path: Path, subjects: Sequence[Subject]) -> None:
    """Keep images of one shape for later."""
    images = np.stack([s.image.permute(1, 2, 0).numpy() for s in subjects])
    np.savez_compressed(path, images=images, names=np.array([s.name for s in subjects]))


def load(path: Path) -> list[Subject]:
    """Read what :func:`save` wrote."""
    try:
        with np.load(path, allow_pickle=False) as file:
            images = torch.from_numpy(file["images"]).permute(0, 3, 1, 2)
            names = file["names"].tolist()
    except Exception as error:  # numpy, zipfile and zlib each have their own
        raise InputError(f"{path}: expected the images that a report kept, whole") from error
    return [Subject(name, image) for name, image in zip(names, images, strict=True)]
