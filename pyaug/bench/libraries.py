"""How other libraries compute single operations: each image by a magnitude of its own.

A row of a library's table makes the call for one image: what follows from the magnitude, such as a
matrix or a lookup table, is worked out then, and only the call is timed. Peers are thus spared
what pyaug's call includes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from torch import Tensor

from pyaug._native import OPERATIONS
from pyaug.bench.cases import Case, centred, cut, matrix, offset, window

Maker = Callable[..., Callable[[], Any]]
"""Makes the call for one image of (image, magnitude, noise); OpenCV's gets the output beside."""
Ways = dict[str, Callable[[Case], Callable[[], Any] | None]]
"""By library what makes the call for a case, or None where the library has not the operation. The
call returns the batch in the library's own form."""
_WARPED = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
_LEVELS = np.arange(256)
_GREY = np.array([19595, 38470, 7471]) / 65536
_SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13
_BLUR = np.pad(np.zeros((3, 3), np.float32), 1, constant_values=1 / 16)


def _added(magnitude: float) -> np.ndarray:
    """solarize_add's lookup table."""
    return np.where(_LEVELS < 128, np.minimum(_LEVELS + int(magnitude), 255), _LEVELS)


def _bits(magnitude: float) -> int:
    return max(1, math.ceil(magnitude))


# --- OpenCV, and NumPy where a slice is all it takes ---------------------------------------------


def _moved(name: str) -> Maker:
    """Whole pixels."""

    def make(s: np.ndarray, d: np.ndarray, m: float, u: list[float]) -> Callable[[], Any]:
        spans, side = [], len(s)
        for by in reversed(offset(name, m, u, side)):
            start = min(max(-by, 0), side)
            end = max(min(side, side - by), start)
            spans += [(slice(start, end), slice(start + by, end + by))]
        to, of = zip(*spans, strict=True)

        def run() -> None:
            d.fill(0)
            d[to] = s[of]

        return run

    return make


def _blanked(s: np.ndarray, d: np.ndarray, m: float, u: list[float]) -> Callable[[], Any]:
    left, top, right, bottom = cut(m, u, len(s))

    def run() -> None:
        np.copyto(d, s)
        d[top:bottom, left:right] = 0

    return run


