"""The rows of a benchmark: what was measured, and the line it has to reach."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pyaug.bench.measure import Call, Timing, Watch

OURS, COPY = "pyaug", "copy"
"""The columns of pyaug's own call and of the plain copy of the batch."""


@dataclass(frozen=True)
class Line:
    """What a row's value has to reach, and what would be better still."""

    value: float
    stretch: float | None = None
    most: bool = False
    """Whether the value may be at most that, not at least."""
    of_copy: float | None = None
    """This share of the copy's rate is enough as well, however fast a peer is."""


@dataclass
class Row:
    """One line of the table."""

    group: str
    title: str
    unit: str = "×"
    """Of the value: "×" is a ratio, how many times as fast."""
    line: Line | None = None
    value: float | None = None
    """None: not measured, and the note says why."""
    fastest: str = ""
    """The column that the ratio is to, or what else it is to."""
    note: str = ""
    timings: dict[str, Timing] = field(default_factory=dict)
    """Seconds an image, by column."""
    floor: float | None = None
    """Seconds an image that the copy takes to move as many bytes."""
    points: list[tuple[float, float]] = field(default_factory=list)
    """(count, seconds), where it is about growth."""
    failures: dict[str, str] = field(default_factory=dict)
    """Peers that did not run, and why."""

    @property
    def share(self) -> float | None:
        """What it reaches of the copy's rate."""
        return None if self.floor is None else self.floor / self.timings[OURS].median

    @property
    def holds(self) -> bool | None:
        """Whether it reaches its line; None where it has none or was not measured."""
        if self.line is None or self.value is None:
            return None
        if self.line.most:
            return self.value <= self.line.value
        copies = None not in (self.line.of_copy, self.share) and self.share >= self.line.of_copy
        return self.value >= self.line.value or copies

    def ratio(self, column: str) -> float:
        """How many times as fast as a column pyaug is."""
        return self.timings[column].median / self.timings[OURS].median

    def compare(self, columns: Iterable[str]) -> None:
        """Let the value be the ratio to the fastest of these columns that were timed."""
        timed = [column for column in columns if column in self.timings]
        if timed:
            self.fastest = min(timed, key=self.ratio)
            self.value = self.ratio(self.fastest)
        else:
            self.note = "no peer to compare with"

    def to_json(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {**asdict(self), "share": self.share, "holds": self.holds}


Rows = Iterator[tuple[Row, Callable[[Row, Watch], None]]]
"""Rows without their values, and what measures each: it is not called for a row nobody asked for,
and before the next row is made."""


def race(
    row: Row,
    watch: Watch,
    ours: Call,
    *,
    copy: Call,
    peers: Mapping[str, Call],
    others: Mapping[str, Call] | None = None,
    moved: float = 1.0,
) -> None:
    """Time calls that do the same work on the same images into a row.

    Args:
        row: gets the timings, the floor, and the ratio to the fastest peer.
        watch: how to time, and which peers are not worth it.
        ours: pyaug's.
        copy: a plain copy of the batch into another, whose bandwidth makes the floor.
        peers: those that the line is about: each image by a draw or magnitude of its own.
        others: those that are only shown.
        moved: bytes that the work reads and writes, over those of the copy.
    """
    theirs, second = {**peers, **(others or {})}, {}
    for name, call in theirs.items():
        try:
            call.run()
            second[name] = watch.spent(call, 1) / call.items
        except Exception as error:  # a library that breaks must not lose the others
            row.failures[name] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    fastest = min((seconds for name, seconds in second.items() if name in peers), default=math.inf)
    near = {name: theirs[name] for name, s in second.items() if s <= watch.hopeless * fastest}
    row.timings = watch.interleave({OURS: ours, COPY: copy, **near})
    row.floor = moved * row.timings[COPY].median
    row.compare(peers)


@dataclass
class Table:
    """All rows, with where and how they were measured."""

    facts: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    """What to know of the peers."""

    @property
    def below(self) -> list[Row]:
        """The rows that do not reach their lines."""
        return [row for row in self.rows if row.holds is False]

    def to_json(self) -> dict[str, Any]:
        """All of it as plain data."""
        rows = [row.to_json() for row in self.rows]
        return {"facts": self.facts, "notes": self.notes, "rows": rows}
