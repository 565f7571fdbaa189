"""What torchvision's automatic augmentations draw from, in pyaug's words.

Tables and lines: torchvision 0.29.1, ``transforms/v2/_auto_augment.py``; those of
``transforms/autoaugment.py`` differ in solarize alone. Nothing here imports torchvision.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

from pyaug import policies
from pyaug.errors import InputError
from pyaug.policy import Candidate, Levels, SubPolicy

AUTOAUGMENT_BINS = 10  # line 341
AUGMIX_BINS = 10  # line 581

_ENHANCERS = ("brightness", "color", "contrast", "sharpness")
_PLAIN = ("auto_contrast", "equalize")
_GEOMETRY = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
# The order of the same lines, of which it depends which one a draw takes.
_FOURTEEN = ("identity", *_GEOMETRY, *_ENHANCERS, "posterize", "solarize", *_PLAIN)
_AUGMIX = (*_GEOMETRY, "posterize", "solarize", *_PLAIN)


class Ranges(NamedTuple):
    """The ends of the ranges.

    ``shift`` gives the longest shift in pixels for a side; ``bits`` are posterize's at the first
    and at the last bin, rounded half to even between them.
    """

    shift: Callable[[int], float]
    shear: float = 0.3
    rotate: float = 30.0
    enhance: float = 0.9
    bits: tuple[int, int] = (8, 4)


# Lines 203 to 228 and 384 to 409: AutoAugment's and RandAugment's are the same.
STANDARD = Ranges(lambda side: 150.0 / 331.0 * side)
# Lines 469 to 489.
WIDE = Ranges(lambda side: 32.0, shear=0.99, rotate=135.0, enhance=0.99, bits=(8, 2))
# Lines 548 to 568.
AUGMIX = Ranges(lambda side: side / 3.0, bits=(4, 0))


class Bins:
    """The magnitudes of all bins of each operation, to the last bit torchvision's.

    Args:
        ranges: one of this module's.
        count: how many bins, at least 2.
        size: the images' (height, width) in pixels; None where nothing is shifted.
        v2: whether of ``torchvision.transforms.v2``, and not of the old transforms.
    """

    def __init__(
        self, ranges: Ranges, count: int, size: tuple[int, int] | None, *, v2: bool = True
    ):
        if not isinstance(count, int) or count < 2:
            raise InputError(f"num_magnitude_bins: expected at least 2, got {count!r}")
        self.ranges, self.count, self.size, self.v2 = ranges, count, size, v2

    def _line(self, start: float, end: float) -> list[float]:
        return torch.linspace(start, end, self.count).tolist()  # float32, as there

    def _shifts(self, operation: str) -> list[float]:
        """Whole pixels as parts of the side; beyond it the image is gone, however far."""
        if self.size is None:
            raise InputError(f"size: {operation} is by whole pixels: give the images' size")
        side = self.size[operation == "translate_x"]
        line = self._line(0.0, self.ranges.shift(side))
        return [min(int(shift), side) / side for shift in line]

    def of(self, operation: str) -> list[float] | None:
        """The magnitudes in pyaug's units; None for an operation without one."""
        ranges = self.ranges
        if operation in ("shear_x", "shear_y"):
            return self._line(0.0, ranges.shear)
        if operation in ("translate_x", "translate_y"):
            return self._shifts(operation)
        if operation == "rotate":
            return self._line(0.0, ranges.rotate)
        if operation in _ENHANCERS:
            return [1.0 + m for m in self._line(0.0, ranges.enhance)]
        if operation == "posterize":
            first, last = ranges.bits
            taken = torch.arange(self.count) / ((self.count - 1) / (first - last))
            return (first - taken).round().tolist()
        if operation == "solarize":
            # Line 166: 255 times a share; autoaugment.py, line 235: a line from 255 to 0.
            return [255.0 * m for m in self._line(1.0, 0.0)] if self.v2 else self._line(255.0, 0.0)
        return None

    def candidate(self, operation: str, at: slice, probability: float = 1.0) -> Candidate:
        """The operation at one of these bins, each as likely, with a random sign if it has one."""
        bins = self.of(operation)
        if bins is None:
            return Candidate(operation, probability=probability)
        chosen = tuple(bins[at])
        magnitude = chosen[0] if len(chosen) == 1 else Levels(chosen)
        signed = operation not in ("posterize", "solarize")
        return Candidate(operation, magnitude, probability=probability, random_sign=signed)


def autoaugment(bins: Bins, data_set: str) -> tuple[SubPolicy, ...]:
    """AutoAugment: the paper's rows, at torchvision's magnitudes."""
    return tuple(
        SubPolicy(tuple((bins.candidate(o, _one(level or 0), p),) for o, p, level in row))
        for row in policies.autoaugment_table(data_set)
    )


def randaugment(bins: Bins, num_ops: int, magnitude: int) -> tuple[SubPolicy, ...]:
    """RandAugment: ``num_ops`` of 14 operations, at one bin."""
    if not isinstance(magnitude, int) or not 0 <= magnitude < bins.count:
        raise InputError(f"magnitude: expected a bin from 0 to {bins.count - 1}, got {magnitude!r}")
    stage = tuple(bins.candidate(operation, _one(magnitude)) for operation in _FOURTEEN)
    return (SubPolicy((stage,) * num_ops),)


def trivialaugment(bins: Bins) -> tuple[SubPolicy, ...]:
    """TrivialAugmentWide: one of 14 operations, at any bin."""
    return (SubPolicy((tuple(bins.candidate(o, slice(None)) for o in _FOURTEEN),)),)


def augmix_chain(bins: Bins, severity: int, depth: int, *, all_ops: bool) -> tuple[SubPolicy, ...]:
    """One chain of AugMix, at one of the first bins; where ``depth`` is 0, it is 1, 2 or 3."""
    operations = (*_AUGMIX, *_ENHANCERS) if all_ops else _AUGMIX
    stage = tuple(bins.candidate(operation, slice(severity)) for operation in operations)
    return tuple(SubPolicy((stage,) * k) for k in ((depth,) if depth else (1, 2, 3)))


def _one(at: int) -> slice:
    return slice(at, at + 1)
