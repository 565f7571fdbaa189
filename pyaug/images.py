"""What counts as images: the kinds that are taken, and their common form (B, C, H, W)."""

import math
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pyaug.errors import InputError

_WHOLE = (torch.uint8, torch.uint16)
_TYPES = (*_WHOLE, torch.float16, torch.bfloat16, torch.float32, torch.float64)
_ARRAYS = tuple(map(np.dtype, ("uint8", "uint16", "float16", "float32", "float64")))
_MODES = ("L", "RGB", "I;16")
_CHANNELS_FIRST = (1, 3)  # an array of so many rows, and wider than _NARROW, is meant as (C, H, W)
_NARROW = 4  # a tensor of more channels than this, and no wider, is meant as (H, W, C)

Restore = Callable[[Tensor], Any]


def to_batch(images: Any, name: str) -> tuple[Tensor, Restore]:
    """Bring images to (B, C, H, W) and return the way back to their own kind.

    Taken, with at least one channel and one pixel:

    - a tensor (..., C, H, W), uint8 in [0, 255], uint16 in [0, 65535] or floating point in [0, 1];
      a ``tv_tensors.Image`` stays one;
    - a NumPy array (H, W), (H, W, C) or (B, H, W, C) of these types, so that three axes are always
      one image;
    - a PIL image of mode L, RGB or I;16.

    ``name`` says in errors who was given them.
    """
    if type(images) is not Tensor:
        if isinstance(images, Image.Image):
            return _from_pil(images, name)
        if isinstance(images, np.ndarray):
            return _from_array(images, name)
        if not isinstance(images, Tensor):
            kind = type(images).__name__
            raise InputError(f"{name}: expected a tensor, an array or a PIL image, got {kind}")
        vision = tv_tensors()
        if vision and isinstance(images, vision.TVTensor):
            return _from_tv_tensor(images, name, vision.Image)
    if images.dtype not in _TYPES:
        raise InputError(
            f"{name}: expected uint8, uint16, float16, bfloat16, float32 or float64 images, "
            f"got {str(images.dtype).removeprefix('torch.')}"
        )
    shape = images.shape
    if len(shape) < 3 or shape[-3] < 1 or shape[-2] < 1 or shape[-1] < 1:
        raise InputError(
            f"{name}: expected images (..., C, H, W) with at least one channel and one pixel, "
            f"got {tuple(shape)}"
        )
    if shape[-3] > _NARROW >= shape[-1]:
        raise InputError(
            f"{name}: expected images (..., C, H, W), got {tuple(shape)}, which looks like "
            "(..., H, W, C); images.movedim(-1, -3) brings them there"
        )
    if len(shape) == 4:
        return images, lambda out: out
    if len(shape) == 3:  # reshape takes 1 µs more, there and back
        return images[None], lambda out: out[0]
    return images.reshape(-1, *shape[-3:]), lambda out: out.reshape(shape)


def room(out: Any, images: Any, batch: Tensor, name: str) -> Tensor:
    """Check a tensor that is to receive what becomes of images; return it as (B, C, H, W).

    Raises:
        InputError: anything but a contiguous tensor of the images' shape, type and device, apart
            from them in memory; images that are not a tensor; a gradient that is needed.
    """
    if not isinstance(images, Tensor):
        kind = type(images).__name__
        raise InputError(f"{name}: out: expected images that are a tensor, got {kind}")
    if not isinstance(out, Tensor):
        raise InputError(f"{name}: out: expected a tensor, got {type(out).__name__}")
    if out.shape != images.shape or out.dtype != images.dtype or out.device != images.device:
        expected, got = (f"{described(t)} on {t.device}" for t in (images, out))
        raise InputError(f"{name}: out: expected {expected}, got {got}")
    if not out.is_contiguous():
        raise InputError(f"{name}: out: expected a contiguous tensor")
    refuse_gradient(out, "a tensor", name)
    refuse_gradient(images, "images", name)
    refuse_overlap(out, images, name)
    return out if out.dim() == 4 else out.view(batch.shape)


def refuse_gradient(tensor: Tensor, what: str, name: str) -> None:
    """InputError if a tensor beside an ``out`` needs a gradient, which would not reach it."""
    if tensor.requires_grad and torch.is_grad_enabled():
        raise InputError(f"{name}: out: expected {what} without a gradient, which ends here")


def refuse_overlap(out: Tensor, others: Tensor, name: str) -> None:
    """InputError if an ``out`` lies where pixels are still to be read."""
    if torch.compiler.is_compiling():  # addresses are not known yet
        return
    first, start = out.data_ptr(), others.data_ptr()
    if start < first + out.nbytes and first < start + _reach(others):
        raise InputError(f"{name}: out: expected memory apart from the images'")


