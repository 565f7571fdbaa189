"""Charts as SVG that takes its colours from the page, so that light and dark both suit it."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

_INK, _FAINT = "#010101", "#020202"  # stand for the page's colours until the SVG is written
SERIES = tuple(f"#0000{i:02x}" for i in range(1, 7))
_PAGE = {_INK: "currentColor", _FAINT: "var(--faint)"} | {
    colour: f"var(--series-{i})" for i, colour in enumerate(SERIES, 1)
}
_PLAINER = {  # what an SVG inside a page has no use for
    r'<svg [^>]*?(viewBox="[^"]*")[^>]*>': r'<svg \1 role="img">',
    r"<metadata>.*?</metadata>|<defs>\s*<style.*?</defs>": "",
    r' id="[a-z.0-9]+_\d+"': "",  # the same in every figure
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
    "svg.hashsalt": "pyaug",
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


def bars(values: Mapping[str, float], unit: str) -> str:
    """Horizontal bars, one for each name, in their order from above."""

    def paint(axes: Axes) -> None:
        names = list(values)
        drawn = axes.barh(names, list(values.values()), color=SERIES[0], height=0.7)
        axes.bar_label(drawn, fmt="%.2f", padding=3, fontsize=9)
        axes.invert_yaxis()
        axes.margins(x=0.14, y=0.01)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(unit)

    return svg(paint, height=0.8 + 0.24 * len(values))


def curves(lines: Sequence[Line], unit: str, *, from_zero: bool = False) -> str:
    """Lines over a count; a series of one point is shown as that point."""

    def paint(axes: Axes) -> None:
        labels = list(dict.fromkeys(line.label for line in lines))
        for line in lines:
            i = labels.index(line.label)
            style = {"color": SERIES[i % len(SERIES)], "linestyle": ["-", "--", ":"][i // 6 % 3]}
            marker = "o" if len(line.counts) == 1 else None
            first = line is next(other for other in lines if other.label == line.label)
            label = line.label if first and len(labels) > 1 else None
            axes.plot(line.counts, line.values, label=label, marker=marker, linewidth=1.5, **style)
        if len(labels) > 1:
            columns = 1 if max(map(len, labels)) > 20 else 2
            place = {"loc": "lower left", "bbox_to_anchor": (0, 1.0), "ncols": columns}
            axes.legend(**place, fontsize=9, borderaxespad=0, columnspacing=1.0)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        if from_zero:
            axes.set_ylim(bottom=0)
        axes.set_xlabel(lines[0].axis)
        axes.set_ylabel(unit)

    return svg(paint, height=2.7)


def dots(groups: Mapping[str, Sequence[float]], unit: str) -> str:
    """A row for each group: a dot for each value, a bar at their mean."""

    def paint(axes: Axes) -> None:
        for row, values in enumerate(groups.values()):
            colour = SERIES[row % len(SERIES)]
            axes.plot(values, [row] * len(values), "o", color=colour, markersize=6)
            mean = sum(values) / len(values)
            axes.plot([mean, mean], [row - 0.3, row + 0.3], color=_INK, linewidth=2)
        axes.set_yticks(range(len(groups)), [textwrap.fill(name, 20) for name in groups])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(groups) - 0.4, -0.6)
        axes.margins(x=0.1)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
        axes.set_xlabel(unit)

    return svg(paint, height=0.9 + 0.5 * len(groups))


def svg(paint: Callable[[Axes], Any], *, height: float) -> str:
    """What `paint` draws on axes of the report's style, in `SERIES` colours; height in inches."""
    with matplotlib.rc_context(_STYLE):
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
    return text
