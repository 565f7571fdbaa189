"""Kornia's lists for its AutoAugment: ``[[("rotate", 0.9, 4), ("invert", 0.2, None)], ...]``.

Table and lines: Kornia 0.9.0, ``augmentation/auto/autoaugment/ops.py`` and
``auto/operations/ops.py``. A level is one of ten intervals of a range, within which the magnitude
is uniform.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from pyaug.errors import InputError
from pyaug.exchange.leaving_out import sayable
from pyaug.exchange.scales import (
    Imported,
    is_list,
    literal,
    pairs_of_triples,
    placed,
    read_text,
    scale_of,
)
from pyaug.policy import Candidate, Magnitude, Policy, Range, Stage, SubPolicy

_BINS = 10
_NOTHING = ("invert", 0.0, None)  # Kornia has no identity


class _Row(NamedTuple):
    """pyaug's operation, the ends of Kornia's range, and its value in pyaug's unit."""

    operation: str
    low: float | None = None
    high: float = 0.0
    unit: Callable[[float], float] = float
    remark: str = ""


def _against(share: float) -> float:
    return -share


def _threshold(share: float) -> float:
    return 255 * share


def _tangent(share: float) -> float:
    return math.tan(math.radians(180 * share))  # operations/ops.py, lines 471 and 513


_SHEAR = (
    "Kornia shears about the centre, uniformly in the angle; pyaug about the origin, in tangent"
)
_COLOR = "Kornia scales the saturation, pyaug blends with grey"
_BRIGHTNESS = "Kornia adds factor - 1, pyaug multiplies by the factor"

# Lines 68 to 173. Kornia's contrast multiplies by the factor: that is pyaug's brightness.
_ROWS = {
    "shear_x": _Row("shear_x", -0.3, 0.3, _tangent, _SHEAR),
    "shear_y": _Row("shear_y", -0.3, 0.3, _tangent, _SHEAR),
    "translate_x": _Row("translate_x", -0.5, 0.5, _against),
    "translate_y": _Row("translate_y", -0.5, 0.5, _against),
    "rotate": _Row("rotate", -30, 30),
    "auto_contrast": _Row("auto_contrast"),
    "invert": _Row("invert"),
    "equalize": _Row("equalize"),
    "solarize": _Row("solarize", 0, 1, _threshold),
    "posterize": _Row("posterize", 4, 8),
    "contrast": _Row("brightness", 0.1, 1.9),
    "sharpness": _Row("sharpness", 0.1, 1.9),
    "brightness": _Row("brightness", 0.1, 1.9, float, _BRIGHTNESS),
    "color": _Row("color", 0.1, 1.9, float, _COLOR),
}
NAMES = frozenset(_ROWS)
"""Kornia's names of operations."""


def from_kornia(source: list | str | Path) -> Imported:
    """The policy of a list for ``kornia.augmentation.auto.AutoAugment``.

    Kornia takes one sub-policy for a whole batch, pyaug one for each image. Kornia mixes the edge
    with the fill, so that its geometry differs there by a pixel.

    Args:
        source: the list, or the path of a file with it, in JSON or as a Python literal.

    Raises:
        InputError: no such list; an unknown name; a level that is not 0 to 9.
    """
    with placed("kornia"):
        data = source if is_list(source) else literal(read_text(source))
        remarks: dict[str, None] = {}
        sub_policies = []
        for place, triples in pairs_of_triples(data):
            stages = []
            for k, (name, probability, level) in enumerate(triples):
                with placed(f"{place}, operation {k}"):
                    row = scale_of(_ROWS, name)
                    with placed(name):
                        stages.append(_stage(row, level, probability))
                if row.remark:
                    remarks[f"{name}: {row.remark}"] = None
            sub_policies.append(SubPolicy(tuple(stages)))
    policy = Policy(tuple(sub_policies), name="kornia", source="Kornia, AutoAugment's list")
    return Imported(policy, {"interpolation": "bilinear", "fill": 0}, tuple(remarks))


