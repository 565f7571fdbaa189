"""The learning rate over a training."""

from __future__ import annotations

import math
from collections.abc import Sequence


def learning_rate(
    step: int,
    *,
    steps: int,
    highest: float,
    first: float = 0.0,
    last: float = 0.0,
    warmup: int = 0,
    milestones: Sequence[int] = (),
) -> float:
    """The rate of step `step` (from 0) of `steps`.

    It rises linearly from `first` over the first `warmup` steps, the last of which has `highest`.
    Then, with t = (step − warmup)/(steps − warmup) in [0, 1), it is last + (highest − last)·(1 +
    cos πt)/2 (SGDR, Loshchilov and Hutter 2017, eq. 5), or, with `milestones`, falls to a tenth at
    each of these steps.
    """
    if step < warmup:
        return first + (highest - first) * (step + 1) / warmup
    if milestones:
        return highest * 0.1 ** sum(step >= m for m in milestones)
    t = (step - warmup) / (steps - warmup)
    return last + (highest - last) * (1 + math.cos(math.pi * t)) / 2
