"""Search spaces: which operations a search may choose from, over which magnitudes.

A space is a tuple. Where magnitudes are continuous its elements are :class:`Axis`, an operation
with a range; where a paper picked single magnitudes beforehand they are :class:`pyaug.Candidate`.
``Axis.at``, ``Axis.levels`` and ``Axis.range`` make candidates of an axis.

Ranges are in the operations' units (``pyaug ops``). What a paper gives in pixels became a fraction
of the side of its own images: 10 px of 32.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from pyaug._native import OPERATIONS
from pyaug.errors import InputError
from pyaug.policy import Candidate, Levels, Range


@dataclass(frozen=True)
class Axis:
    """One operation of a continuous space, its strength mu scaled to [0, 1].

    ``weak`` and ``strong`` are the magnitudes at mu = 0 and mu = 1, in the operation's unit; both
    None for operations without one. Some papers let the enhancers run through their identity:
    from 0.1 to 1.9. ``random_sign`` takes half of the draws to 2 identity - magnitude.

    Raises:
        InputError: an unknown operation; a magnitude that it does not take.
    """

    operation: str
    weak: float | None = None
    strong: float | None = None
    random_sign: bool = False

    def __post_init__(self):
        if (self.weak is None) != (self.strong is None):
            raise InputError(f"{self.operation}: expected weak and strong, or neither")
        for mu in (0.0, 1.0):
            self.at(mu)

    def magnitude(self, mu: float) -> float | None:
        """The magnitude at strength mu, in the operation's unit."""
        return None if self.weak is None else self.weak + mu * (self.strong - self.weak)

    def at(self, mu: float, **fields: float) -> Candidate:
        """The candidate of one strength; ``fields`` are its weight and probability."""
        return Candidate(self.operation, self.magnitude(mu), random_sign=self.random_sign, **fields)

    def levels(self, count: int, **fields: float) -> Candidate:
        """The candidate whose strength is one of ``count`` >= 2 equally spaced ones, 0 to 1."""
        if self.weak is None:
            return self.at(0.0, **fields)
        values = Levels(tuple(self.magnitude(i / (count - 1)) for i in range(count)))
        return Candidate(self.operation, values, random_sign=self.random_sign, **fields)

    def range(self, **fields: float) -> Candidate:
        """The candidate whose strength is uniform in [0, 1]."""
        if self.weak is None:
            return self.at(0.0, **fields)
        values = Range(min(self.weak, self.strong), max(self.weak, self.strong))
        return Candidate(self.operation, values, random_sign=self.random_sign, **fields)


_ENHANCERS = ("color", "contrast", "brightness", "sharpness")


def _geometry(shear: float, translate: float, rotate: float) -> tuple[Axis, ...]:
    """Five axes, signs at random."""
    return (
        Axis("shear_x", 0, shear, random_sign=True),
        Axis("shear_y", 0, shear, random_sign=True),
        Axis("translate_x", 0, translate, random_sign=True),
        Axis("translate_y", 0, translate, random_sign=True),
        Axis("rotate", 0, rotate, random_sign=True),
    )


def standard(*, translate: float = 10 / 32) -> tuple[Axis, ...]:
    """RandAugment's 14 operations over AutoAugment's ranges.

    Operations: Cubuk et al. 2020 (arXiv 1909.13719), section 3. Ranges: Cubuk et al. 2019 (arXiv
    1805.09501), table 6; posterize and solarize run from nothing (8 bits, threshold 256) to 4 bits
    and threshold 0, the enhancers from factor 0.1 to 1.9. TrivialAugment calls it RA.

    Args:
        translate: the largest shift, a fraction of the side. AutoAugment's paper has 150 px of
            331; the authors' code for CIFAR has 10 px of 32, and TrivialAugment's for ImageNet
            70 px of 224, the same fraction.
    """
    return (
        Axis("identity"),
        Axis("auto_contrast"),
        Axis("equalize"),
        Axis("solarize", 256, 0),
        Axis("posterize", 8, 4),
        *(Axis(name, 0.1, 1.9) for name in _ENHANCERS),
        *_geometry(shear=0.3, translate=translate, rotate=30),
    )


