"""Charts as SVG that takes its colours from the page, so that light and dark both suit it.

Each says in its label, for those who cannot see it, what it shows.
"""

from __future__ import annotations

import io
import math
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

_INK, _FAINT = "#010101", "#020202"  # stand for the page's colours until the SVG is written
SERIES = tuple(f"#0000{i:02x}" for i in range(1, 7))
_PAGE = {_INK: "currentColor", _FAINT: "var(--faint)"} | {
    colour: f"var(--series-{i})" for i, colour in enumerate(SERIES, 1)
}
_PLAINER = {  # what an SVG inside a page has no use for
    r'<svg [^>]*?(viewBox="[^"]*")[^>]*>': r'<svg \1 role="img">',
    r"<metadata>.*?</metadata>|<defs>\s*<style.*?</defs>": "",
    r' id="[A-Za-z.0-9]+_\d+"': "",  # the same in every figure
    r"font-family: [^;\"]*;? ?": "",
    "xlink:href": "href",
}
_WIDTH = 4.3  # inches: at most as wide as a phone shows without shrinking the text
_STYLE = {
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.family": "sans-serif",
    "font.size": 10,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "text.color": _INK,
    "text.parse_math": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
}


@dataclass(frozen=True)
class Line:
    """A series over epochs or another count; lines of one label share a colour."""

    label: str
    counts: Sequence[float]
    values: Sequence[float]
    axis: str = "epoch"


