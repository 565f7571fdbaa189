"""The images that are measured on: real ones, never zeros, whose statistics are nobody's."""

from __future__ import annotations

import importlib.util
import io
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from pyaug import data
from pyaug.bench import machine
from pyaug.data.loading import default_root
from pyaug.errors import InputError

_TINT = (1.0, 0.8, 0.6)


@dataclass(frozen=True)
class Pictures:
    """Images, brought to the size that is asked for."""

    sources: dict[int, tuple[str, Tensor]]
    """By the smallest side they are meant for: what they are, and uint8 `[N, 3, H, W]`."""

    def batch(self, count: int, side: int) -> Tensor:
        """uint8 `[count, 3, side, side]`; they repeat where there are fewer."""
        _, images = self._of(side)
        images = images[torch.arange(count) % len(images)]
        if images.shape[-2:] == (side, side):
            return images
        smaller = side < images.shape[-1]
        size = {"size": (side, side), "mode": "bilinear", "antialias": smaller}
        return F.interpolate(images.float(), **size).round().clamp(0, 255).to(torch.uint8)

    def about(self, side: int) -> str:
        """What the images of a side are."""
        name, images = self._of(side)
        own = tuple(images.shape[-2:])
        return name if own == (side, side) else f"{name}, resized from {own[0]} × {own[1]}"

    def _of(self, side: int) -> tuple[str, Tensor]:
        return self.sources[max(own for own in self.sources if own <= side)]


def pictures(file: Path | None = None) -> Pictures:
    """The images of a file; without one CIFAR-10's and Imagenette's, where they lie beside the
    source tree, else the bundled ones, enlarged and tinted.

    Args:
        file: an .npz of `images` (N, H, W, C uint8), or of JPEG files: `data`, all their bytes,
            and `offsets`, where each begins.

    Raises:
        InputError: no such file, or none that holds images.
    """
    if file is not None:
        return Pictures({0: (file.name, _read(file))})
    sources = dict(bundled().sources)
    if beside("cifar10_test.npz"):
        sources[0] = ("CIFAR-10, test images", _cifar10("test")[0][:4096])
    if imagenette := beside("imagenette_224_small.npz"):
        sources[65] = ("Imagenette", _read(imagenette))
    return Pictures(sources)


def bundled() -> Pictures:
    """The package's own images, tinted."""
    grey = data.load("fashion-mnist-small").train.images[:512].float()
    tinted = (grey * torch.tensor(_TINT)[:, None, None]).round().to(torch.uint8)
    return Pictures({0: ("fashion-mnist-small, tinted", tinted)})


def beside(name: str) -> Path | None:
    """A file of the data sets beside a source tree, which a package cannot carry; None without."""
    tree = machine.tree()
    file = tree.parent / "shared" / "data" / name if tree else None
    return file if file and file.exists() else None


def cifar10() -> data.DataSet | None:
    """CIFAR-10 whole, where it lies beside the source tree or torchvision has it; else None."""
    if beside("cifar10_train_0.npz"):
        parts = (data.Split(*_cifar10(part)) for part in ("train", "test"))
        return data.DataSet("cifar10", *parts, tuple("0123456789"))
    try:
        return data.load("cifar10", download=False)
    except InputError:
        return None


def _cifar10(part: str) -> tuple[Tensor, Tensor]:
    """Images and labels by that folder's own loader; it takes seconds and keeps what it decoded."""
    loader = beside("imgpack.py")
    where = importlib.util.spec_from_file_location("imgpack", loader)
    imgpack = importlib.util.module_from_spec(where)
    where.loader.exec_module(imgpack)
    kept = str(default_root() / "bench")
    images, labels = imgpack.load(str(loader.parent), f"cifar10_{part}", jobs=1, cache=kept)
    planes = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    return planes, torch.from_numpy(labels)


def _read(file: Path) -> Tensor:
    """uint8 `[N, 3, H, W]` of an .npz."""
    try:
        with np.load(file) as held:
            if "images" in held:
                images = held["images"][:4096]
            else:
                jpegs, offsets = held["data"], held["offsets"]
                images = np.stack([_decoded(jpegs[a:b].tobytes()) for a, b in pairwise(offsets)])
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"images: expected an .npz of images of one size, got {file} ({error})"
        ) from error
    if images.ndim != 4 or images.dtype != np.uint8 or images.shape[-1] not in (1, 3):
        raise InputError(
            f"images: expected uint8 (N, H, W, C), C = 1 or 3, got {images.dtype} of shape "
            f"{images.shape} in {file}"
        )
    planes = torch.from_numpy(images).permute(0, 3, 1, 2)
    return planes.expand(-1, 3, -1, -1).contiguous()


def _decoded(content: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(content)).convert("RGB"))
