"""The order in which an epoch visits its images."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def order(count: int, *, seed: int, epoch: int) -> Tensor:
    """A random permutation of 0..count-1, int64 on the CPU: a pure function of its arguments.

    It sorts raw Philox numbers with key (seed, epoch). NumPy guarantees this raw stream across
    versions, which neither it nor torch does for a permutation. Seed and epoch are >= 0.
    """
    keys = np.random.Philox(key=[seed, epoch]).random_raw(count)
    return torch.from_numpy(np.argsort(keys, kind="stable").astype(np.int64, copy=False))
