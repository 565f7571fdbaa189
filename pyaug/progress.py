"""How far a run is, and how long it will take."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Protocol, TextIO


class Progress(Protocol):
    """What `progress` yields."""

    def advance(self, steps: int = 1, **shown: float | str) -> None:
        """So many steps further; `shown` values stand beside the bar until replaced."""

    def say(self, line: str) -> None:
        """Print a line above the bar."""


@contextlib.contextmanager
def progress(
    title: str, total: int, *, done: int = 0, stream: TextIO | None = None
) -> Iterator[Progress]:
    """Show live progress with an estimate of the time left; within another progress, nothing.

    A bar of rich where that is installed and `stream` (default: stderr) is a terminal; otherwise
    a plain line every ten seconds and at the end. `done` of the `total` steps lie in an earlier
    part of the run, and do not count for the estimate.
    """
    global _shown
    if _shown:
        yield _Silent()
        return
    stream = stream or sys.stderr
    bar = _rich_bar(title, total, done, stream) if stream.isatty() else None
    _shown = True
    try:
        if bar is None:
            lines = _Plain(title, total, done, stream)
            yield lines
            lines.show()
        else:
            with bar.live:
                yield bar
    finally:
        _shown = False


_shown = False


class _Silent:
    def advance(self, steps: int = 1, **shown: float | str) -> None:
        pass

    def say(self, line: str) -> None:
        pass


def duration(seconds: float) -> str:
    """Seconds as `4 s`, `3:07 min` or `2:05 h`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02} h"


class _Steps:
    """Counts steps, and says what is left."""

    def __init__(self, title: str, total: int, done: int):
        self.title, self.total, self.done, self.before = title, total, done, done
        self.began = time.monotonic()
        self.shown: dict[str, float | str] = {}

    def count(self, steps: int, shown: dict[str, float | str]) -> None:
        self.done += steps
        self.shown.update(shown)

    def left(self) -> str:
        here = self.done - self.before
        if not here:
            return "? left"
        pace = (time.monotonic() - self.began) / here
        return f"{duration(pace * (self.total - self.done))} left"

    def values(self) -> str:
        parts = (
            f"{k.replace('_', ' ')} {v:.4g}" if isinstance(v, float) else f"{k} {v}"
            for k, v in self.shown.items()
        )
        return ", ".join(parts)


class _Plain:
    EVERY = 10.0  # seconds

    def __init__(self, title: str, total: int, done: int, stream: TextIO):
        self.steps, self.stream = _Steps(title, total, done), stream
        self.last = time.monotonic()

    def advance(self, steps: int = 1, **shown: float | str) -> None:
        self.steps.count(steps, shown)
        if time.monotonic() - self.last >= self.EVERY:
            self.show()

    def show(self) -> None:
        self.last = time.monotonic()
        s = self.steps
        parts = [f"{s.title} {s.done}/{s.total}", s.left(), s.values()]
        self.say(", ".join(part for part in parts if part))

    def say(self, line: str) -> None:
        print(line, file=self.stream, flush=True)


def _rich_bar(title: str, total: int, done: int, stream: TextIO) -> _Rich | None:
    try:
        return _Rich(title, total, done, stream)
    except ModuleNotFoundError:
        return None


class _Rich:
    def __init__(self, title: str, total: int, done: int, stream: TextIO):
        from rich import progress as rich
        from rich.console import Console

        self.steps = _Steps(title, total, done)
        columns = ("{task.description}", rich.BarColumn(), rich.MofNCompleteColumn())
        texts = ("{task.fields[left]}", "{task.fields[values]}")
        self.live = rich.Progress(*columns, *texts, console=Console(file=stream))
        self.task = self.live.add_task(title, total=total, completed=done, left="", values="")

    def advance(self, steps: int = 1, **shown: float | str) -> None:
        self.steps.count(steps, shown)
        texts = {"left": self.steps.left(), "values": self.steps.values()}
        self.live.update(self.task, completed=self.steps.done, **texts)

    def say(self, line: str) -> None:
        self.live.console.print(line, highlight=False, markup=False)
