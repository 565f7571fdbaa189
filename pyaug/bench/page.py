"""A benchmark's table as lines, as Markdown, as JSON and as plots."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from pyaug.bench.machine import FORCED
from pyaug.bench.table import COPY, OURS, Row, Table
from pyaug.files import write_whole
from pyaug.report import figures

_LEGEND = (
    "×: how many times as fast as the fastest library that draws for every image, or as what the "
    "row names. Better: what would be better still than the line. Of the copy's rate: a plain copy "
    "of the batch into another, in the same rounds, is 100%, for as many bytes read and written. "
    "Times are medians of interleaved rounds, each after half as many runs that are not timed; ± "
    "is half the distance between their quartiles."
)
_SIZED = re.compile(r"(.+), \d+ × 3×(\d+)×\2$")
_CSS = Path(figures.__file__).with_name("style.css")


def write(table: Table, folder: Path) -> None:
    """Write `bench_DEVICE` as .json, .md and plots into a folder."""
    gpu = table.facts["gpu"]
    name = "bench_" + (re.sub(r"[^a-z0-9]+", "_", gpu.lower()).strip("_") if gpu else "cpu")
    drawn = {"ratios": _ratios(table), "growth": _growth(table)}
    plots = {f"{name}_{what}.svg": _alone(svg) for what, svg in drawn.items() if svg}
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in {
        f"{name}.json": json.dumps(table.to_json(), indent=1) + "\n",
        f"{name}.md": markdown(table, list(plots)),
        **plots,
    }.items():
        write_whole(folder / file, text)


def said(row: Row) -> str:
    """A row as one line."""
    parts = [f"{row.group}: {row.title}: {_value(row)}"]
    parts += [f"against {row.fastest}"] if row.fastest else []
    parts += [_line(row)] if row.line else []
    parts += [f"{row.share:.0%} of the copy's rate"] if row.share else []
    parts += [row.note] if row.note else []
    parts += [f"{name} failed" for name in row.failures]
    return ("BELOW  " if row.holds is False else "       ") + "; ".join(parts)


def summary(table: Table) -> list[str]:
    """What to say at the end: what was missing, and which rows are below their lines."""
    lines = []
    if table.facts["missing"]:
        lines.append(f"not installed, so not compared: {', '.join(table.facts['missing'])}")
    measured = [row for row in table.rows if row.holds is not None]
    lines.append(f"{len(measured) - len(table.below)} of {len(measured)} rows reach their lines")
    lines += [f"below its line: {row.group}: {row.title}: {_value(row)}" for row in table.below]
    return lines


def markdown(table: Table, plots: list[str]) -> str:
    """The page: ratios first, then absolute figures, the machine beside them."""
    groups: dict[str, list[Row]] = {}
    for row in table.rows:
        groups.setdefault(row.group, []).append(row)
    lines = ["# pyaug beside other libraries", "", *(f"{line}  " for line in _about(table)), ""]
    lines += [*(f"![{plot}]({plot})" for plot in plots), "", _LEGEND, ""]
    for group, rows in groups.items():
        lines += [f"## {group}", "", *_ratio_table(rows), ""]
    lines += ["## Images a second", ""]
    for group, rows in groups.items():
        timed = [row for row in rows if row.timings]
        lines += [f"### {group}", "", *_rate_table(timed), ""] if timed else []
    for row in table.rows:
        shown = ", ".join(f"{count:g}: {1e3 * spent:.3g} ms" for count, spent in row.points)
        lines += [f"- Time a call {row.title}: {shown}."] if shown else []
    lines += [f"- {note}" for note in table.notes]
    failures = {f"{n} did not run: {why}" for row in table.rows for n, why in row.failures.items()}
    lines += [f"- {failure}" for failure in sorted(failures)]
    return "\n".join([*lines, "", "```", table.facts["command"], "```"]) + "\n"


def _about(table: Table) -> list[str]:
    f = table.facts
    forced = f"{FORCED}={f['forced']}" if f["forced"] else f"{FORCED} not set"
    images = "; ".join(f"{side}²: {about}" for side, about in f["images"].items())
    lines = [
        (f"{f['gpu']}; " if f["gpu"] else "") + f"{f['cpu']}, cores: {f['cores']}, one thread",
        f"CPU kernels: {f['kernels']} ({forced})",
        ", ".join(f"{name} {version}" for name, version in f["versions"].items()),
        f"{f['date']}, commit {f['commit']}",
        f"Images: {images}.",
    ]
    if f["missing"]:
        lines.append(f"Not installed, so not compared: {', '.join(f['missing'])}.")
    return lines


def _ratio_table(rows: list[Row]) -> list[str]:
    cells = [("", "measured", "line", "better", "against", "of the copy's rate", "")]
    cells.append(("---",) * len(cells[0]))
    for row in rows:
        value = f"**{_value(row)}, below its line**" if row.holds is False else _value(row)
        better = f"{row.line.stretch:g}" if row.line and row.line.stretch else "–"
        share = f"{row.share:.0%}" if row.share else "–"
        cells.append((row.title, value, _line(row), better, row.fastest or "–", share, row.note))
    return [f"| {' | '.join(row)} |" for row in cells]


def _rate_table(rows: list[Row]) -> list[str]:
    columns = list(dict.fromkeys(name for row in rows for name in row.timings))
    columns.sort(key=lambda name: (name != OURS, name != COPY))
    cells = [("", *columns), ("---",) * (1 + len(columns))]
    cells += [(row.title, *(_rate(row, name) for name in columns)) for row in rows]
    return [f"| {' | '.join(row)} |" for row in cells]


def _rate(row: Row, name: str) -> str:
    if name not in row.timings:
        return "–"
    timing = row.timings[name]
    return f"{float(f'{1 / timing.median:.3g}'):,.0f} ± {timing.spread / 2:.0%}"


def _value(row: Row) -> str:
    if row.value is None:
        return "not measured"
    digits = f"{row.value:.3g}" if row.value < 1000 else f"{row.value:,.0f}"
    return f"{digits} {row.unit}"


def _line(row: Row) -> str:
    if row.line is None:
        return "–"
    also = f", or {row.line.of_copy:.0%} of the copy's rate" if row.line.of_copy else ""
    return f"at {'most' if row.line.most else 'least'} {row.line.value:g}{also}"


# --- Plots ---------------------------------------------------------------------------------------


def _ratios(table: Table) -> str:
    """How many times as fast, by row and size, on a logarithmic axis; "" without any."""
    found: dict[str, dict[str, float]] = {}
    for row in table.rows:
        sized = _SIZED.match(row.title)
        if sized and row.unit == "×" and row.value:
            found.setdefault(sized[2], {})[sized[1]] = row.value
    if not found:
        return ""
    names = list(dict.fromkeys(name for values in found.values() for name in values))

    def paint(axes: Axes) -> None:
        axes.axvline(1, color=figures.SERIES[4], linewidth=1)
        for i, (side, values) in enumerate(found.items()):
            places = [names.index(name) for name in values]
            style = {"color": figures.SERIES[i], "marker": "os^D"[i % 4], "linestyle": "", "ms": 4}
            axes.plot(list(values.values()), places, label=f"{side} × {side}", **style)
        axes.set_yticks(range(len(names)), [textwrap.fill(name, 20) for name in names], fontsize=8)
        axes.invert_yaxis()
        axes.tick_params(axis="y", length=0)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(numticks=8))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=1, borderaxespad=0)
        axes.margins(y=0.02)
        axes.set_xlabel("times as fast as the fastest library")

    told = "; ".join(f"{name} {', '.join(_by_side(found, name))}" for name in names)
    label = f"Dots, times as fast as the fastest library: {told}."
    return figures.svg(paint, height=1.2 + 0.22 * len(names), label=label)


def _by_side(found: dict[str, dict[str, float]], name: str) -> list[str]:
    """A row's ratios in words."""
    return [f"{v[name]:.2g} at {side} × {side}" for side, v in found.items() if name in v]


def _growth(table: Table) -> str:
    """Time over what grows, both as shares of the largest; "" where it was not measured."""
    lines = []
    for row in table.rows:
        if row.points:
            counts, times = (
                [100 * v / max(of) for v in of] for of in zip(*row.points, strict=True)
            )
            about = row.title.partition(",")[0]
            axis = "% of the most images, pixels or steps"
            lines.append(figures.Line(about, counts, times, axis))
    return figures.curves(lines, "time, % of the longest", from_zero=True) if lines else ""


def _alone(drawn: str) -> str:
    """A report's figure as a file of its own, with the colours of its page."""
    colours = _CSS.read_text().partition("* {")[0]
    style = f"<style>{colours}svg {{ background: var(--paper); color: var(--ink); }}</style>"
    start = '<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" '
    return drawn.replace("<svg ", start, 1).replace(">", f">{style}", 1)
