"""timm's strings: ``rand-m9-n2-mstd0.5-inc1``, ``original-mstd0.5``, ``v0``.

Tables and lines: timm 1.0.31, ``timm/data/auto_augment.py``. timm counts levels to 10 (line 38).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import groupby, pairwise
from statistics import NormalDist
from typing import NamedTuple

from pyaug import policies
from pyaug.errors import InputError, finite_number
from pyaug.exchange.leaving_out import sayable
from pyaug.exchange.scales import (
    MOST_STAGES,
    Imported,
    Scale,
    one_of,
    placed,
    without_replacement,
)
from pyaug.policy import Candidate, Levels, Magnitude, Normal, Policy, Range, Stage, SubPolicy

_MOST = 10.0

# LEVEL_TO_ARG, lines 206 to 323. What timm truncates comes out alike on uint8: pyaug counts
# fractional bits and thresholds up.
_SCALES = {
    "AutoContrast": Scale("auto_contrast"),
    "Equalize": Scale("equalize"),
    "Invert": Scale("invert"),
    "Rotate": Scale("rotate", 0, 30, random_sign=True),
    "ShearX": Scale("shear_x", 0, 0.3, random_sign=True),
    "ShearY": Scale("shear_y", 0, 0.3, random_sign=True),
    "TranslateXRel": Scale("translate_x", 0, 0.45, random_sign=True),
    "TranslateYRel": Scale("translate_y", 0, 0.45, random_sign=True),
    "Posterize": Scale("posterize", 0, 4, whole=True),
    "PosterizeIncreasing": Scale("posterize", 4, -4, whole=True),
    "PosterizeOriginal": Scale("posterize", 4, 4, whole=True),
    "Solarize": Scale("solarize", 0, 256, whole=True),
    "SolarizeIncreasing": Scale("solarize", 256, -256, whole=True),
    "SolarizeAdd": Scale("solarize_add", 0, 110, whole=True),
    **{name: Scale(name.lower(), 0.1, 1.8) for name in ("Color", "Contrast", "Brightness",
                                                        "Sharpness")},
    **{f"{name}Increasing": Scale(name.lower(), 1, 0.9, random_sign=True)
       for name in ("Color", "Contrast", "Brightness", "Sharpness")},
    "Desaturate": Scale("color", 0.5, -0.5),
}  # fmt: skip
# Lines 277 to 286 and 226 to 231: levels above 10 count as 10. Fewer than 0 bits are black, too.
_CAPPED = ("Solarize", "SolarizeIncreasing", "Desaturate", "PosterizeIncreasing")

# Lines 621 to 658.
_PLAIN = (
    *("AutoContrast", "Equalize", "Invert", "Rotate", "Posterize", "Solarize", "SolarizeAdd"),
    *("Color", "Contrast", "Brightness", "Sharpness", "ShearX", "ShearY"),
    *("TranslateXRel", "TranslateYRel"),
)
_INCREASING = tuple(
    f"{name}Increasing" if f"{name}Increasing" in _SCALES else name for name in _PLAIN
)
# Lines 688 to 704, the set that tweights names.
_WEIGHTS = {
    **{"Rotate": 3, "ShearX": 2, "ShearY": 2, "TranslateXRel": 1, "TranslateYRel": 1},
    **{"ColorIncreasing": 0.25, "SharpnessIncreasing": 0.25, "AutoContrast": 0.25},
    **dict.fromkeys(("SolarizeIncreasing", "SolarizeAdd", "ContrastIncreasing"), 0.05),
    **dict.fromkeys(("BrightnessIncreasing", "Equalize", "PosterizeIncreasing", "Invert"), 0.05),
}
# Lines 540 to 545 and 661 to 685.
_BLURRED = ("3a", "3aw")

# Lines 407 to 437: sub-policies, equally likely; operation, probability, level.
_V0 = """
    Equalize .8 1         ShearY .8 4
    Color .4 9            Equalize .6 3
    Color .4 1            Rotate .6 8
    Solarize .8 3         Equalize .4 7
    Solarize .4 2         Solarize .6 2
    Color .2 0            Equalize .8 8
    Equalize .4 8         SolarizeAdd .8 3
    ShearX .2 9           Rotate .6 8
    Color .6 1            Equalize 1. 2
    Invert .4 9           Rotate .6 0
    Equalize 1. 9         ShearY .6 3
    Color .4 7            Equalize .6 0
    Posterize .4 6        AutoContrast .4 7
    Solarize .6 8         Color .6 9
    Solarize .2 4         Rotate .8 9
    Rotate 1. 7           TranslateYRel .8 9
    ShearX .0 0           Solarize .8 4
    ShearY .8 0           Color .6 4
    Color 1. 0            Rotate .6 2
    Equalize .8 4         Equalize .0 8
    Equalize 1. 4         AutoContrast .6 2
    ShearY .4 7           SolarizeAdd .6 7
    Posterize .8 2        Solarize .6 10
    Solarize .6 8         Equalize .6 1
    Color .8 6            Rotate .4 5
