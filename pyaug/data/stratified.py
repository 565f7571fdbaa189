"""Subsets and splits in which every class has its share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyaug.data.ordering import order
from pyaug.data.sets import Split
from pyaug.errors import InputError


def stratified_index(
    labels: Tensor, counts: Sequence[int], *, seed: int = 0, options: Sequence[str] | None = None
) -> tuple[Tensor, ...]:
    """Disjoint random parts with the classes in the same proportions as in `labels`.

    Args:
        labels: int64 `[N]`.
        counts: how many images each part gets; together at most N.
        seed: >= 0; the parts are a pure function of (labels, counts, seed).
        options: what the counts are called in error messages, e.g. `("val_images",)`.

    Returns:
        One ascending int64 index on the CPU for each count. Every class has at least one image in
        every part; beyond that its share is rounded by largest remainders.

    Raises:
        InputError: a count below the number of classes, counts beyond N, or a class with fewer
            images than there are parts; the message names the option.
    """
    options = list(options or [f"counts[{i}]" for i in range(len(counts))])
    labels = labels.cpu()
    shuffled = order(len(labels), seed=seed, epoch=0)
    by_class = [shuffled[labels[shuffled] == c] for c in labels.unique().tolist()]
    sizes = [len(members) for members in by_class]
    _check_counts(labels, sizes, counts, options)
    taken = [0] * len(sizes)
    parts = []
    for i, count in enumerate(counts):
        later = len(counts) - 1 - i  # each part to come still needs one image of every class
        room = [size - t - later for size, t in zip(sizes, taken, strict=True)]
        share = _allocate(count, sizes, room)
        chosen = [m[t : t + s] for m, t, s in zip(by_class, taken, share, strict=True)]
        parts.append(torch.cat(chosen).sort().values)
        taken = [t + s for t, s in zip(taken, share, strict=True)]
    return tuple(parts)


def stratified_splits(
    split: Split, counts: Sequence[int], *, seed: int = 0, options: Sequence[str] | None = None
) -> tuple[Split, ...]:
    """Disjoint parts of a split; see `stratified_index`."""
    indices = stratified_index(split.labels, counts, seed=seed, options=options)
    return tuple(split.subset(index) for index in indices)


def stratified_subset(split: Split, count: int, *, seed: int = 0, option: str = "count") -> Split:
    """`count` images of a split, e.g. the 4,000 of reduced CIFAR-10; see `stratified_index`."""
    return stratified_splits(split, (count,), seed=seed, options=(option,))[0]


def _check_counts(
    labels: Tensor, sizes: list[int], counts: Sequence[int], options: list[str]
) -> None:
    for option, count in zip(options, counts, strict=True):
        if count < len(sizes):
            raise InputError(
                f"{option}: expected one a class, so {len(sizes)} or more, got {count}"
            )
    asked = " + ".join(f"{option}={count}" for option, count in zip(options, counts, strict=True))
    if sum(counts) > len(labels):
        raise InputError(f"{asked}: expected at most the {len(labels)} images that there are")
    if min(sizes) < len(counts):
        which = labels.unique().tolist()[sizes.index(min(sizes))]
        has = f"got {min(sizes)} of class {which}"
        raise InputError(f"{asked}: expected {len(counts)} or more images of every class, {has}")


def _allocate(count: int, sizes: list[int], room: list[int]) -> list[int]:
    """Shares of `count`: proportional to `sizes`, at least 1 and at most `room` each."""
    quota = [count * size / sum(sizes) for size in sizes]
    share = [min(max(int(q), 1), r) for q, r in zip(quota, room, strict=True)]
    while sum(share) != count:
        step = 1 if sum(share) < count else -1
        open_ = [i for i, s in enumerate(share) if (s < room[i] if step > 0 else s > 1)]
        share[max(open_, key=lambda i: step * (quota[i] - share[i]))] += step
    return share
