"""The rows that need a process of their own: the time to a first result, and peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from statistics import median
from typing import Any

import torch

from pyaug import Augment
from pyaug.bench import mixture
from pyaug.bench.measure import Watch
from pyaug.bench.pictures import bundled
from pyaug.bench.table import Line, Row, Rows

FIRST, MEMORY = "First result", "Memory"
_HOME = Path(__file__).parents[2]  # where `import pyaug` finds the package that runs here
_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
_START = """
import json, time
began = time.perf_counter()
import torch
loaded = time.perf_counter()
import pyaug
imported = time.perf_counter()
images = torch.randint(256, (128, 3, 32, 32), dtype=torch.uint8)
ready = time.perf_counter()
pyaug.Augment("trivialaugment-wide")(images)
print(json.dumps([imported - loaded, time.perf_counter() - ready]))
"""


def rows(*, times: int) -> Rows:
    """First results, medians of so many processes, and memory."""
    starts = cache(lambda: list(zip(*(_run(_START) for _ in range(times)), strict=True)))

    def first(which: int, factor: float, row: Row, watch: Watch) -> None:
        row.value = factor * median(starts()[which])

    row = Row(FIRST, "import pyaug, beyond torch's own", "s", Line(0.3, most=True))
    yield row, partial(first, 0, 1.0)
    title = "the first call: TrivialAugment-wide made, 128 × 3×32×32 drawn and applied"
    yield Row(FIRST, title, "ms", Line(10.0, most=True)), partial(first, 1, 1e3)
    title = "RandAugment(2, 9), 256 × 3×224×224, beside images and results"
    yield Row(MEMORY, title, "batches"), partial(_memory, "applying")
    title = f"{mixture.TITLE}, 32 × 3×224×224, beside images, gradient and results"
    yield Row(MEMORY, title, "batches", Line(1.0, most=True)), partial(_memory, "mixing")


def _memory(work: str, row: Row, watch: Watch) -> None:
    row.value = _run(f"from pyaug.bench import fresh; fresh.tell(fresh.{work})")
    row.note = "this system does not say a process's peak memory" if row.value is None else ""


def _run(code: str) -> Any:
    """What a process of its own prints, read as JSON."""
    # Blocks of any size go back at once, so that what one call leaves does not hide the next's.
    settings = {"MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}
    how = {"cwd": _HOME, "env": os.environ | settings, "capture_output": True, "text": True}
    done = subprocess.run([sys.executable, "-c", code], **how)
    if done.returncode:
        raise RuntimeError(f"a fresh process failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def tell(work: Callable[[], tuple[Callable[[], object], int, int]]) -> None:
    """Print as JSON the peak memory of work beside its inputs and results, in batches, or null."""
    torch.set_num_threads(1)
    call, results, batch = work()
    grown = peak(call)
    print(json.dumps(None if grown is None else max(0.0, grown / batch - results)))


def applying() -> tuple[Callable[[], object], int, int]:
    """Work, how many batches its results are, and a batch's bytes."""
    augment, images = Augment("randaugment", seed=0), bundled().batch(256, 224)
    augment(images[:2])
    return partial(augment, images), 1, images.nbytes


def mixing() -> tuple[Callable[[], object], int, int]:
    """The same of a mixture."""
    given, few = (mixture.inputs(bundled().batch(count, 224)) for count in (32, 2))
    mixture.gradients(mixture.ours, few, few.images.detach().clone())
    upstream = given.images.detach().clone()
    return partial(mixture.gradients, mixture.ours, given, upstream), 2, upstream.nbytes


def peak(work: Callable[[], object]) -> int | None:
    """Bytes by which the process grows at most; None where the system does not say."""
    try:
        _CLEAR.write_text("5")  # the peak begins anew
    except OSError:
        return None
    before = _kilobytes("VmRSS")
    kept = work()
    grown = _kilobytes("VmHWM") - before
    del kept
    return 1024 * grown


def _kilobytes(field: str) -> int:
    lines = _STATUS.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))
