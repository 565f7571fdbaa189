"""A comparison's table as a page, as Markdown and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from pyaug import words
from pyaug.compare import table as numbers
from pyaug.compare.table import Outcome, Table
from pyaug.files import write_whole
from pyaug.grids import Subject
from pyaug.report import curves, figures
from pyaug.report.page import environment, image_rows
from pyaug.report.policy_figures import Picture
from pyaug.report.runs import Group

_HEADER = ("column", "error", "spread", "n", "difference", "hours", "epoch")
_LEGEND = (
    "Error: test error of the last epoch in percent, the mean over n seeds; spread: the standard "
    "deviation over them. Difference: to the first column, seed by seed, in percentage points, ± "
    "the mean's standard error. Hours: device-hours of a search, its stages included. Epoch: the "
    "time of a training epoch as a multiple of the first column's."
)
_MARKERS = "os^Dv"


def write(table: Table, folder: Path, subjects: Sequence[Subject] = ()) -> None:
    """Write ``compare.html``, ``compare.md`` and ``compare.json``."""
    for name, text in {
        "compare.html": html(table, subjects),
        "compare.md": markdown(table),
        "compare.json": json.dumps(table.to_json(), indent=1) + "\n",
    }.items():
        write_whole(folder / name, text)


def html(table: Table, subjects: Sequence[Subject] = ()) -> str:
    """The page: one file that needs no network, in the report's style.

    ``subjects`` are images on which each column's policy is shown.
    """
    groups = [Group(o.name, list(o.trainings.values())) for o in table.outcomes if o.trainings]
    return (
        environment("pyaug.compare")
        .get_template("page.html")
        .render(
            table=table,
            title=_title(table),
            about=_about(table),
            header=_HEADER,
            legend=_LEGEND,
            rows=[_row(table, outcome) for outcome in table.outcomes],
            notes=_notes(table),
            pictures=_pictures([o for o in table.outcomes if o.errors]),
            columns=_shown(table, subjects),
            charts=curves.of_trainings(groups),
            searched=[o for o in table.outcomes if o.searches],
        )
    )


def _pictures(outcomes: Sequence[Outcome]) -> list[Picture]:
    """Errors by column and, where something was searched, against its cost."""
    if not outcomes:
        return []
    errors = {o.name: list(o.errors.values()) for o in outcomes}
    caption = "Test error of the last epoch, in percent: a dot for each seed, a bar at their mean."
    made = [Picture("Test error", Markup(figures.dots(errors, "test error, %")), caption)]
    if any(o.hours for o in outcomes):
        caption = (
            "Mean test error against the device-hours of a search, 0 where there is none; "
            "bars: the spread over the seeds."
        )
        made.append(Picture("Error and cost", Markup(_cost(outcomes)), caption))
    return made


def _shown(table: Table, subjects: Sequence[Subject]) -> list[dict[str, Any]]:
    """What each column's policy does, that of its first training, in words and on images."""
    shown = []
    for outcome in table.outcomes:
        policies = [r.policy for r in outcome.trainings.values() if r.policy]
        if policies and subjects:
            said = " ".join(words.sentences(policies[0]))
            rows = image_rows(policies[0], subjects)
            shown.append({"name": outcome.name, "said": said, "rows": rows})
    return shown


def markdown(table: Table) -> str:
    """The table with its notes."""
    lines = [f"# {_title(table)}", "", _about(table), "", *rows(table), "", _LEGEND, ""]
    lines += [*(f"- {line}" for line in _notes(table)), "", "```", table.facts["command"], "```"]
    return "\n".join(lines) + "\n"


def rows(table: Table) -> list[str]:
    """The table alone, as lines of Markdown."""
    cells = [_HEADER, ("---",) * len(_HEADER), *(_row(table, o) for o in table.outcomes)]
    return [f"| {' | '.join(row)} |" for row in cells]


def _title(table: Table) -> str:
    return f"Augmentations compared on {table.facts['data']}"


def _about(table: Table) -> str:
    f = table.facts
    seeds = "one seed" if f["seeds"] == 1 else f"{f['seeds']} seeds"
    return (
        f"{f['train_images']:,} training and {f['test_images']:,} test images; {f['model']}, "
        f"{f['epochs']} epochs, {seeds}; {f['device']}."
    )