def opencv_rows() -> dict[str, Maker]:
    """OpenCV's way of each operation, on arrays (H, W, 3)."""
    import cv2

    cv2.setNumThreads(0)
    nearest = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP

    def warped(name: str) -> Maker:
        return lambda s, d, m, u: partial(
            cv2.warpAffine, s, centred(name, m, len(s)), s.shape[:2], d, nearest
        )

    def looked_up(s: np.ndarray, table: np.ndarray, d: np.ndarray) -> Callable[[], Any]:
        return partial(cv2.LUT, s, table.astype(np.uint8), d)

    def sharpened(s: np.ndarray, d: np.ndarray, m: float, u: list[float]) -> Callable[[], Any]:
        kernel = (1 - m) * _SMOOTH
        kernel[1, 1] += m
        return partial(cv2.filter2D, s, -1, kernel, d)

    def contrast(s: np.ndarray, d: np.ndarray, m: float) -> None:
        red, green, blue, _ = cv2.mean(s)
        grey = _GREY[0] * red + _GREY[1] * green + _GREY[2] * blue
        cv2.addWeighted(s, m, s, 0.0, (1 - m) * grey, d)

    def stretched(s: np.ndarray, d: np.ndarray) -> None:
        limits = None, 0, 255, cv2.NORM_MINMAX
        cv2.merge([cv2.normalize(plane, *limits) for plane in cv2.split(s)], d)

    def equalized(s: np.ndarray, d: np.ndarray) -> None:
        cv2.merge([cv2.equalizeHist(plane) for plane in cv2.split(s)], d)

    def resized(s: np.ndarray, d: np.ndarray, m: float, u: list[float]) -> Callable[[], Any]:
        left, top, right, bottom = window(m, u, len(s))
        return partial(cv2.resize, s[top:bottom, left:right], s.shape[:2], d)

    return {
        "identity": lambda s, d, m, u: partial(np.copyto, d, s),
        "invert": lambda s, d, m, u: partial(cv2.bitwise_not, s, d),
        "solarize": lambda s, d, m, u: looked_up(
            s, np.where(m > _LEVELS, _LEVELS, 255 - _LEVELS), d
        ),
        "solarize_add": lambda s, d, m, u: looked_up(s, _added(m), d),
        "posterize": lambda s, d, m, u: partial(
            np.bitwise_and, s, np.uint8(256 - 2 ** (8 - math.ceil(m))), d
        ),
        "brightness": lambda s, d, m, u: partial(cv2.convertScaleAbs, s, d, m),
        "color": lambda s, d, m, u: partial(cv2.transform, s, m * np.eye(3) + (1 - m) * _GREY, d),
        "contrast": lambda s, d, m, u: partial(contrast, s, d, m),
        "sharpness": sharpened,
        "smooth": lambda s, d, m, u: partial(cv2.filter2D, s, -1, _SMOOTH, d),
        "blur": lambda s, d, m, u: partial(cv2.filter2D, s, -1, _BLUR, d),
        "auto_contrast": lambda s, d, m, u: partial(stretched, s, d),
        "equalize": lambda s, d, m, u: partial(equalized, s, d),
        **{name: warped(name) for name in ("shear_x", "shear_y", "rotate")},
        **{name: _moved(name) for name in ("translate_x", "translate_y", "crop")},
        "flip_x": lambda s, d, m, u: partial(cv2.flip, s, 1, d),
        "flip_y": lambda s, d, m, u: partial(cv2.flip, s, 0, d),
        "rotate_90": lambda s, d, m, u: partial(cv2.rotate, s, cv2.ROTATE_90_COUNTERCLOCKWISE, d),
        "cutout": _blanked,
        "resized_crop": resized,
        "sample_pairing": lambda s, d, m, other: partial(
            cv2.addWeighted, s, 1 - m, other, m, 0.0, d
        ),
    }


def opencv(case: Case) -> Callable[[], np.ndarray]:
    """OpenCV, an array (H, W, 3) at a time, into one batch."""
    pixels = case.images.permute(0, 2, 3, 1).contiguous().numpy()
    out, make = np.empty_like(pixels), opencv_rows()[case.operation]
    drawn = zip(out, case.drawn(pixels), strict=True)
    calls = [make(s, d, m, u) for d, (s, m, u) in drawn]

    def run() -> np.ndarray:
        for call in calls:
            call()
        return out

    return run


# --- Pillow: PIL images, copied into one batch ---------------------------------------------------


def _warped_pillow(name: str) -> Maker:
    def make(p: Image.Image, m: float, u: list[float]) -> Callable[[], Any]:
        data = tuple(matrix(name, m, p.width).ravel())
        return partial(p.transform, p.size, Image.Transform.AFFINE, data)

    return make


def _erased(p: Image.Image, m: float, u: list[float]) -> Callable[[], Any]:
    box = cut(m, u, p.width)

    def run() -> Image.Image:
        out = p.copy()
        out.paste((0, 0, 0), box)
        return out

    return run


def _cropped(p: Image.Image, m: float, u: list[float]) -> Callable[[], Any]:
    left, top = offset("crop", m, u, p.width)
    return partial(p.crop, (left, top, left + p.width, top + p.height))