def wide(*, translate: float = 32 / 32) -> tuple[Axis, ...]:
    """TrivialAugment's wide space: the 14 operations of :func:`standard` over larger ranges.

    Müller and Hutter 2021 (arXiv 2103.10158) and their code.

    Args:
        translate: the largest shift, a fraction of the side: 32 px, whatever the image; all of
            it on CIFAR.
    """
    return (
        Axis("identity"),
        Axis("auto_contrast"),
        Axis("equalize"),
        Axis("solarize", 256, 0),
        Axis("posterize", 8, 2),
        *(Axis(name, 0.01, 2.0) for name in _ENHANCERS),
        *_geometry(shear=0.99, translate=translate, rotate=135),
    )


def fast_autoaugment() -> tuple[Axis, ...]:
    """Fast AutoAugment's 15 operations, which UniformAugment and others took over.

    Lim et al. 2019 (arXiv 1905.00397) and its authors' code.
    """
    return (
        *_geometry(shear=0.3, translate=0.45, rotate=30),
        Axis("auto_contrast"),
        Axis("invert"),
        Axis("equalize"),
        Axis("solarize", 256, 0),
        # int() of 8 to 4 bits there: 7, 6, 5 or 4. Fractional bits count up here.
        Axis("posterize", 7, 3),
        *(Axis(name, 0.1, 1.9) for name in _ENHANCERS),
        Axis("cutout", 0, 0.2),
    )


def faster_autoaugment() -> tuple[Axis, ...]:
    """Faster AutoAugment's 17 operations (Hataya et al. 2020, arXiv 1911.06987, table 2).

    The paper's text counts 16, its table lists 17; the authors' code leaves cutout and
    sample_pairing out. Ranges: the code's; for those two Fast AutoAugment's and AutoAugment's.
    Enhancers go up to 1 away from their identity, their sign at random like geometry's.

    In the code solarize and posterize grow weaker with mu. That is the same search: mu begins
    uniform, and a straight-through gradient belongs to the magnitude, whichever way mu runs.
    """
    return (
        *_geometry(shear=0.3, translate=0.45, rotate=30),
        Axis("flip_x"),
        Axis("solarize", 256, 0),
        Axis("posterize", 8, 0),
        Axis("invert"),
        *(Axis(name, 1, 2, random_sign=True) for name in _ENHANCERS),
        Axis("auto_contrast"),
        Axis("equalize"),
        Axis("cutout", 0, 0.2),
        Axis("sample_pairing", 0, 0.4),
    )


def aws() -> tuple[Candidate, ...]:
    """Augmentation-wise Weight Sharing's 36 elements (Tian et al. 2020, section 3.4).

    11 operations at the strengths 1/3, 2/3 and 1 of their ranges, and three without a magnitude.
    The list is the authors' code's; the paper leaves it to its supplement.
    """
    axes = (
        *_geometry(shear=0.3, translate=150 / 331, rotate=30),
        *(Axis(name, 1, 1.9, random_sign=True) for name in _ENHANCERS),
        Axis("solarize", 256, 0),
    )
    bits = (7, 5, 4)  # 8 - 4 mu, rounded to the nearest
    return (
        *(axis.at(strength / 3) for axis in axes for strength in (1, 2, 3)),
        *(Candidate("posterize", float(b)) for b in bits),
        *(Candidate(name) for name in ("auto_contrast", "equalize", "invert")),
    )


