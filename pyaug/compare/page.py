"""A comparison's table as a page, as Markdown and as JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from pyaug.compare import table as numbers
from pyaug.compare.table import Outcome, Table
from pyaug.files import write_whole
from pyaug.progress import duration
from pyaug.report import figures

_HEADER = ("column", "error", "spread", "n", "difference", "hours", "epoch")
_LEGEND = (
    "Error: test error of the last epoch in percent, the mean over n seeds; spread: the standard "
    "deviation over them. Difference: to the first column, seed by seed, in percentage points, ± "
    "the mean's standard error. Hours: device-hours of a search, its stages included. Epoch: the "
    "time of a training epoch as a multiple of the first column's."
)
_MARKERS = "os^Dv"


def write(table: Table, folder: Path) -> None:
    """Write ``compare.html``, ``compare.md`` and ``compare.json``."""
    for name, text in {
        "compare.html": html(table),
        "compare.md": markdown(table),
        "compare.json": json.dumps(table.to_json(), indent=1) + "\n",
    }.items():
        write_whole(folder / name, text)


def html(table: Table) -> str:
    """The page: one file that needs no network, in the report's style."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(f"pyaug.{p}", ".") for p in ("compare", "report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = duration
    drawn = [o for o in table.outcomes if o.errors]
    return environment.get_template("page.html").render(
        table=table,
        title=_title(table),
        about=_about(table),
        header=_HEADER,
        legend=_LEGEND,
        rows=[_row(table, outcome) for outcome in table.outcomes],
        notes=_notes(table),
        figure=Markup(_picture(drawn)) if drawn else "",
        searched=[o for o in table.outcomes if o.searches],
    )


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
    notes = []
    if table.facts["seeds"] < 2:
        notes.append("One seed: chance alone may make any of these differences.")
    for o in table.outcomes:
        if o.own_errors:
            error, spread = numbers.mean(o.own_errors), numbers.spread(o.own_errors)
            said = f"{error:.2f} %" + (f", spread {spread:.2f}" if spread is not None else "")
            notes.append(f"{o.name}: the search's own network has a test error of {said}.")
    return notes + [f"{cell} failed: {why}" for cell, why in table.failures.items()]


def _picture(outcomes: list[Outcome]) -> str:
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

    return figures.svg(paint, height=2.8 + 0.1 * len(outcomes))


def _ticks(low: float, high: float) -> list[float]:
    """0 and round numbers from `low` to a little above `high`."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    digits = (1, 2, 5) if len(decades) < 5 else (1,)
    return [0.0, *(d * 10.0**k for k in decades for d in digits if low <= d * 10.0**k <= 2 * high)]