"""
_POLICIES = ("v0", "v0r", "original", "originalr")
_PARTS = {"m": int, "n": int, "p": float, "mstd": float, "mmax": int, "inc": int}
_REMARK = (
    "interpolation: timm draws bilinear or bicubic for every operation, unless it is told one; "
    "pyaug has no bicubic"
)


class _Noise(NamedTuple):
    """A level in tenths: normal around ``mean`` (``std`` 0: the mean itself; infinite: uniform
    from 0 to the mean), clipped to [0, ``top``]."""

    mean: float
    std: float
    top: float


def from_timm(config: str) -> Imported:
    """timm's RandAugment or AutoAugment of a configuration string.

    ``rand`` with any of ``m`` (level, 10), ``n`` (operations, 2), ``p`` (probability, 0.5),
    ``mstd`` (noise of the level; above 100: uniform from 0), ``mmax`` (highest level, 10), ``inc``
    (strength grows with the level) and ``t`` (``tweights``: drawn by weight, without replacement);
    or one of ``v0``, ``v0r``, ``original``, ``originalr`` with ``mstd``.

    Args:
        config: the string, as ``timm.data.create_transform(auto_augment=...)`` takes it.

    Raises:
        InputError: an unknown part (timm passes some over); a level out of an operation's range;
            ``augmix``, which is no policy; ``3a`` and ``t3aw``, which blur by a Gaussian.
    """
    if not isinstance(config, str):
        raise InputError(f"timm: expected a string, got {type(config).__name__}")
    with placed(f"timm: {config!r}"):
        head, *parts = config.split("-")
        _refuse_blur(head)
        if head == "augmix":
            raise InputError("AugMix mixes chains and is no Policy; see pyaug.transforms.AugMix")
        if head == "rand":
            sub_policies = _rand(_parts(parts, (*_PARTS, "t")))
        elif head in _POLICIES:
            sub_policies = _auto(head, _parts(parts, ("mstd",)))
        else:
            expected = ", ".join(("rand", *_POLICIES))
            raise InputError(f"expected it to begin with one of {expected}, got {head!r}")
    options = {"interpolation": "bilinear", "fill": 128}
    policy = Policy(sub_policies, name=config, source=f"timm, {config}")
    return Imported(policy, options, (_REMARK,))


def _parts(parts: list[str], known: tuple[str, ...]) -> dict[str, float | str]:
    """What each part says; timm's own reader passes parts without a digit over."""
    said: dict[str, float | str] = {}
    for part in parts:
        found = re.fullmatch(r"(?:(t)(\w+)|([a-z]+)(\d+(?:\.\d+)?))", part)
        key, text = (found[1] or found[3], found[2] or found[4]) if found else ("", "")
        if key not in known:
            raise InputError(f"unknown part {part!r}; known: {', '.join(known)}, each with a value")
        if key in said:
            raise InputError(f"{key} is said twice")
        if key == "t":
            _refuse_blur(text)
            if text != "weights":
                raise InputError(f"t: expected weights, got {text!r}")
            said[key] = text
            continue
        try:
            said[key] = _PARTS[key](text)
        except ValueError:
            raise InputError(f"{key}: expected a whole number, got {text!r}") from None
        finite_number(said[key], key)
    return said


def _refuse_blur(name: str) -> None:
    if name in _BLURRED:
        raise InputError(f"{name} blurs by a Gaussian, and pyaug has no such operation")


