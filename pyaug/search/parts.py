"""What a search is given: parts of the training images, and a space that suits them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pyaug._native import OPERATIONS
from pyaug.data import DataSet, Split, check_classes, stratified_splits
from pyaug.errors import InputError
from pyaug.policy import Candidate
from pyaug.spaces import Axis


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
    check_square((element.operation for element in space), data, "space")


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
            that, what the parts that were said leave, in the paper's proportions.
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
        papers = {name: left * count // whole for name, count in papers.items()}
    counts = [{**papers, **said}[name] for name in names]
    drawn = stratified_splits(data.train, counts, seed=seed, options=names)
    drawn += () if val is None else (val,)
    return tuple(part.hold() if hold else part for part in drawn)
