"""The known policies, by name or by function, each with its source.

Levels. A paper's level becomes a magnitude on a straight line between the ends of the range of
:func:`pyaug.spaces.standard`: level 0 is one end, the highest level the other. Higher levels mean
fewer bits (posterize) and a lower threshold (solarize); fractional bits count up, as in the
authors' code, which takes whole bits away. Signs of geometry are random. The enhancers' range,
factor 0.1 to 1.9, runs through the identity: low levels weaken, high ones strengthen, and no sign
is drawn.
"""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pyaug import spaces
from pyaug.errors import InputError, finite_number, whole_number
from pyaug.policy import Candidate, Policy, SubPolicy
from pyaug.spaces import Axis

__all__ = [
    "autoaugment",
    "autoaugment_table",
    "crop_flip",
    "cutout",
    "deepta",
    "default",
    "get",
    "identity",
    "names",
    "randaugment",
    "resolve",
    "summary",
    "trivialaugment",
    "uniformaugment",
]

# One sub-policy a line: operation, probability, level from 0 to 9. The levels that the paper lists
# for operations without a magnitude are left out.
_AUTOAUGMENT = {
    "cifar10": """
        invert .1 -           contrast .2 6
        rotate .7 2           translate_x .3 9
        sharpness .8 1        sharpness .9 3
        shear_y .5 8          translate_y .7 9
        auto_contrast .5 -    equalize .9 -
        shear_y .2 7          posterize .3 7
        color .4 3            brightness .6 7
        sharpness .3 9        brightness .7 9
        equalize .6 -         equalize .5 -
        contrast .6 7         sharpness .6 5
        color .7 7            translate_x .5 8
        equalize .3 -         auto_contrast .4 -
        translate_y .4 3      sharpness .2 6
        brightness .9 6       color .2 8
        solarize .5 2         invert .0 -
        equalize .2 -         auto_contrast .6 -
        equalize .2 -         equalize .6 -
        color .9 9            equalize .6 -
        auto_contrast .8 -    solarize .2 8
        brightness .1 3       color .7 0
        solarize .4 5         auto_contrast .9 -
        translate_y .9 9      translate_y .7 9
        auto_contrast .9 -    solarize .8 3
        equalize .8 -         invert .1 -
        translate_y .7 9      auto_contrast .9 -
    """,
    "svhn": """
        shear_x .9 4          invert .2 -
        shear_y .9 8          invert .7 -
        equalize .6 -         solarize .6 6
        invert .9 -           equalize .6 -
        equalize .6 -         rotate .9 3
        shear_x .9 4          auto_contrast .8 -
        shear_y .9 8          invert .4 -
        shear_y .9 5          solarize .2 6
        invert .9 -           auto_contrast .8 -
        equalize .6 -         rotate .9 3
        shear_x .9 4          solarize .3 3
        shear_y .8 8          invert .7 -
        equalize .9 -         translate_y .6 6
        invert .9 -           equalize .6 -
        contrast .3 3         rotate .8 4
        invert .8 -           translate_y .0 2
        shear_y .7 6          solarize .4 8
        invert .6 -           rotate .8 4
        shear_y .3 7          translate_x .9 3
        shear_x .1 6          invert .6 -
        solarize .7 2         translate_y .6 7
        shear_y .8 4          invert .8 -
        shear_x .7 9          translate_y .8 3
        shear_y .8 5          auto_contrast .7 -
        shear_x .7 2          invert .1 -
    """,
    "imagenet": """
        posterize .4 8        rotate .6 9
        solarize .6 5         auto_contrast .6 -
        equalize .8 -         equalize .6 -
        posterize .6 7        posterize .6 6
        equalize .4 -         solarize .2 4
        equalize .4 -         rotate .8 8
        solarize .6 3         equalize .6 -
        posterize .8 5        equalize 1. -
        rotate .2 3           solarize .6 8
        equalize .6 -         posterize .4 6
        rotate .8 8           color .4 0
        rotate .4 9           equalize .6 -
        equalize .0 -         equalize .8 -
        invert .6 -           equalize 1. -
        color .6 4            contrast 1. 8
        rotate .8 8           color 1. 2
        color .8 8            solarize .8 7
        sharpness .4 7        invert .6 -
        shear_x .6 5          equalize 1. -
        color .4 0            equalize .6 -
        equalize .4 -         solarize .2 4
        solarize .6 5         auto_contrast .6 -
        invert .6 -           equalize 1. -
        color .6 4            contrast 1. 8
        equalize .8 -         equalize .6 -
    """,
}
_AUTOAUGMENT_TABLES = {"cifar10": 7, "svhn": 8, "imagenet": 9}