def _stage(row: _Row, level: Any, probability: float) -> Stage:
    """The candidates of one level; posterize rounds its bits to the nearest."""
    if row.low is None:
        return (Candidate(row.operation, probability=probability),)
    if type(level) is not int or not 0 <= level < _BINS:  # True is none
        raise InputError(f"level: expected a whole number from 0 to {_BINS - 1}, got {level!r}")
    ends = [row.low + (row.high - row.low) * i / _BINS for i in (level, level + 1)]
    if row.operation != "posterize":
        magnitudes: list[tuple[float, Magnitude]] = [(1.0, Range(*sorted(map(row.unit, ends))))]
    else:
        middle = round(ends[0]) + 0.5
        share = min(max((ends[1] - middle) / (ends[1] - ends[0]), 0.0), 1.0)
        both = [(1 - share, float(round(ends[0]))), (share, float(round(ends[0]) + 1))]
        magnitudes = [(share, bits) for share, bits in both if share > 0]
    return tuple(Candidate(row.operation, m, w, probability) for w, m in magnitudes)


def to_kornia(
    policy: Policy, *, leave_out: bool = False
) -> list[list[tuple[str, float, int | None]]]:
    """The list for which Kornia's AutoAugment draws each image from the same distribution.

    Its levels are intervals, so that only such magnitudes can be said.

    Args:
        policy: without a schedule.
        leave_out: apply nothing in place of operations that Kornia has not or has otherwise, with a
            UserWarning for each; all others come exactly as often as before.

    Raises:
        InputError: anything else, by its place: a schedule, weights, a choice between operations, a
            magnitude that is none of the ten intervals, an operation that Kornia has not or has
            otherwise; with ``leave_out``, a policy of nothing else.
    """
    if policy.schedule:
        raise InputError("kornia: schedule: a list says one policy; see Policy.at, --at")
    if len({s.weight for s in policy.sub_policies}) > 1:
        raise InputError("kornia: weight: sub-policies are equally likely there")
    with placed("kornia"):
        policy = sayable(policy, _check, leave_out=leave_out)
    said = []
    for i, sub_policy in enumerate(policy.sub_policies):
        place = f"kornia: sub_policies[{i}]"
        if sub_policy.probability != 1:
            raise InputError(f"{place}: probability: a list cannot say it")
        triples = []
        for j, stage in enumerate(sub_policy.stages):
            with placed(f"{place}.stages[{j}]"):
                triples.append(_triple(stage))
        said.append(triples or [_NOTHING])
    return said


def _check(c: Candidate) -> None:
    if c.operation not in {"identity", *(r.operation for r in _ROWS.values() if not r.remark)}:
        raise InputError(f"operation {c.operation}: Kornia has none, or another of that name")


def _triple(stage: Stage) -> tuple[str, float, int | None]:
    if {c.operation for c in stage} == {"identity"}:
        return _NOTHING
    if len({c.operation for c in stage}) > 1:
        raise InputError(f"a choice between {len(stage)} operations: a list cannot say it")
    probability = stage[0].probability
    for name, row in _ROWS.items():
        if row.operation != stage[0].operation or row.remark:
            continue
        for level in (None,) if row.low is None else range(_BINS):
            if _alike(stage, _stage(row, level, probability)):
                return name, probability, level
    operations = ", ".join(f"{c.operation} at {c.magnitude}" for c in stage)
    raise InputError(f"none of Kornia's operations and levels is {operations}")


def _alike(ours: Stage, theirs: Stage) -> bool:
    def close(a: Any, b: Any) -> bool:
        return a == b or math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9)

    def ends(m: Magnitude) -> tuple:
        return m.levels if isinstance(m, Range) else (m,)

    total = sum(c.weight for c in ours)
    return len(ours) == len(theirs) and all(
        a.operation == b.operation
        and close(a.probability, b.probability)
        and not a.random_sign
        and type(a.magnitude) is type(b.magnitude)
        and close(a.weight / total, b.weight)
        and all(map(close, ends(a.magnitude), ends(b.magnitude)))
        for a, b in zip(ours, theirs, strict=True)
    )
