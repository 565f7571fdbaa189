"""What a search is given: parts of the training images, and a space that suits them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

from pyaug._native import OPERATIONS
from pyaug.data import DataSet, Split, check_classes, stratified_splits
from pyaug.errors import InputError
from pyaug.planes import MIXES_CHANNELS, refuse_mixing
from pyaug.policy import Candidate, Policy
from pyaug.spaces import Axis

_E = TypeVar("_E", Axis, Candidate)


def suited(space: Sequence[_E], data: DataSet) -> tuple[_E, ...]:
    """A default space without the operations that have no meaning for the images.

    These ask for the luma of an image, which only those of 1 or 3 channels have. A warning says
    what is left out.
    """
    channels = data.shape[0]
    if channels in (1, 3):
        return tuple(space)
    kept = tuple(e for e in space if e.operation not in MIXES_CHANNELS)
    if len(kept) < len(space):
        names = " and ".join(MIXES_CHANNELS)
        reason = f"they ask for the luma of 1 or 3 channels, and these images have {channels}"
        warnings.warn(f"the search does without {names}: {reason}", stacklevel=3)
    return kept


def suited_policy(policy: Policy, data: DataSet) -> Policy:
    """A policy whose stages hold only what is `suited`, of stages of several candidates."""
    made = [
        replace(sub, stages=tuple(suited(stage, data) for stage in sub.stages))
        for sub in policy.sub_policies
    ]
    return replace(policy, sub_policies=tuple(made))


def check_square(operations: Iterable[str], data: DataSet, where: str) -> None:
    """Raise InputError for an operation that needs square images where these are not."""
    _, height, width = data.shape
    for operation in operations:
        if OPERATIONS[operation].square and height != width:
            got = f"{height} x {width}"
            raise InputError(f"{where}: {operation} expects square images, got {got}")


def check_space(space: Sequence[Axis | Candidate], data: DataSet) -> None:
    """Raise InputError for a space without operations, or with one that the images do not suit."""
    if not space:
        raise InputError("space: expected at least one operation, got none")
    refuse_mixing((element.operation for element in space), data.shape[0], "space")
    check_square((element.operation for element in space), data, "space")


def fitting(config: Any, option: str, most: int) -> int:
    """An option's number; where it was left at its default, `most` at most."""
    default = next(field.default for field in fields(config) if field.name == option)
    number = getattr(config, option)
    return min(number, most) if number == default else number


def divide(
    data: DataSet,
    parts: Mapping[str, tuple[int | None, int]],
    *,
    seed: int,
    val: Split | None = None,
    hold: bool = True,
) -> tuple[Split, ...]:
    """Disjoint parts of the training images, every class in its share.

    Args:
        data: its test part is never touched.
        parts: by option, how many images were asked for (None: not said) and the paper's number.
            What was not said is the paper's number or, where the training part is too small for
            that, what the parts that were said leave, in the paper's proportions, but one image a
            class at least.
        seed: the parts are a pure function of (labels, numbers, seed).
        val: validation images of the user's own, instead of the last part.
        hold: whether the parts are decoded and held in memory.

    Raises:
        InputError: a part smaller than the number of classes, too few images in all or of a class,
            naming the options; `val` of another shape, or without images of some class, or beside
            a number for the last part.
    """
    names = list(parts)
    if val is not None:
        if parts[names[-1]][0] is not None:
            raise InputError(f"{names[-1]}: expected none where val has images of its own")
        if val.shape != data.shape:
            raise InputError(f"val: expected images {data.shape}, got {val.shape}")
        if val.white != data.train.white:
            kinds = f"expected {data.train.images.dtype}, got {val.images.dtype}"
            raise InputError(f"val: {kinds}")
        check_classes(val.labels, data.classes, where="val")
        names.pop()
    said = {name: parts[name][0] for name in names if parts[name][0] is not None}
    papers = {name: parts[name][1] for name in names if parts[name][0] is None}
    left = len(data.train) - sum(said.values())
    if left < 0:
        asked = " + ".join(f"{name}={count}" for name, count in said.items())
        raise InputError(f"{asked}: expected at most the {len(data.train)} images that there are")
    whole = sum(papers.values())
    if left < whole:
        least = len(data.classes)
        papers = {name: max(least, left * count // whole) for name, count in papers.items()}
        largest = max(papers, key=papers.__getitem__)
        papers[largest] -= max(0, sum(papers.values()) - left)
    counts = [{**papers, **said}[name] for name in names]
    drawn = stratified_splits(data.train, counts, seed=seed, options=names)
    drawn += () if val is None else (val,)
    return tuple(part.hold() if hold else part for part in drawn)