def identity() -> Policy:
    """Nothing is changed."""
    return Policy((SubPolicy(()),), name="identity", source="leaves images as they are")


def autoaugment(data_set: str) -> Policy:
    """AutoAugment's 25 sub-policies of a data set (Cubuk et al. 2019, arXiv 1805.09501, appendix).

    Every pair (operation, probability, level) is of table 7, 8 or 9. A level is one of ten, from 0
    to 9, equally spaced over the ranges of table 6. Shifts end at 150 px of 331 on ImageNet, as
    table 6 has them, and at 10 px of 32 on CIFAR-10 and SVHN, as the authors' code has them.

    Args:
        data_set: "cifar10" (the paper uses it for CIFAR-100 too), "svhn" or "imagenet".

    Raises:
        InputError: any other data set.
    """
    rows = autoaugment_table(data_set)
    space = spaces.standard(translate=150 / 331 if data_set == "imagenet" else 10 / 32)
    axes = {axis.operation: axis for axis in (*space, Axis("invert"))}
    sub_policies = tuple(
        SubPolicy(
            tuple((axes[name].at((level or 0) / 9, probability=p),) for name, p, level in row)
        )
        for row in rows
    )
    return Policy(
        sub_policies,
        name=f"autoaugment-{data_set}",
        source=f"AutoAugment, Cubuk et al. 2019, table {_AUTOAUGMENT_TABLES[data_set]}",
    )


def autoaugment_table(data_set: str) -> tuple[tuple[tuple[str, float, int | None], ...], ...]:
    """The paper's table of a data set: a row a sub-policy, of (operation, probability, level).

    Levels are 0 to 9, None for operations without a magnitude. Other libraries have the same rows
    and other magnitudes for a level.

    Args:
        data_set: see :func:`autoaugment`.

    Raises:
        InputError: any other data set.
    """
    if data_set not in _AUTOAUGMENT:
        raise InputError(
            f"autoaugment: data_set: expected one of {', '.join(_AUTOAUGMENT)}, got {data_set!r}"
        )
    rows = []
    for line in _AUTOAUGMENT[data_set].strip().splitlines():
        words = line.split()
        triples = zip(words[::3], words[1::3], words[2::3], strict=True)
        rows.append(tuple((o, float(p), None if n == "-" else int(n)) for o, p, n in triples))
    return tuple(rows)


def randaugment(*, num_ops: int = 2, magnitude: float = 9, bins: int = 31) -> Policy:
    """RandAugment (Cubuk et al. 2020, arXiv 1909.13719): N operations of 14, all at one level.

    Args:
        num_ops: N, drawn uniformly and with replacement; at least 1.
        magnitude: M, the level, from 0 to ``bins`` - 1.
        bins: how many levels the ranges of :func:`pyaug.spaces.standard` are divided into, at
            least 2. Papers that count M up to 30 mean 31, those that count up to 10 mean 11.

    Raises:
        InputError: an argument out of range.
    """
    whole_number(num_ops, 1, None, "randaugment: num_ops")
    whole_number(bins, 2, None, "randaugment: bins")
    if not 0 <= finite_number(magnitude, "randaugment: magnitude") <= bins - 1:
        raise InputError(f"randaugment: magnitude: expected 0 to {bins - 1}, got {magnitude!r}")
    stage = tuple(axis.at(magnitude / (bins - 1)) for axis in spaces.standard())
    source = f"RandAugment, Cubuk et al. 2020, N = {num_ops}, M = {magnitude} of 0 to {bins - 1}"
    return Policy((SubPolicy((stage,) * num_ops),), name="randaugment", source=source)


