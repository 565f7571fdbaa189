"""Timing several calls by turns, so that what slows the machine slows them all."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Call:
    """Something to be timed."""

    run: Callable[[], object]
    items: int = 1
    """How many images one run handles; times are divided by it."""


def copying(images: Tensor) -> Call:
    """A plain copy of a batch into another that is there already."""
    return Call(partial(torch.empty_like(images).copy_, images), len(images))


def each(transform: Callable[[Any], Any], images: Sequence[Any]) -> Call:
    """A transform of one image, called for every image."""

    def run() -> None:
        for image in images:
            transform(image)

    return Call(run, len(images))


@dataclass(frozen=True)
class Timing:
    """Seconds an item."""

    median: float
    spread: float
    """The distance between the quartiles over the rounds, as a share of the median."""


@dataclass(frozen=True)
class Watch:
    """How timings are taken."""

    rounds: int = 7
    """So many timings of each call, of which the median counts."""
    seconds: float = 0.02
    """A timing repeats its call until it lasts about so long, after half as many runs that are not
    timed: they bring back to the caches what the call before has driven out."""
    hopeless: float = math.inf
    """A peer is left out that in its second run takes more than so many times the fastest's."""
    clock: Callable[[], float] = time.perf_counter
    """Says the time in seconds."""

    def interleave(self, calls: Mapping[str, Call]) -> dict[str, Timing]:
        """Time the calls by turns: A B C A B C and so on."""
        return {name: _timing(values) for name, values in self.by_rounds(calls).items()}

    def by_rounds(self, calls: Mapping[str, Call]) -> dict[str, list[float]]:
        """The same, each round by itself: seconds an item."""
        seconds: dict[str, list[float]] = {name: [] for name in calls}
        collects = gc.isenabled()
        gc.collect()
        gc.disable()  # else one call pays for what others left
        try:
            repeats = {name: self._repeats(call) for name, call in calls.items()}
            for _ in range(self.rounds):
                for name, call in calls.items():
                    self.spent(call, repeats[name] // 2)
                    spent = self.spent(call, repeats[name])
                    seconds[name].append(spent / repeats[name] / call.items)
        finally:
            if collects:
                gc.enable()
        return seconds

    def _repeats(self, call: Call) -> int:
        """As many runs as take `seconds`, found by doubling: the first are the slowest."""
        repeats, spent = 1, self.spent(call, 1)
        while 0 < spent < self.seconds:
            repeats = min(2 * repeats, math.ceil(repeats * self.seconds / spent))
            spent = self.spent(call, repeats)
        return repeats

    def spent(self, call: Call, repeats: int) -> float:
        """Seconds that so many runs take."""
        began = self.clock()
        for _ in range(repeats):
            call.run()
        return self.clock() - began


def _timing(values: list[float]) -> Timing:
    middle = statistics.median(values)
    if len(values) < 2 or not middle:
        return Timing(middle, 0.0)
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return Timing(middle, (high - low) / middle)
