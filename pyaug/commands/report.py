"""``pyaug report``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyaug import report
from pyaug.commands.options import Source
from pyaug.commands.parsing import parse


@dataclass(frozen=True, kw_only=True)
class Report(Source):
    """Options of the report."""

    folder: Path
    """A search's or a training's run, or a folder with trainings in its sub-folders."""
    data: str | None = None
    """The run's data set, as pyaug train has it, whose images are shown; by default those of the
    last report."""
    debug: bool = False
    """Show the traceback of an error."""


def main(arguments: Sequence[str]) -> None:
    """``pyaug report``."""
    options = parse(Report, arguments, "report", "Write report.html of a run anew.")
    print(report.write(options.folder, data=options.load() if options.data else None))
