"""Image files and arrays to uint8 tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from pyaug.errors import InputError

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
_UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


def open_image(path: str) -> Image.Image:
    """Open an image file; its pixels are not yet decoded.

    Raises:
        InputError: not an image, or one of more than 8 bits a channel.
    """
    try:
        image = Image.open(path)
    except _UNREADABLE as error:
        raise InputError(f"{path}: unreadable image ({_reason(error)})") from error
    if image.mode[0] in "IF":  # I, I;16, F
        image.close()
        raise InputError(f"{path}: expected 8 bits a channel, got mode {image.mode}")
    return image


def read(paths: Sequence[str], shape: tuple[int, int, int], i: int) -> Tensor:
    """Decode file i to uint8 `[C, H, W]` of this shape; InputError names a file that fails."""
    try:
        with open_image(paths[i]) as image:
            return to_tensor(image, shape)
    except InputError:
        raise
    except _UNREADABLE as error:
        raise InputError(f"{paths[i]}: unreadable image ({_reason(error)})") from error


def to_tensor(image: Image.Image, shape: tuple[int, int, int]) -> Tensor:
    """A PIL image as uint8 `[C, H, W]`: grey or RGB, the shorter side resized, centre cropped."""
    channels, height, width = shape
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(image)).reshape(height, width, channels)
    return pixels.permute(2, 0, 1).contiguous()


def is_grey(image: Image.Image) -> bool:
    """Whether a PIL image has one channel (alpha aside)."""
    return image.mode in ("1", "L", "LA", "La")


def common_shape(paths: Sequence[str], image_size: int | None) -> tuple[int, int, int]:
    """(C, H, W) that these files get, from their headers: C = 1 where all are grey, otherwise 3.

    Raises:
        InputError: an unreadable file; sizes that differ where `image_size` is None.
    """
    channels, size = 1, None
    for path in paths:
        with open_image(path) as image:
            channels = channels if is_grey(image) else 3
            size = size or image.size
            if image_size is None and image.size != size:
                sizes = f"{paths[0]} is {size[0]}x{size[1]}, {path} {image.size[0]}x{image.size[1]}"
                raise InputError(f"image_size: expected one, as sizes differ: {sizes}")
        if channels == 3 and image_size is not None:
            break
    return (channels, image_size, image_size) if image_size else (channels, size[1], size[0])


def resize(images: Tensor, image_size: int | None) -> Tensor:
    """uint8 `[N, C, H, W]` with squares of `image_size`, as `to_tensor` resizes; None: as it is."""
    n, c, h, w = images.shape
    if image_size is None or (h, w) == (image_size, image_size):
        return images
    resized = torch.empty((n, c, image_size, image_size), dtype=torch.uint8)
    for i, image in enumerate(images.permute(0, 2, 3, 1).contiguous().numpy()):
        pil = Image.fromarray(image[..., 0] if c == 1 else image)
        resized[i] = to_tensor(pil, (c, image_size, image_size))
    return resized


def from_array(array: np.ndarray, *, where: str) -> Tensor:
    """(N, H, W), (N, H, W, 1) or (N, H, W, 3) uint8 to a tensor `[N, C, H, W]`, or InputError."""
    expected = "expected uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3)"
    fits = array.ndim == 3 or (array.ndim == 4 and array.shape[3] in (1, 3))
    if array.dtype != np.uint8 or not fits or 0 in array.shape[1:]:
        raise InputError(f"{where}: {expected}, got {array.dtype} {array.shape}")
    array = array[..., None] if array.ndim == 3 else array
    return torch.from_numpy(np.ascontiguousarray(array.transpose(0, 3, 1, 2)))


def _reason(error: Exception) -> str:
    return "not an image" if isinstance(error, Image.UnidentifiedImageError) else _one_line(error)


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__
