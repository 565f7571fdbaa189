"""A benchmark from its options to its table."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from pyaug.bench import fresh, gpu, machine, mixture, operations, page, policies, whole
from pyaug.bench.measure import Watch
from pyaug.bench.pictures import Pictures, pictures
from pyaug.bench.table import Rows, Table
from pyaug.errors import ABOVE_0, AT_LEAST_1, InputError, check_ranges
from pyaug.run import isolated_rng

_QUICK = 0.006  # seconds a timing
_HOPELESS = 3.0  # times as slow as the fastest
_NOTES = (
    "Peers get the same images in the form they are fastest in: PIL images, tensors (3, H, W), "
    "arrays (H, W, 3), or float batches. Each draws for every image, so each is called for every "
    'image; "one draw" and "whole batch" is other work, and only shown.',
    "timm has no CIFAR-10 policy: its operations run pyaug's list. Its RandAugment chooses among "
    "15 operations. albumentations has none of the three policies: they are put together of its "
    "transforms, and its sharpness only sharpens. Kornia leaves color out of two of them; "
    "compiled it breaks at every draw and compiles anew for every sub-policy, so it runs eagerly.",
    "Policies and operations of pyaug write into one batch (`out=`), as the copy does. Alone, an "
    "operation's peers do so too and have their matrices and lookup tables made beforehand, which "
    "pyaug's call includes. OpenCV treats borders and equalize otherwise; "
    "where a slice does it, that column is NumPy's. Kornia takes floats and allocates its results; "
    "where an operation has no magnitude, it does the whole batch in one call.",
)


@dataclass(frozen=True)
class Config:
    """Options of a benchmark."""

    quick: bool = False
    """The rows of the CPU in about a minute, with shorter timings and without the peers that are
    three times as slow as the fastest; nothing is compiled, and nothing written unless --out says
    where."""
    device: Literal["cpu", "cuda"] | None = None
    """Which rows: the CPU's, one thread, or the GPU's; by default the GPU's where there is one and
    --quick is not set."""
    images: Path | None = None
    """An .npz of images (N, H, W, C uint8), or of JPEG files (data, offsets); by default CIFAR-10
    and Imagenette where they lie beside the source tree, else the bundled images, enlarged."""
    out: Path | None = None
    """The folder of what is written; by default benchmarks/results."""
    only: str | None = None
    """Only rows in whose group or title this regular expression is found."""
    rounds: int = 7
    """Timings of each call, of which the median counts."""
    seconds: float = 0.02
    """A timing repeats its call until it lasts about so long."""


def bench(config: Config | None = None, *, say: Callable[[str], None] = lambda line: None) -> Table:
    """Measure, and write the table as JSON, Markdown and plots.

    Args:
        config: options.
        say: is told a line about each row once it is measured.

    Returns:
        The table; `Table.below` are the rows that do not reach their lines.

    Raises:
        InputError: an option that cannot be, before any work.
    """
    config = config or Config()
    device = _check(config)
    held = pictures(config.images)
    about = {str(side): held.about(side) for side in operations.BATCHES}
    table = Table(machine.facts(device) | {"images": about}, notes=_NOTES)
    seconds = min(config.seconds, _QUICK) if config.quick else config.seconds
    hopeless = _HOPELESS if config.quick else math.inf
    watch = Watch(config.rounds, seconds, hopeless)
    wanted = re.compile(config.only or "")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with isolated_rng(0):
            for row, measure in (gpu.rows if device == "cuda" else cpu)(held, quick=config.quick):
                if wanted.search(f"{row.group}: {row.title}"):
                    measure(row, watch)
                    table.rows.append(row)
                    say(page.said(row))
    finally:
        torch.set_num_threads(threads)
    if config.out or not config.quick:
        page.write(table, config.out or Path("benchmarks/results"))
    return table


def cpu(held: Pictures, *, quick: bool) -> Rows:
    """The rows of the CPU."""
    share = machine.allowance()
    lines = share is not None
    for side, count in policies.BATCHES.items():
        allowance = share if side == 32 or not lines else 1.0
        yield from policies.rows(held.batch(count, side), allowance=allowance)
    for side, count in operations.BATCHES.items():
        yield from operations.rows(held.batch(count, side), whole=not quick, lines=lines)
    for side, count in mixture.BATCHES.items():
        yield from mixture.rows(held.batch(count, side), compiled=not quick, lines=lines)
    yield from whole.rows(held)
    yield from fresh.rows(times=3 if quick else 7)


def _check(config: Config) -> str:
    """The device, once all options are found good."""
    check_ranges(config, {"rounds": AT_LEAST_1, "seconds": ABOVE_0})
    if config.device not in (None, "cpu", "cuda"):
        raise InputError(f"device: expected cpu or cuda, got {config.device!r}")
    try:
        re.compile(config.only or "")
    except re.error as error:
        raise InputError(f"only: expected a regular expression, got {config.only!r}") from error
    there = torch.cuda.is_available()
    if config.device == "cuda" and not there:
        raise InputError("device: expected cpu, as torch finds no GPU; got 'cuda'")
    if config.out is not None and config.out.exists() and not config.out.is_dir():
        raise InputError(f"out: expected a folder, got the file {config.out}")
    return config.device or ("cuda" if there and not config.quick else "cpu")
