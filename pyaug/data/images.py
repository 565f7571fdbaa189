"""Image files and arrays to tensors: uint8, or uint16 where they have 16 bits a channel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from pyaug.errors import InputError

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
_ARRAYS = (np.dtype(np.uint8), np.dtype(np.uint16))
_NARROW = 4  # more channels than this, in images no higher, are taken for their width
_UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


def open_image(path: str) -> Image.Image:
    """Open an image file; its pixels are not yet decoded.

    Raises:
        InputError: not an image, or one of more than 8 bits a channel other than 16-bit grey.
    """
    try:
        image = Image.open(path)
    except _UNREADABLE as error:
        raise InputError(f"{path}: unreadable image ({_reason(error)})") from error
    try:
        bits(image, where=path)
    except InputError:
        image.close()
        raise
    return image


def bits(image: Image.Image, *, where: str) -> int:
    """8, or 16 of a grey PIL image; InputError for others of more than 8 bits a channel."""
    raw = ""  # how the file has them: Pillow reads 16 bits of colour as 8, and says so nowhere else
    if getattr(image, "tile", None) and image.format in ("PNG", "TIFF"):
        args = image.tile[0][3]
        raw = args if isinstance(args, str) else str(args[0])
    mode = image.mode
    if mode.startswith("I;16") or (mode == "I" and ";16" in raw):  # I: Pillow 10, of PNG
        return 16
    if mode[0] in "IF" or ";16" in raw:
        got = raw if ";16" in raw else mode
        raise InputError(f"{where}: expected 8 bits a channel, or 16 of grey, got mode {got}")
    return 8


def read(paths: Sequence[str], shape: tuple[int, int, int], dtype: torch.dtype, i: int) -> Tensor:
    """Decode file i to `[C, H, W]` of this shape and type; InputError names a file that fails."""
    try:
        with open_image(paths[i]) as image:
            decoded = to_tensor(image, shape)
    except InputError:
        raise
    except _UNREADABLE as error:
        raise InputError(f"{paths[i]}: unreadable image ({_reason(error)})") from error
    _check_type(decoded.dtype, dtype, where=paths[i])
    return decoded


def to_tensor(image: Image.Image, shape: tuple[int, int, int]) -> Tensor:
    """A PIL image as `[C, H, W]`: grey or RGB, the shorter side resized, centre cropped.

    uint8, or uint16 of 16-bit grey, whatever C.
    """
    channels, height, width = shape
    deep = bits(image, where="image") == 16
    if deep:
        image = Image.fromarray(np.array(image).astype(np.float32))  # which Pillow can resize
    else:
        image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
    array = np.array(image)
    pixels = torch.from_numpy(np.rint(array).astype(np.uint16) if deep else array)
    return pixels.reshape(height, width, -1).permute(2, 0, 1).contiguous()


def is_grey(image: Image.Image) -> bool:
    """Whether a PIL image has one channel (alpha aside)."""
    return image.mode in ("1", "L", "LA", "La") or image.mode[0] == "I"


def common_form(
    paths: Sequence[str], image_size: int | None
) -> tuple[tuple[int, int, int], torch.dtype]:
    """(C, H, W) and the type that these files get, from their headers.

    C = 1 where all are grey, otherwise 3; uint16 where they are grey of 16 bits, otherwise uint8.

    Raises:
        InputError: an unreadable file; 16 bits among 8; sizes that differ where `image_size` is
            None.
    """
    channels, size, dtype = 1, None, None
    for path in paths:
        with open_image(path) as image:
            channels = channels if is_grey(image) else 3
            here = torch.uint16 if bits(image, where=path) == 16 else torch.uint8
            dtype = dtype or here
            _check_type(here, dtype, where=path)
            size = size or image.size
            if image_size is None and image.size != size:
                sizes = f"{paths[0]} is {size[0]}x{size[1]}, {path} {image.size[0]}x{image.size[1]}"
                raise InputError(f"image_size: expected one, as sizes differ: {sizes}")
        if channels == 3 and image_size is not None:
            break
    height, width = (image_size, image_size) if image_size else (size[1], size[0])
    return (channels, height, width), dtype


def resize(images: Tensor, image_size: int | None) -> Tensor:
    """`[N, C, H, W]` with squares of `image_size`, as `to_tensor` resizes; None: as it is."""
    n, c, h, w = images.shape
    if image_size is None or (h, w) == (image_size, image_size):
        return images
    resized = torch.empty((n, c, image_size, image_size), dtype=images.dtype)
    for i, image in enumerate(images):
        for k, plane in enumerate(image.numpy()):
            resized[i, k] = to_tensor(Image.fromarray(plane), (1, image_size, image_size))[0]
    return resized


def from_array(array: np.ndarray, *, where: str) -> Tensor:
    """(N, H, W) or (N, H, W, C), uint8 or uint16, to a tensor `[N, C, H, W]`, or InputError."""
    expected = "expected uint8 or uint16 (N, H, W) or (N, H, W, C)"
    if array.dtype not in _ARRAYS or array.ndim not in (3, 4) or 0 in array.shape[1:]:
        raise InputError(f"{where}: {expected}, got {array.dtype} {array.shape}")
    array = array[..., None] if array.ndim == 3 else array
    if looks_turned(array.shape[1:]):
        raise InputError(f"{where}: {expected}, got {array.shape}, which looks like (N, C, H, W)")
    return torch.from_numpy(np.ascontiguousarray(array.transpose(0, 3, 1, 2)))


def looks_turned(shape: Sequence[int]) -> bool:
    """Whether the last of (H, W, C) is no number of channels, but the first is: it is (C, H, W)."""
    return shape[-1] > _NARROW >= shape[0]


def _check_type(dtype: torch.dtype, expected: torch.dtype, *, where: str) -> None:
    if dtype != expected:
        wanted, got = (8 * kind.itemsize for kind in (expected, dtype))
        raise InputError(f"{where}: expected {wanted} bits, as the images before it, got {got}")


def _reason(error: Exception) -> str:
    return "not an image" if isinstance(error, Image.UnidentifiedImageError) else _one_line(error)


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__