def ddas(
    data_set: str = "cifar10",
    *,
    magnitudes: Iterable[float] | None = None,
    flip_x: bool = False,
) -> tuple[Candidate, ...]:
    """DDAS's candidates (Liu et al. 2021, appendix B.1, table 8): 51; on ImageNet 31.

    Seven operations without a magnitude, the identity first, and 11 (on ImageNet 12, with cutout)
    at each level of {2, 6, 10, 14} (on ImageNet {7, 14}), on a linear scale whose end is 10.
    Ranges: the authors' code's. A level beyond the end goes on along the line as far as the
    operation's range: at 14 solarize inverts everything and posterize leaves black.

    Args:
        data_set: "imagenet", or any other for CIFAR's and SVHN's.
        magnitudes: other levels.
        flip_x: add the mirror image, which the code has and the paper has not: 52 and 32.
    """
    imagenet = data_set == "imagenet"
    side = 224 if imagenet else 32
    plain = ["identity", "auto_contrast", "equalize", "invert", "smooth", "blur", "flip_y"]
    axes = [
        *_geometry(shear=0.3, translate=10 / side, rotate=30),
        Axis("posterize", 4, 0),
        Axis("solarize", 256, 0),
        *(Axis(name, 0.1, 1.9) for name in _ENHANCERS),
        *([Axis("cutout", 0, 20 / side)] if imagenet else []),
    ]
    levels = tuple(magnitudes or ((7, 14) if imagenet else (2, 6, 10, 14)))
    return (
        *(Candidate(name) for name in ([*plain, "flip_x"] if flip_x else plain)),
        *(_beyond(axis, level / 10) for axis in axes for level in levels),
    )


def _beyond(axis: Axis, mu: float) -> Candidate:
    """The candidate at a strength that may exceed 1, kept in the operation's range."""
    row = OPERATIONS[axis.operation]
    magnitude = min(max(axis.magnitude(mu), row.low), row.high)
    return Candidate(axis.operation, magnitude, random_sign=axis.random_sign)


def deep_autoaugment(data_set: str = "cifar10") -> tuple[Candidate, ...]:
    """Deep AutoAugment's 139 transformations (Zheng et al. 2022, section 4 and table 7).

    Seven without a level, the identity first, among them the default augmentations: a flip at
    probability 0.5, cutout and crop. And 11 operations at 12 levels each: 13 equal steps over
    signed ranges, less the one that changes nothing. Signs are not drawn at random.

    Args:
        data_set: "imagenet" (cutout 60 px of 224, a crop resized from 0.08 of the area or more),
            or any other for CIFAR's (cutout 16 px of 32, padding 4 px of 32).
    """
    imagenet = data_set == "imagenet"
    symmetric = (("shear", 0.3), ("translate", 0.45))
    axes = (
        *(Axis(f"{name}_{xy}", -end, end) for name, end in symmetric for xy in "xy"),
        Axis("rotate", -30, 30),
        *(Axis(name, 0.1, 1.9) for name in _ENHANCERS),
        Axis("solarize", 256, 0),
    )
    steps = 12
    return (
        *(Candidate(name) for name in ("identity", "auto_contrast", "invert", "equalize")),
        Candidate("flip_x", probability=0.5),
        Candidate("cutout", 60 / 224 if imagenet else 16 / 32),
        Candidate("resized_crop", 0.08) if imagenet else Candidate("crop", 4 / 32),
        *(
            axis.at(i / steps)
            for axis in axes
            for i in range(steps + 1)
            if i != (0 if axis.operation == "solarize" else steps // 2)
        ),
        # int() of 4 to 8 bits: each of 4 to 7 three times.
        *(Candidate("posterize", float(math.floor(4 + 4 * i / steps))) for i in range(steps)),
    )


def randaugment_grid(
    *, num_ops: Iterable[int] = (1, 2, 3), magnitudes: Iterable[float] = range(1, 31)
) -> tuple[tuple[int, float], ...]:
    """Pairs (num_ops, magnitude) for :func:`pyaug.policies.randaugment`, bins = 31: 90.

    A2-Aug draws its branches from RandAugment's space, of which its paper says no more than the
    size, some 10^2 pairs. The ranges here are ours; they hold the settings that RandAugment was
    used with: (3, 5) and (3, 9) on CIFAR-10, (2, 14) on CIFAR-100, (3, 7) on SVHN, (2, 9) on
    ImageNet.
    """
    return tuple((n, m) for n in num_ops for m in tuple(magnitudes))