PILLOW: dict[str, Maker] = {
    "identity": lambda p, m, u: lambda: p,
    "invert": lambda p, m, u: partial(ImageOps.invert, p),
    "solarize": lambda p, m, u: partial(ImageOps.solarize, p, m),
    "solarize_add": lambda p, m, u: partial(p.point, 3 * _added(m).tolist()),
    "posterize": lambda p, m, u: partial(ImageOps.posterize, p, _bits(m)),
    "brightness": lambda p, m, u: lambda: ImageEnhance.Brightness(p).enhance(m),
    "color": lambda p, m, u: lambda: ImageEnhance.Color(p).enhance(m),
    "contrast": lambda p, m, u: lambda: ImageEnhance.Contrast(p).enhance(m),
    "sharpness": lambda p, m, u: lambda: ImageEnhance.Sharpness(p).enhance(m),
    "smooth": lambda p, m, u: partial(p.filter, ImageFilter.SMOOTH),
    "blur": lambda p, m, u: partial(p.filter, ImageFilter.BLUR),
    "auto_contrast": lambda p, m, u: partial(ImageOps.autocontrast, p),
    "equalize": lambda p, m, u: partial(ImageOps.equalize, p),
    **{name: _warped_pillow(name) for name in _WARPED},
    "flip_x": lambda p, m, u: partial(ImageOps.mirror, p),
    "flip_y": lambda p, m, u: partial(ImageOps.flip, p),
    "rotate_90": lambda p, m, u: partial(p.transpose, Image.Transpose.ROTATE_90),
    "cutout": _erased,
    "crop": _cropped,
    "resized_crop": lambda p, m, u: partial(
        p.resize, p.size, Image.Resampling.BILINEAR, window(m, u, p.width)
    ),
    "sample_pairing": lambda p, m, other: partial(Image.blend, p, other, m),
}
"""Pillow's way of each operation."""


def pillow(case: Case) -> Callable[[], np.ndarray]:
    """Pillow, a PIL image at a time, copied into one batch."""
    pixels = case.images.permute(0, 2, 3, 1).contiguous().numpy()
    pictures = [Image.fromarray(image) for image in pixels]
    out = np.empty_like(pixels)
    calls = [PILLOW[case.operation](*parts) for parts in case.drawn(pictures)]

    def run() -> np.ndarray:
        for target, call in zip(out, calls, strict=True):
            target[...] = call()
        return out

    return run


# --- torchvision: tensors ------------------------------------------------------------------------


def torchvision_rows() -> dict[str, Maker]:
    """torchvision's way of each operation, on uint8 tensors (…, 3, H, W)."""
    from torchvision.transforms.v2 import functional as F

    def affine(name: str) -> Maker:
        def make(s: Tensor, m: float, u: list[float]) -> Callable[[], Tensor]:
            move, shear = [0, 0], [0.0, 0.0]
            if "translate" in name:
                move["xy".index(name[-1])] = -round(m * s.shape[-1])
            else:
                shear["xy".index(name[-1])] = math.degrees(math.atan(m))
            centre = None if "translate" in name else [0.0, 0.0]
            return partial(F.affine, s, 0.0, move, 1.0, shear, center=centre)

        return make

    def cropped(s: Tensor, m: float, u: list[float]) -> Callable[[], Tensor]:
        side = s.shape[-1]
        pad = math.floor(m * side + 0.5)
        left, top = (pad + by for by in offset("crop", m, u, side))
        return lambda: F.crop(F.pad(s, [pad]), top, left, side, side)

    def erased(s: Tensor, m: float, u: list[float]) -> Callable[[], Tensor]:
        left, top, right, bottom = cut(m, u, s.shape[-1])
        black = torch.zeros((), dtype=torch.uint8)
        return partial(F.erase, s, top, left, bottom - top, right - left, black)

    def resized(s: Tensor, m: float, u: list[float]) -> Callable[[], Tensor]:
        left, top, right, bottom = window(m, u, s.shape[-1])
        box = top, left, bottom - top, right - left
        return partial(F.resized_crop, s, *box, list(s.shape[-2:]), antialias=False)

    return {
        "identity": lambda s, m, u: lambda: s,
        "invert": lambda s, m, u: partial(F.invert, s),
        "solarize": lambda s, m, u: partial(F.solarize, s, min(m, 255.0)),
        "posterize": lambda s, m, u: partial(F.posterize, s, _bits(m)),
        "brightness": lambda s, m, u: partial(F.adjust_brightness, s, m),
        "color": lambda s, m, u: partial(F.adjust_saturation, s, m),
        "contrast": lambda s, m, u: partial(F.adjust_contrast, s, m),
        "sharpness": lambda s, m, u: partial(F.adjust_sharpness, s, m),
        "auto_contrast": lambda s, m, u: partial(F.autocontrast, s),
        "equalize": lambda s, m, u: partial(F.equalize, s),
        **{name: affine(name) for name in _WARPED if name != "rotate"},
        "rotate": lambda s, m, u: partial(F.rotate, s, m),
        "flip_x": lambda s, m, u: partial(F.horizontal_flip, s),
        "flip_y": lambda s, m, u: partial(F.vertical_flip, s),
        "rotate_90": lambda s, m, u: partial(torch.rot90, s, 1, (-2, -1)),
        "cutout": erased,
        "crop": cropped,
        "resized_crop": resized,
    }