def _rand(said: dict[str, float | str]) -> tuple[SubPolicy, ...]:
    """RandAugment, lines 751 to 850."""
    std = float(said.get("mstd", 0))
    noise = _Noise(
        mean=float(said.get("m", _MOST)) / _MOST,
        std=math.inf if std > 100 else std / _MOST,
        top=float(said.get("mmax", _MOST) or _MOST) / _MOST,
    )
    count, probability = int(said.get("n", 2)), float(said.get("p", 0.5))
    if not 1 <= count <= MOST_STAGES:
        raise InputError(f"n: expected 1 to {MOST_STAGES}, got {count}")
    weighted = "t" in said
    names = tuple(_WEIGHTS) if weighted else _INCREASING if said.get("inc") else _PLAIN
    stages = [_stage(name, noise, probability) for name in names]
    if weighted:
        return without_replacement(stages, tuple(_WEIGHTS.values()), count)
    return (SubPolicy((one_of(stages, [1.0] * len(stages)),) * count),)


def _auto(head: str, said: dict[str, float | str]) -> tuple[SubPolicy, ...]:
    """AutoAugment's, lines 407 to 560."""
    std = float(said.get("mstd", 0)) / _MOST
    rows = [
        tuple(
            _stage(name, _Noise(level / _MOST, std, 1.0), probability)
            for name, probability, level in row
        )
        for row in _rows(head)
    ]
    return tuple(SubPolicy(row) for row in rows)


def _rows(head: str) -> Iterator[list[tuple[str, float, float]]]:
    """(timm's name, probability, level) of a policy's operations."""
    if head in ("v0", "v0r"):
        for line in _V0.strip().splitlines():
            words = line.split()
            triples = zip(words[::3], words[1::3], words[2::3], strict=True)
            yield [(_researched(name, head), float(p), float(m)) for name, p, m in triples]
    else:
        names = {_SCALES[name].operation: name for name in _PLAIN}
        names["posterize"] = "PosterizeIncreasing" if head == "originalr" else "PosterizeOriginal"
        for row in policies.autoaugment_table("imagenet"):
            yield [(names[operation], p, level or 0) for operation, p, level in row]


def _researched(name: str, head: str) -> str:
    return "PosterizeIncreasing" if (name, head) == ("Posterize", "v0r") else name


def _stage(name: str, noise: _Noise, probability: float) -> Stage:
    """The candidates whose distribution is that of timm's operation; their weights sum to 1."""
    scale = _SCALES[name]
    if name in _CAPPED:
        noise = noise._replace(top=min(noise.top, 1.0))
    sides = [(scale, noise)]
    highest = noise.top if noise.std else min(noise.mean, noise.top)
    if name.endswith("Increasing") and scale.random_sign and highest > 1:
        # Lines 218 to 223: downwards they stop at 0.1, upwards they go on.
        up = scale._replace(random_sign=False)
        sides = [(up, noise), (up._replace(change=-scale.change), noise._replace(top=1.0))]
    with placed(name):
        return tuple(
            Candidate(side.operation, magnitude, share / len(sides), probability, side.random_sign)
            for side, level in sides
            for share, magnitude in _magnitudes(side, level)
        )


def _magnitudes(scale: Scale, noise: _Noise) -> list[tuple[float, Magnitude]]:
    """(share, magnitude) of a noisy level."""
    mean, std, top = noise
    if scale.start is None:
        return [(1.0, None)]
    if std == 0 or (mean == 0 and math.isinf(std)):
        return [(1.0, scale.magnitude(min(mean, top)))]
    if scale.whole and scale.change > 0 and scale.operation != "solarize_add":
        return _steps(scale, noise)
    smooth = scale._replace(whole=False)
    if math.isinf(std):
        reach = min(mean, top)
        parts: list[tuple[float, Magnitude]] = [
            (reach / mean, Range(*sorted((smooth.start, smooth.magnitude(reach)))))
        ]
        return parts + ([(1 - top / mean, scale.magnitude(top))] if mean > top else [])
    low, high = sorted((smooth.start, smooth.magnitude(top)))
    return [(1.0, Normal(smooth.magnitude(mean), abs(std * scale.change), low, high))]


