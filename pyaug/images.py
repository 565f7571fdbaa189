"""What counts as images: the kinds that are taken, and their common form (B, C, H, W)."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pyaug.errors import InputError

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def to_batch(images: Any, name: str) -> tuple[Tensor, Callable[[Tensor], Any]]:
    """Bring images to (B, C, H, W) and return the way back to their own kind.

    Taken: a tensor (..., C, H, W) of uint8 or floats with C = 1 or 3 and at least one pixel, or a
    PIL image of mode L or RGB. ``name`` says in errors who was given them.
    """
    if isinstance(images, Image.Image):
        if images.mode not in ("L", "RGB"):
            raise InputError(
                f"{name}: expected a PIL image of mode L or RGB, got {images.mode}; "
                "image.convert('RGB') makes one"
            )
        return _from_pil(images), _to_pil
    if not isinstance(images, Tensor):
        raise InputError(f"{name}: expected a tensor or a PIL image, got {type(images).__name__}")
    if images.dtype != torch.uint8 and images.dtype not in _FLOATS:
        raise InputError(
            f"{name}: expected uint8, float16, bfloat16, float32 or float64 images, "
            f"got {str(images.dtype).removeprefix('torch.')}"
        )
    shape = images.shape
    if images.dim() < 3 or shape[-3] not in (1, 3) or shape[-2] < 1 or shape[-1] < 1:
        raise InputError(
            f"{name}: expected images (..., C, H, W) with C = 1 or 3 and at least one pixel, "
            f"got {tuple(shape)}"
        )
    if images.dim() == 4:
        return images, lambda out: out
    if images.dim() == 3:  # reshape takes 1 µs more, there and back
        return images[None], lambda out: out[0]
    return images.reshape(-1, *shape[-3:]), lambda out: out.reshape(shape)


# Pillow copies one channel at a time far faster than NumPy and torch take interleaved ones apart.
def _from_pil(image: Image.Image) -> Tensor:
    bands = image.getbands()
    pixels = bytearray().join(image.tobytes("raw", band) for band in bands)
    shape = (1, len(bands), image.height, image.width)
    return torch.from_numpy(np.frombuffer(pixels, np.uint8).reshape(shape))


def _to_pil(batch: Tensor) -> Image.Image:
    _, channels, height, width = batch.shape
    size = (width, height)
    bands = [Image.frombuffer("L", size, plane, "raw", "L", 0, 1) for plane in batch[0].numpy()]
    return Image.merge("L" if channels == 1 else "RGB", bands)


def fill_values(fill: float | Sequence[float], name: str) -> list[float]:
    """One fill for all channels, or one for each, in the images' own unit, as a list."""
    values = list(fill) if isinstance(fill, Iterable) else [fill]
    if len(values) not in (1, 3) or not all(
        isinstance(v, int | float) and math.isfinite(v) for v in values
    ):
        raise InputError(f"{name}: fill: expected a number or one for each channel, got {fill!r}")
    return [float(v) for v in values]


def is_bilinear(interpolation: str | None, images: Tensor, name: str) -> bool:
    """Nearest by default on uint8, bilinear on floats."""
    if interpolation is None:
        return images.dtype != torch.uint8
    if interpolation not in ("nearest", "bilinear"):
        raise InputError(
            f"{name}: interpolation: expected 'nearest' or 'bilinear', got {interpolation!r}"
        )
    return interpolation == "bilinear"