@dataclass(frozen=True)
class Span:
    """An operation's magnitudes between two ends, in its unit.

    ``points`` are (magnitude, share of the operation's draws), ``ranges`` (low, high) where any
    value between is drawn; ``zero`` is the magnitude that changes nothing.
    """

    name: str
    unit: str
    zero: float
    points: Sequence[tuple[float, float]]
    ranges: Sequence[tuple[float, float]]

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the greatest of all these."""
        values = [
            self.zero,
            *(m for m, _ in self.points),
            *(m for pair in self.ranges for m in pair),
        ]
        return min(values), max(values)


def number(value: float) -> str:
    """A number as people write it: three digits, more where it is large."""
    text = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return text.replace("-", "−")


def bars(values: Mapping[str, float], unit: str) -> str:
    """Horizontal bars, one for each name, in their order from above."""

    def paint(axes: Axes) -> None:
        names = [_folded(name) for name in values]
        drawn = axes.barh(range(len(names)), list(values.values()), color=SERIES[0], height=0.7)
        axes.set_yticks(range(len(names)), names)
        axes.bar_label(drawn, fmt=f"%.{decimals}f", padding=3, fontsize=9)
        axes.invert_yaxis()
        axes.margins(x=0.14, y=0.01)
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
        axes.set_xlabel(unit)

    decimals = _decimals(values.values())
    told = ", ".join(f"{name} {value:.{decimals}f}" for name, value in values.items())
    rows = sum(1 + _folded(name).count("\n") for name in values)
    return svg(paint, height=0.8 + 0.24 * rows, label=f"Bars, {unit}: {told}.")


def _decimals(values: Iterable[float]) -> int:
    """So many that the largest value has three digits."""
    largest = max(values, default=0.0)
    return max(0, 2 - math.floor(math.log10(largest))) if largest > 0 else 0


def curves(lines: Sequence[Line], unit: str, *, from_zero: bool = False) -> str:
    """Lines over a count; a series of one point is shown as that point."""

    def paint(axes: Axes) -> None:
        labels = list(dict.fromkeys(line.label for line in lines))
        for line in lines:
            i = labels.index(line.label)
            style = {"color": SERIES[i % len(SERIES)], "linestyle": ["-", "--", ":"][i // 6 % 3]}
            marker = "o" if len(line.counts) == 1 else None
            first = line is next(other for other in lines if other.label == line.label)
            label = _folded(line.label, 40) if first and len(labels) > 1 else None
            axes.plot(line.counts, line.values, label=label, marker=marker, linewidth=1.5, **style)
        if len(labels) > 1:
            columns = 1 if max(map(len, labels)) > 20 else 2
            place = {"loc": "lower left", "bbox_to_anchor": (0, 1.0), "ncols": columns}
            axes.legend(**place, fontsize=9, borderaxespad=0, columnspacing=1.0)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        axes.ticklabel_format(axis="y", useOffset=False)
        counts = {count for line in lines for count in line.counts}
        if len(counts) == 1:
            (only,) = counts
            axes.set_xlim(only - 1, only + 1)
        if from_zero:
            axes.set_ylim(bottom=0)
        axes.set_xlabel(lines[0].axis)
        axes.set_ylabel(unit)

    told = "; ".join(f"{line.label} {_course(line)}".strip() for line in lines)
    return svg(paint, height=2.7, label=f"Curves, {unit} by {lines[0].axis}: {told}.")


def _course(line: Line) -> str:
    """A series in words."""
    first, last = (f"{number(line.values[i])} at {number(line.counts[i])}" for i in (0, -1))
    return first if len(line.values) == 1 else f"from {first} to {last}"


def dots(groups: Mapping[str, Sequence[float]], unit: str) -> str:
    """A row for each group: a dot for each value, a bar at their mean."""

    def paint(axes: Axes) -> None:
        for row, values in enumerate(groups.values()):
            colour = SERIES[row % len(SERIES)]
            axes.plot(values, [row] * len(values), "o", color=colour, markersize=6)
            mean = sum(values) / len(values)
            axes.plot([mean, mean], [row - 0.3, row + 0.3], color=_INK, linewidth=2)
        axes.set_yticks(range(len(groups)), [_folded(name) for name in groups])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(groups) - 0.4, -0.6)
        axes.margins(x=0.1)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
        axes.set_xlabel(unit)

    told = "; ".join(f"{name} {', '.join(map(number, vs))}" for name, vs in groups.items())
    return svg(paint, height=0.9 + 0.5 * len(groups), label=f"Dots, {unit}: {told}.")


def tiles(rows: Mapping[str, Sequence[float]], columns: Sequence[str], axis: str, unit: str) -> str:
    """A square for every value from 0 to 1, the fuller in colour the greater; none for 0.

    Args:
        rows: values by the row's name, one for each column.
        columns: their names; neighbours of one name share its label.
        axis: what the columns are.
        unit: what the values are.
    """
    starts = [i for i, name in enumerate(columns) if i == 0 or name != columns[i - 1]]
    ends = [*starts[1:], len(columns)]
    written = len(columns) <= _WRITTEN

    def paint(axes: Axes) -> None:
        for y, values in enumerate(rows.values()):
            for x, value in enumerate(values):
                if value:
                    axes.add_patch(_tile(x, y, value, width=0.35 if written else 0.9))
                if value and written:
                    axes.text(x - 0.05, y, f"{value:.0%}", va="center", fontsize=9)
        for start in starts[1:]:
            axes.axvline(start - 0.5, color=_FAINT, linewidth=0.4)
        axes.set_xlim(-0.5, max(len(columns), _WRITTEN) - 0.5)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_yticks(range(len(rows)), list(rows))
        middles = [(a + b - 1) / 2 for a, b in zip(starts, ends, strict=True)]
        every = -(-len(starts) // _LABELS)
        axes.set_xticks(middles[::every], [columns[i] for i in starts[::every]])
        axes.tick_params(length=0)
        handles = [Patch(color=SERIES[0], alpha=_opacity(v), lw=0, label=f"{v:.0%}") for v in _KEY]
        place = {"loc": "lower left", "bbox_to_anchor": (0, 1.0), "ncols": len(_KEY)}
        look = {"fontsize": 9, "title_fontsize": 9, "borderaxespad": 0, "columnspacing": 1.0}
        axes.legend(handles=handles, title=unit, **place, **look, alignment="left")
        axes.set_xlabel(axis)

    highest = {name: max(values, default=0.0) for name, values in rows.items()}
    told = ", ".join(f"{name} {value:.0%}" for name, value in highest.items())
    label = f"Squares, {unit}, {len(columns)} columns; the highest of each row: {told}."
    return svg(paint, height=1.3 + 0.24 * len(rows), label=label)


_WRITTEN = 4  # columns: so few leave room for the numbers
_LABELS = 13  # of columns have room
_KEY = (0.05, 0.25, 0.5, 1.0)


def _opacity(value: float) -> float:
    return 0.06 + 0.94 * min(value, 1.0)


def _tile(x: float, y: float, value: float, *, width: float) -> Rectangle:
    look = {"color": SERIES[0], "alpha": _opacity(value), "lw": 0}
    return Rectangle((x - 0.45, y - 0.42), width, 0.84, **look)


def spans(rows: Sequence[Span]) -> str:
    """A row for each operation, from the least to the greatest magnitude that it is given.

    A dot for each magnitude, the larger the more it is drawn, a bar where any value between is
    drawn, a small line at the magnitude that changes nothing; the ends stand beside the row.
    """

    def paint(axes: Axes) -> None:
        for y, row in enumerate(rows):
            low, high = row.ends
            width = (high - low) or 1.0
            place = {m: (m - low) / width for m in (low, high, row.zero)}
            axes.plot([0, 1], [y, y], color=_FAINT, linewidth=0.6)
            axes.plot([place[row.zero]] * 2, [y - 0.3, y + 0.3], color=_FAINT, linewidth=1.2)
            for a, b in row.ranges:
                across = [(a - low) / width, (b - low) / width]
                axes.plot(across, [y, y], color=SERIES[0], linewidth=4, alpha=0.5)
            at = [(m - low) / width for m, _ in row.points]
            sizes = [6 + 80 * share for _, share in row.points]
            axes.scatter(at, [y] * len(at), s=sizes, color=SERIES[0], alpha=0.7, linewidths=0)
        axes.set_xlim(-0.06, 1.06)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_yticks(range(len(rows)), [row.name for row in rows])
        axes.tick_params(length=0)
        axes.set_xticks([0, 1], ["least", "greatest"])
        right = axes.secondary_yaxis("right")
        right.set_yticks(range(len(rows)), [_between(row) for row in rows], fontsize=9)
        right.tick_params(length=0)
        right.spines[:].set_visible(False)
        axes.set_xlabel("magnitude")

    told = "; ".join(f"{row.name} {_between(row)}" for row in rows)
    return svg(paint, height=0.8 + 0.26 * len(rows), label=f"Magnitudes: {told}.")


def _between(row: Span) -> str:
    ends = dict.fromkeys(map(number, row.ends))
    return f"{' to '.join(ends)} {row.unit}"


def _folded(name: str, width: int = 20) -> str:
    """A name on as many lines as it takes, at most three."""
    return textwrap.fill(name, width, max_lines=3, placeholder=" …")


def svg(paint: Callable[[Axes], Any], *, height: float, label: str) -> str:
    """What `paint` draws on axes of the report's style, in `SERIES` colours.

    Args:
        paint: draws.
        height: in inches.
        label: what is seen there, for those who do not see it.
    """
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": label}):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        paint(figure.subplots())
        out = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(out, format="svg", transparent=True, metadata=nothing)
    text = out.getvalue()
    text = text[text.index("<svg") :]
    for pattern, instead in _PLAINER.items():
        text = re.sub(pattern, instead, text, flags=re.DOTALL)
    for colour, of_page in _PAGE.items():
        text = text.replace(colour, of_page)
    return text.replace(' role="img"', f' role="img" aria-label="{escape(label)}"', 1)