def trivialaugment(*, wide: bool = False, side: int = 32) -> Policy:
    """TrivialAugment (Müller and Hutter 2021): one operation of 14 at one of 31 levels.

    Bits and thresholds come out as in the authors' code; degrees and pixels, which it truncates to
    whole numbers, do not.

    Args:
        wide: over :func:`pyaug.spaces.wide`, else over :func:`pyaug.spaces.standard`.
        side: the images' side in pixels, at least 32: the wide space shifts by 32 px of it. The
            other one shifts by the same share of CIFAR's and ImageNet's sides.

    Raises:
        InputError: a side below 32.
    """
    whole_number(side, 32, None, "trivialaugment: side")
    space = spaces.wide(translate=32 / side) if wide else spaces.standard()
    stage = tuple(axis.levels(31) for axis in space)
    source = "TrivialAugment, Müller and Hutter 2021"
    if wide:
        source += f", wide space, shifts up to 32 px of {side}"
    name = "trivialaugment-wide" if wide else "trivialaugment"
    return Policy((SubPolicy((stage,)),), name=name, source=source)


def uniformaugment(*, num_ops: int = 2) -> Policy:
    """UniformAugment (LingChen et al. 2020, arXiv 2003.14348): everything is drawn uniformly.

    Every operation is one of 15, drawn with replacement, its magnitude uniform over its range. Its
    probability of being applied is uniform in [0, 1] and drawn for each image, which is a
    probability of 0.5.

    Args:
        num_ops: how many operations, at least 1.

    Raises:
        InputError: ``num_ops`` below 1.
    """
    whole_number(num_ops, 1, None, "uniformaugment: num_ops")
    stage = tuple(axis.range(probability=0.5) for axis in spaces.fast_autoaugment())
    return Policy(
        (SubPolicy((stage,) * num_ops),),
        name="uniformaugment",
        source=f"UniformAugment, LingChen et al. 2020, {num_ops} operations",
    )


def deepta(data_set: str = "cifar10", *, layers: int = 6) -> Policy:
    """DeepTA (Zheng et al. 2022, arXiv 2203.06172, section 4.4): TrivialAugment in several layers.

    A layer is one operation of :func:`pyaug.spaces.deep_autoaugment`, each as likely, at one of its
    levels, each as likely. Flip, crop and cutout are among them: it is made for trainings with no
    default augmentation.

    Args:
        data_set: "imagenet", or any other for CIFAR's crop and cutout.
        layers: at least 1. In the paper six give the highest accuracy on CIFAR-10.

    Raises:
        InputError: ``layers`` below 1.
    """
    whole_number(layers, 1, None, "deepta: layers")
    space = spaces.deep_autoaugment(data_set)
    levels = Counter(c.operation for c in space)
    stage = tuple(replace(c, weight=1 / levels[c.operation]) for c in space)
    return Policy(
        (SubPolicy((stage,) * layers),),
        name="deepta",
        source=f"DeepTA, Zheng et al. 2022, {layers} layers, for no default augmentation",
    )


class _Default(NamedTuple):
    """The default augmentation of a data set; ``cutout`` is a fraction of the shorter side."""

    crop: Candidate | None
    flip: bool
    cutout: float | None
    source: str


_CIFAR = _Default(
    Candidate("crop", 4 / 32), True, 16 / 32, "pad 4 of 32 px, flip, cutout 16 px; Lim et al. 2019"
)
_DEFAULTS = {
    "cifar10": _CIFAR,
    "cifar100": _CIFAR,
    "svhn": _Default(None, False, 20 / 32, "cutout 20 of 32 px, no crop, no flip; Ho et al. 2019"),
    "imagenet": _Default(
        Candidate("resized_crop", 0.08),
        True,
        None,
        "crop of 0.08 of the area or more, flip, no cutout; Szegedy et al. 2015",
    ),
    "fashion-mnist-small": _Default(
        Candidate("crop", 2 / 28), True, None, "pad 2 of 28 px, flip, no cutout; ours"
    ),
}