def _reach(tensor: Tensor) -> int:
    """The bytes from a tensor's first element to its last, that one included."""
    if tensor.is_contiguous():
        return tensor.nbytes
    last = sum(step * (size - 1) for step, size in zip(tensor.stride(), tensor.shape, strict=True))
    return (last + 1) * tensor.element_size()


def described(value: Any) -> str:
    """What was given, for an error: a tensor's type and shape, else the kind of thing."""
    if not isinstance(value, Tensor):
        return type(value).__name__
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"


def tv_tensors() -> Any:
    """torchvision's tv_tensors, if anybody has imported them: else nobody can have made one."""
    return sys.modules.get("torchvision.tv_tensors")


def _from_pil(image: Image.Image, name: str) -> tuple[Tensor, Restore]:
    if image.mode not in _MODES:
        raise InputError(
            f"{name}: expected a PIL image of mode {', '.join(_MODES[:-1])} or {_MODES[-1]}, got "
            f"{image.mode}; image.convert('RGB') makes one"
        )
    if 0 in image.size:
        raise InputError(f"{name}: expected at least one pixel, got {image.size}")
    if image.mode == "I;16":
        batch = torch.from_numpy(np.array(image))[None, None]
        return batch, lambda out: Image.fromarray(out[0, 0].numpy())
    # Pillow copies one channel at a time far faster than NumPy and torch take interleaved ones
    # apart.
    bands = image.getbands()
    pixels = bytearray().join(image.tobytes("raw", band) for band in bands)
    shape = (1, len(bands), image.height, image.width)
    return torch.from_numpy(np.frombuffer(pixels, np.uint8).reshape(shape)), _to_pil


def _to_pil(batch: Tensor) -> Image.Image:
    _, channels, height, width = batch.shape
    size = (width, height)
    bands = [Image.frombuffer("L", size, plane, "raw", "L", 0, 1) for plane in batch[0].numpy()]
    return Image.merge("L" if channels == 1 else "RGB", bands)


def _from_array(array: np.ndarray, name: str) -> tuple[Tensor, Restore]:
    if array.dtype not in _ARRAYS:
        names = ", ".join(map(str, _ARRAYS))
        raise InputError(f"{name}: expected an array of {names}, got {array.dtype}")
    if array.ndim not in (2, 3, 4) or 0 in array.shape[-3:]:
        raise InputError(
            f"{name}: expected an array (H, W), (H, W, C) or (B, H, W, C) with at least one "
            f"channel and one pixel, got {array.shape}"
        )
    shape = array.shape
    if array.ndim > 2 and shape[-3] in _CHANNELS_FIRST and shape[-1] > _NARROW:
        raise InputError(
            f"{name}: expected an array (..., H, W, C), got {shape}, which looks like "
            "(..., C, H, W); numpy.moveaxis(images, -3, -1) brings it there"
        )
    # torch takes neither negative strides nor, without a warning, what may not be written.
    plain = array.flags.writeable and min(array.strides) >= 0
    tensor = torch.from_numpy(array if plain else array.copy())
    tensor = tensor.reshape((1,) * (array.ndim < 4) + shape + (1,) * (array.ndim == 2))
    return tensor.movedim(-1, 1), lambda out: out.movedim(1, -1).contiguous().reshape(shape).numpy()


def _from_tv_tensor(images: Tensor, name: str, kind: type) -> tuple[Tensor, Restore]:
    if not isinstance(images, kind):
        given = type(images).__name__
        raise InputError(f"{name}: expected a tv_tensors.Image, got a tv_tensors.{given}")
    batch, restore = to_batch(images.as_subclass(Tensor), name)
    return batch, lambda out: restore(out).as_subclass(kind)


def fill_values(fill: float | Sequence[float], name: str) -> list[float]:
    """One fill for all channels, or one for each, in the images' own unit, as a list."""
    if type(fill) is int and fill == 0:  # mostly; the rest takes half a microsecond
        return [0.0]
    if isinstance(fill, Tensor | np.ndarray):
        fill = fill.tolist()
    values = list(fill) if isinstance(fill, Iterable) else [fill]
    if not values or not all(isinstance(v, int | float) and math.isfinite(v) for v in values):
        raise InputError(f"{name}: fill: expected a number or one for each channel, got {fill!r}")
    return [float(v) for v in values]


def is_bilinear(interpolation: str | None, images: Tensor, name: str) -> bool:
    """Nearest by default on whole numbers, bilinear on floats."""
    if interpolation is None:
        return images.dtype not in _WHOLE
    if interpolation not in ("nearest", "bilinear"):
        raise InputError(
            f"{name}: interpolation: expected 'nearest' or 'bilinear', got {interpolation!r}"
        )
    return interpolation == "bilinear"
