"""An operation on a batch, its magnitudes drawn, and what libraries make of these beforehand."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyaug import ops, spaces
from pyaug._native import OPERATIONS

_AXES = {axis.operation: axis for axis in (*spaces.faster_autoaugment(), *spaces.standard())}
_OTHERS = {"solarize_add": (0.0, 110.0), "crop": (4 / 32, 4 / 32), "resized_crop": (0.08, 0.08)}


@dataclass(frozen=True)
class Case:
    """An operation on a batch."""

    operation: str
    images: Tensor
    """uint8 `[B, 3, H, W]`, H = W."""
    magnitudes: Tensor
    """float64 `[B]`, in the operation's unit; zeros where it has none."""
    noise: Tensor
    """float32 `[B, 4]`."""

    def drawn(self, forms: Sequence[Any]) -> Iterator[tuple[Any, float, Any]]:
        """Image, magnitude and noise, one by one.

        Args:
            forms: the images as a library takes them. For sample_pairing the noise becomes the
                partner in that form.
        """
        rows = zip(forms, self.magnitudes.tolist(), self.noise.tolist(), strict=True)
        for form, magnitude, noise in rows:
            paired = self.operation == "sample_pairing"
            yield form, magnitude, forms[int(noise[0] * len(forms))] if paired else noise


def case(operation: str, images: Tensor) -> Case:
    """An operation on images, with its magnitudes and noise; the same at every call."""
    generator = torch.Generator().manual_seed(1)
    noise = torch.rand((len(images), 4), generator=generator)
    return Case(operation, images, magnitudes(operation, len(images)), noise)


def magnitudes(operation: str, count: int) -> Tensor:
    """float64 `[count]`, uniform over the range that searches draw from."""
    row = OPERATIONS[operation]
    generator = torch.Generator().manual_seed(row.code)
    share = torch.rand(count, generator=generator, dtype=torch.float64)
    if not row.has_magnitude:
        return torch.zeros_like(share)
    if operation in _OTHERS:
        low, high = _OTHERS[operation]
        return low + share * (high - low)
    drawn = _AXES[operation].magnitude(share)
    flipped = torch.rand(count, generator=generator) < 0.5
    mirrored = torch.where(flipped, 2 * row.identity - drawn, drawn)
    return mirrored if _AXES[operation].random_sign else drawn


def ours(work: Case, out: Tensor | None = None) -> Callable[[], Tensor]:
    """pyaug's call, into a batch that is there already if one is given."""
    row = OPERATIONS[work.operation]
    given = (work.magnitudes,) if row.has_magnitude else ()
    noise = {"noise": work.noise} if row.noise else {}
    return partial(getattr(ops, work.operation), work.images, *given, **noise, out=out)


# --- What follows from a magnitude and noise, for square images ----------------------------------


def matrix(name: str, magnitude: float, side: int) -> np.ndarray:
    """`[2, 3]`: output (x, y), pixel corners at whole numbers, reads the image there."""
    if name == "rotate":
        angle = -math.radians(magnitude)
        a, b, half = math.cos(angle), math.sin(angle), side / 2
        return np.array([[a, b, half - (a + b) * half], [-b, a, half - (a - b) * half]])
    out = np.eye(2, 3)
    place = {"shear_x": (0, 1), "shear_y": (1, 0), "translate_x": (0, 2), "translate_y": (1, 2)}
    out[place[name]] = magnitude * side if "translate" in name else magnitude
    return out


def centred(name: str, magnitude: float, side: int) -> np.ndarray:
    """The same matrix for pixel centres at whole numbers."""
    out = matrix(name, magnitude, side)
    out[:, 2] += out[:, :2].sum(1) / 2 - 0.5
    return out


def offset(name: str, magnitude: float, noise: Sequence[float], side: int) -> tuple[int, int]:
    """How far right and down of an output's pixel crop and the translations read."""
    pixels = math.floor(magnitude * side + 0.5)
    if name == "crop":
        return tuple(math.floor(u * (2 * pixels + 1)) - pixels for u in noise[:2])
    return (pixels, 0) if name == "translate_x" else (0, pixels)


def cut(size: float, noise: Sequence[float], side: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of cutout's square."""
    length = math.floor(size * side + 0.5)
    left, top = (math.floor(u * side) - length // 2 for u in noise[:2])
    edges = left, top, left + length, top + length
    return tuple(min(max(edge, 0), side) for edge in edges)


def window(smallest: float, noise: Sequence[float], side: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of resized_crop's window, to the nearest pixel."""
    area = smallest + noise[0] * (1 - smallest)
    ratio = math.exp((2 * noise[1] - 1) * math.log(4 / 3))
    w, h = min(1.0, math.sqrt(area * ratio)), min(1.0, math.sqrt(area / ratio))
    left, top = round(noise[2] * (1 - w) * side), round(noise[3] * (1 - h) * side)
    return left, top, left + max(1, round(w * side)), top + max(1, round(h * side))
