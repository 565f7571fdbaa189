"""What was logged, over time: as pictures, each with what the table of charts says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from markupsafe import Markup

from pyaug.report import charts, figures
from pyaug.report.charts import Chart
from pyaug.report.figures import Line
from pyaug.report.policy_figures import Picture
from pyaug.report.runs import AXES, Group, Record


def of_search(search: Record) -> list[Picture]:
    """A search's log as its method plots it; what no chart knows is drawn plainly."""
    told = (charts.MARGINALS, *charts.SEARCHES.get(search.method, ()))
    known = {key for chart in told for key in chart.keys} | {*AXES, "seconds", "parts"}
    others = {key: None for line in search.log for key in line if key not in known}
    plain = [
        Chart(key.replace("_", " ").capitalize(), key.replace("_", " "), "As logged.", {key: ""})
        for key in others
    ]
    made = []
    for chart in (*told, *plain):
        lines = [line for key in chart.keys for line in _lines(search, key, chart)]
        made += _picture(chart, lines)
    return made


def of_trainings(groups: Sequence[Group]) -> list[Picture]:
    """Errors, losses and learning rates of trainings, a colour for each group."""
    made = []
    for chart in charts.TRAINING:
        (key,) = chart.keys
        series = [(g.label, *r.series(key)) for g in groups for r in g.records]
        several = " One line for each seed." if any(len(g.records) > 1 for g in groups) else ""
        captioned = replace(chart, caption=chart.caption + several)
        made += _picture(captioned, [Line(*line) for line in series])
    return made


def _lines(search: Record, key: str, chart: Chart) -> list[Line]:
    """A key's series, or one for each name where its values are named numbers."""
    families = [line[key] for line in search.log if isinstance(line.get(key), dict)]
    if not families:
        return [Line(chart.keys[key], *search.series(key), search.axis)]
    last, sign = families[-1], 1 if chart.lowest else -1
    leading = sorted(last, key=lambda name: sign * (last[name] or 0.0))[: charts.LEADING]
    return [Line(name, *search.series(key, name), search.axis) for name in leading]


def _picture(chart: Chart, lines: Sequence[Line]) -> list[Picture]:
    """The chart, or nothing where nothing was logged."""
    lines = [line for line in lines if line.values]
    if not lines:
        return []
    svg = figures.curves(lines, chart.unit, from_zero=chart.from_zero)
    return [Picture(chart.title, Markup(svg), chart.caption)]