def _steps(scale: Scale, noise: _Noise) -> list[tuple[float, Magnitude]]:
    """The shares of the whole numbers that timm truncates to; equal neighbours are one range."""
    mean, std, top = noise

    def below(mu: float) -> float:
        return min(mu / mean, 1.0) if math.isinf(std) else NormalDist(mean, std).cdf(mu)

    last = int(top * scale.change)
    edges = [0.0, *(below(k / scale.change) for k in range(1, last + 1)), 1.0]
    shares = [round(b - a, 12) for a, b in pairwise(edges)]
    made: list[tuple[float, Magnitude]] = []
    for share, group in groupby(range(last + 1), key=shares.__getitem__):
        values = [scale.start + k for k in group]
        if share:
            made.append((share * len(values), Levels(tuple(values)) if values[1:] else values[0]))
    return made


def to_timm(policy: Policy, *, leave_out: bool = False) -> str:
    """The string for which timm draws from the same distribution.

    Args:
        policy: without a schedule.
        leave_out: do without stages of nothing but operations that timm has not, such as a crop or
            a flip, with a UserWarning for each.

    Raises:
        InputError: there is none; the message names what timm cannot say.
    """
    if policy.schedule:
        raise InputError("timm: schedule: a string says one policy; see Policy.at, --at")
    with placed("timm"):
        policy = sayable(policy, _check, leave_out=leave_out)
    tried = []
    for config in dict.fromkeys(_guesses(policy)):
        try:
            made = from_timm(config).policy
        except InputError:
            continue
        if made.sub_policies == policy.sub_policies:
            return config
        tried.append((config, made))
    if not tried:
        idle = "identity" in policy.operations
        reason = "operation identity" if idle else "form: neither rand's nor AutoAugment's"
        raise InputError(f"timm: {reason}: no string says it")
    config, made = min(tried, key=lambda pair: _difference(policy, pair[1])[0])
    raise InputError(f"timm: {_difference(policy, made)[1]}: no string says it; nearest: {config}")


def _check(c: Candidate) -> None:
    if c.operation not in {"identity", *(scale.operation for scale in _SCALES.values())}:
        raise InputError(f"operation {c.operation}: timm has none like it")


def _guesses(policy: Policy) -> Iterator[str]:
    """Strings that may mean it, judged by the first rotation: all but 3a rotate."""
    stages = [stage for s in policy.sub_policies for stage in s.stages]
    turning = [[c for c in stage if c.operation == "rotate"] for stage in stages]
    rotations = next(filter(None, turning), None)
    if rotations is None:
        return
    first, noise, top = rotations[0], "", _MOST
    m = first.magnitude
    if isinstance(m, Normal):
        noise = f"-mstd{_number(m.std / 3)}"
        level, top = m.mean / 3, m.high / 3
    elif isinstance(m, Range):
        noise = "-mstd101"
        level = m.high / 3 * sum(c.weight for c in rotations) / first.weight
        top = m.high / 3 if rotations[1:] else max(level, _MOST)
    elif isinstance(m, float | int):
        level, top = m / 3, max(m / 3, _MOST)
    else:
        return
    most = f"-mmax{round(top)}" if round(top) != _MOST else ""
    gate = "" if first.probability == 0.5 else f"-p{_number(first.probability)}"
    for head in _POLICIES:
        yield head + noise
    for which in ("-inc1", "", "-tweights"):
        yield f"rand-m{round(level)}-n{policy.steps}{gate}{noise}{most}{which}"


def _number(value: float) -> str:
    return f"{round(value, 9):.9f}".rstrip("0").rstrip(".")


def _difference(policy: Policy, other: Policy) -> tuple[int, str]:
    """(minus the number of candidates in common, the first that the other lacks)."""
    ours, theirs = ([c for s in p.sub_policies for stage in s.stages for c in stage]
                    for p in (policy, other))  # fmt: skip
    missing = next((c for c in ours if c not in theirs), None)
    text = "form of the sub-policies" if missing is None else f"operation {missing.operation}"
    if missing is not None and missing.magnitude is not None:
        text += f" at {missing.magnitude}"
    return -sum(c in theirs for c in ours), text