def torchvision(case: Case) -> Callable[[], Tensor] | None:
    """torchvision, a tensor (3, H, W) at a time, copied into one batch."""
    make = torchvision_rows().get(case.operation)
    if make is None:
        return None
    out = torch.empty_like(case.images)
    work = list(zip(out, (make(*parts) for parts in case.drawn(case.images)), strict=True))

    def run() -> Tensor:
        for target, call in work:
            target.copy_(call())
        return out

    return run


def torchvision_whole(case: Case) -> Callable[[], Tensor] | None:
    """torchvision, the whole batch by the first image's magnitude."""
    make = torchvision_rows().get(case.operation)
    if make is None or case.operation == "identity":  # there the batch itself
        return None
    return make(case.images, case.magnitudes[0].item(), case.noise[0].tolist())


# --- Kornia: a float batch at once ---------------------------------------------------------------


def kornia_rows() -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """Kornia's way of all but the warps, on floats `[B, 3, H, W]` and magnitudes `[B]`."""
    from kornia import enhance, geometry

    return {
        "invert": lambda x, m: enhance.invert(x),
        "solarize": lambda x, m: enhance.solarize(x, m / 256),
        "posterize": lambda x, m: enhance.posterize(x, m.ceil().int()),
        "brightness": enhance.adjust_brightness_accumulative,
        "color": enhance.adjust_saturation_with_gray_subtraction,
        "contrast": enhance.adjust_contrast_with_mean_subtraction,
        "sharpness": enhance.sharpness,
        "auto_contrast": lambda x, m: enhance.normalize_min_max(x),
        "equalize": lambda x, m: enhance.equalize(x),
        "flip_x": lambda x, m: geometry.hflip(x),
        "flip_y": lambda x, m: geometry.vflip(x),
    }


def kornia(case: Case, *, whole: bool = False) -> Callable[[], Tensor] | None:
    """Kornia: an operation that takes a magnitude for each image; or, `whole`, one without any,
    which does the same to the whole batch."""
    from kornia import geometry

    images, name, side = case.images.float() / 255, case.operation, case.images.shape[-1]
    if whole == OPERATIONS[name].has_magnitude:
        return None
    if name in _WARPED:
        square = np.tile(np.eye(3), (len(images), 1, 1))
        square[:, :2] = [centred(name, m, side) for m in case.magnitudes.tolist()]
        there = torch.from_numpy(np.linalg.inv(square)[:, :2]).float()
        return partial(geometry.warp_affine, images, there, dsize=(side, side), mode="nearest")
    row = kornia_rows().get(name)
    return row and partial(row, images, case.magnitudes.float())


EACH: Ways = {"OpenCV": opencv, "Pillow": pillow, "torchvision": torchvision, "Kornia": kornia}
"""Each image by a magnitude of its own."""
WHOLE: Ways = {
    "torchvision, whole batch": torchvision_whole,
    "Kornia, whole batch": partial(kornia, whole=True),
}
"""The same done to the whole batch."""
