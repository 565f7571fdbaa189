"""Every operation alone, each image by a magnitude of its own."""

from __future__ import annotations

from functools import partial
from statistics import geometric_mean

import torch
from torch import Tensor

from pyaug._native import OPERATIONS
from pyaug.bench import libraries, machine
from pyaug.bench.cases import Case, case, ours
from pyaug.bench.measure import Call, Watch, copying
from pyaug.bench.table import Line, Row, Rows, race

GROUP = "Single operations"
BATCHES = {32: 512, 224: 32}
"""Images in a batch, by their side."""


def rows(images: Tensor, *, whole: bool, lines: bool) -> Rows:
    """A row for every operation on uint8 images `[B, 3, H, W]`, and their mean.

    Args:
        images: the batch.
        whole: also show what does the same to the whole batch.
        lines: whether they have lines to reach.
    """
    count, side = len(images), images.shape[-1]
    line = Line(1.0, of_copy=0.85) if lines else None
    alone = []
    for operation in OPERATIONS:
        row = Row(GROUP, f"{operation}, {count} × 3×{side}×{side}", line=line)
        alone.append(row)
        yield row, partial(_measure, operation, images, whole)
    line = Line(3.0, 6.0) if lines else None
    yield Row(GROUP, f"geometric mean, {count} × 3×{side}×{side}", line=line), partial(_mean, alone)


def _measure(operation: str, images: Tensor, whole: bool, row: Row, watch: Watch) -> None:
    work = case(operation, images)
    ours_too = Call(ours(work, torch.empty_like(images)), len(images))
    others = _calls(libraries.WHOLE, work) if whole else {}
    peers = _calls(libraries.EACH, work)
    race(row, watch, ours_too, copy=copying(images), peers=peers, others=others)


def _calls(ways: libraries.Ways, work: Case) -> dict[str, Call]:
    made = {
        name: way(work) for name, way in ways.items() if machine.version(name.partition(",")[0])
    }
    return {name: Call(run, len(work.images)) for name, run in made.items() if run}


def _mean(alone: list[Row], row: Row, watch: Watch) -> None:
    values = [one.value for one in alone if one.value]
    row.note = f"of {len(values)} operations"
    if values:
        row.value, row.fastest = geometric_mean(values), "the fastest of each"