def _row(table: Table, outcome: Outcome) -> tuple[str, ...]:
    """A column's numbers as text, in the header's order."""
    differences = table.differences(outcome)
    difference = _text(numbers.mean(differences), "+.2f")
    error = _text(numbers.standard_error(differences), ".2f", none="")
    return (
        outcome.name,
        _text(numbers.mean(outcome.errors), ".2f"),
        _text(numbers.spread(outcome.errors), ".2f"),
        str(len(outcome.errors)),
        f"{difference} ± {error}" if error else difference,
        _text(outcome.hours, ".3g"),
        _text(table.overhead(outcome), ".2f"),
    )


def _text(value: float | None, form: str, *, none: str = "–") -> str:
    return none if value is None else format(value, form).replace("-", "−")


def _notes(table: Table) -> list[str]:
    """What the numbers alone do not say."""
    notes = _compared(table)
    if table.facts["seeds"] < 2:
        notes.append("One seed: chance alone may make any of these differences.")
    for o in table.outcomes:
        if o.own_errors:
            error, spread = numbers.mean(o.own_errors), numbers.spread(o.own_errors)
            said = f"{error:.2f} %" + (f", spread {spread:.2f}" if spread is not None else "")
            notes.append(f"{o.name}: the search's own network has a test error of {said}.")
    return notes + [f"{cell} failed: {why}" for cell, why in table.failures.items()]


def _compared(table: Table) -> list[str]:
    """Which column has the lowest error, and which differ from the first by more than chance."""
    first, *others = table.outcomes
    means = {o.name: error for o in table.outcomes if (error := numbers.mean(o.errors)) is not None}
    if len(means) < 2:
        return []
    lowest = min(means, key=means.get)
    said = [f"Lowest mean test error: {lowest}, {means[lowest]:.2f} %."]
    found = {o.name: table.differences(o) for o in others}
    errors = {name: numbers.standard_error(values) for name, values in found.items()}
    known = [name for name, error in errors.items() if error is not None]
    clear = [name for name in known if abs(numbers.mean(found[name])) > 2 * errors[name]]
    if known:
        which = ", ".join(clear) or "none"
        said.append(f"Differences to {first.name} beyond twice their standard error: {which}.")
    return said


def _cost(outcomes: Sequence[Outcome]) -> str:
    """Mean test error against the cost of a search; what needs none stands at 0."""

    def paint(axes: Axes) -> None:
        costs = [o.hours or 0.0 for o in outcomes]
        for i, (o, cost) in enumerate(zip(outcomes, costs, strict=True)):
            colour = figures.SERIES[i % len(figures.SERIES)]
            marker = _MARKERS[i // len(figures.SERIES) % len(_MARKERS)]
            style = {"color": colour, "marker": marker, "linestyle": "", "capsize": 3}
            bar = numbers.spread(o.errors) or 0.0
            axes.errorbar(cost, numbers.mean(o.errors), bar, label=o.name, **style)
        positive = [cost for cost in costs if cost]
        if positive:
            axes.set_xscale("symlog", linthresh=min(positive), linscale=0.5)
            axes.xaxis.set_major_locator(FixedLocator(_ticks(min(positive), max(positive))))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        axes.margins(x=0.1)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, fontsize=9, borderaxespad=0)
        axes.set_xlabel("search, device-hours")
        axes.set_ylabel("test error, %")

    told = (
        f"{o.name} {figures.number(numbers.mean(o.errors))} at {figures.number(o.hours or 0.0)}"
        for o in outcomes
    )
    label = f"Dots, test error in % by device-hours of a search: {'; '.join(told)}."
    return figures.svg(paint, height=2.8 + 0.1 * len(outcomes), label=label)


def _ticks(low: float, high: float) -> list[float]:
    """0 and round numbers from a little below `low` to a little above `high`."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    digits = (1, 2, 5) if len(decades) < 5 else (1,)
    return [
        0.0,
        *(d * 10.0**k for k in decades for d in digits if low / 2.5 <= d * 10.0**k <= 2 * high),
    ]