def crop_flip(data_set: str) -> Policy:
    """What images of a data set get after the policy: a random crop, a flip at probability 0.5.

    CIFAR-10, CIFAR-100: padded by 4 of 32 px. Fashion-MNIST: by 2 of 28. ImageNet: a crop of 0.08
    of the area or more, resized. SVHN: neither, as PBA (Ho et al. 2019) has it: a mirrored digit is
    no digit, and a shift brings in its neighbours. (Fast AutoAugment crops and flips these, too.)
    Any other name: as CIFAR.
    """
    crop, flip, _, source = _DEFAULTS.get(data_set, _CIFAR)
    stages = [(crop,)] if crop else []
    if flip:
        stages.append((Candidate("flip_x", probability=0.5),))
    return Policy((SubPolicy(tuple(stages)),), name="crop-flip" if stages else "", source=source)


def cutout(data_set: str) -> Policy | None:
    """What follows crop and flip: a square cut out, or None on ImageNet and Fashion-MNIST.

    Its side, as a fraction of the images': 16 px of 32 on CIFAR-10 and CIFAR-100, 20 of 32 on
    SVHN (Ho et al. 2019). Any other name: 0.5.
    """
    size, source = _DEFAULTS.get(data_set, _CIFAR)[2:]
    if size is None:
        return None
    return Policy((SubPolicy(((Candidate("cutout", size),),)),), name="cutout", source=source)


def default(data_set: str) -> Policy:
    """A data set's :func:`crop_flip`, then its :func:`cutout`, as one policy."""
    policy, cut = crop_flip(data_set), cutout(data_set)
    if cut is not None:
        policy = policy.then(cut)
    source = f"default augmentation: {_DEFAULTS.get(data_set, _CIFAR).source}"
    return replace(policy, name=f"default-{data_set}", source=source)


_KNOWN: dict[str, Callable[[], Policy]] = {
    "identity": identity,
    **{f"autoaugment-{data_set}": partial(autoaugment, data_set) for data_set in _AUTOAUGMENT},
    "randaugment": randaugment,
    "trivialaugment": trivialaugment,
    "trivialaugment-wide": partial(trivialaugment, wide=True),
    "trivialaugment-wide-imagenet": partial(trivialaugment, wide=True, side=224),
    "uniformaugment": uniformaugment,
    "deepta": deepta,
    "deepta-imagenet": partial(deepta, "imagenet"),
    **{f"default-{data_set}": partial(default, data_set) for data_set in _DEFAULTS},
}


def names() -> tuple[str, ...]:
    """The names of the known policies."""
    return tuple(_KNOWN)


def get(name: str) -> Policy:
    """A known policy by its name; InputError lists the names if it is none of them."""
    if name not in _KNOWN:
        raise InputError(f"policy: expected one of {', '.join(_KNOWN)}; got {name!r}")
    return replace(_KNOWN[name](), name=name)


def summary(name: str) -> str:
    """One line about a known policy: what it is and where it comes from."""
    return get(name).source


def resolve(policy: Policy | str | Path) -> Policy:
    """The policy that is meant: itself, a known one by its name, or that of a policy file.

    Raises:
        InputError: neither a known name nor a file; a file that holds no policy.
    """
    if isinstance(policy, Policy):
        return policy
    if isinstance(policy, str) and policy in _KNOWN:
        return get(policy)
    if not isinstance(policy, str | Path):
        raise InputError(
            f"policy: expected a Policy, a name or a path, got {type(policy).__name__}"
        )
    path = os.path.expanduser(policy)
    if not os.path.exists(path):
        meant = str(policy)
        if isinstance(policy, Path) or os.path.dirname(meant) or meant.endswith(".json"):
            raise InputError(f"policy: no such file: {meant!r} (known names: pyaug policies)")
        raise InputError(
            f"policy: expected one of {', '.join(_KNOWN)}, or the path of a policy file (those of "
            f"other libraries: pyaug.exchange); got {meant!r}, and no such file exists"
        )
    return Policy.load(path)
