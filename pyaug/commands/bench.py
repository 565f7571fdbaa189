"""``pyaug bench``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from pyaug import bench
from pyaug.commands.parsing import parse

_C = TypeVar("_C")


@dataclass(frozen=True, kw_only=True)
class Bench(Generic[_C]):
    """Options of a benchmark."""

    benchmark: _C
    debug: bool = False
    """Show the traceback of an error."""


def main(arguments: Sequence[str]) -> None:
    """``pyaug bench``."""
    about = "Measure pyaug beside other libraries; exit code 1 where a row is below its line."
    options = parse(Bench[bench.Config], arguments, "bench", about)
    table = bench.bench(options.benchmark, say=partial(print, flush=True))
    print(*bench.summary(table), sep="\n", flush=True)
    if table.below:
        raise SystemExit(1)
