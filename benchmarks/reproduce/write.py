"""Writes README.md of this folder: what the papers say, how to get it, and what came out here.

    python benchmarks/reproduce/write.py [RUN …]

Each RUN is the folder of a comparison that has ended; its results are kept in results/ first, with
the commit that is checked out: check out the one that it ran at.
"""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

from comparisons import COMPARISONS, command
from tables import TABLES, Row, Table

HERE = Path(__file__).parent
RESULTS, README = HERE / "results", HERE / "README.md"

_OPENING = """\
# The papers' tables

*Written by `python benchmarks/reproduce/write.py`; a test holds that it is up to date.*

Below each row of a paper's table stands what came out here, where it was run: the mean over the
seeds, their standard deviation, and how many they are; hours are of the device that the comparison
names. Errors are of the last epoch. `pyaug compare` names two columns otherwise than papers do:
`crop-flip` is their baseline, `baseline` has the cutout too.

A `pyaug compare` that stopped goes on with `--resume`, a script by itself. Commands with
`runs/reproduce/…/policy.json` train with policies that an earlier comparison has found. `--data
cifar10` downloads the images with torchvision's help; a file `cifar10.npz` of `images`, `labels`,
`val_images` and `val_labels` will do as well, and gets the same recipe by its name. ImageNet must
be there (`--root`). Columns of the papers that could not be read are left out.
"""


def readme() -> str:
    """The page."""
    results = {path.stem: json.loads(path.read_text()) for path in RESULTS.glob("*.json")}
    lines = [_OPENING]
    for paper, tables in groupby(TABLES, lambda table: table.paper):
        lines += [f"## {paper}", ""]
        for table in tables:
            lines += [f"### {table.number}", "", table.about, ""]
            lines += [*_table(table, results), "", *([table.note, ""] if table.note else [])]
    lines += ["## The comparisons", ""]
    for name in COMPARISONS:
        lines += [
            f"### {name}",
            "",
            "```",
            command(name),
            "```",
            "",
            *_result(results.get(name)),
            "",
        ]
    return "\n".join(lines).rstrip() + "\n"


def here(result: dict[str, Any], name: str, measure: str) -> str:
    """What came out of a comparison's column, as text; "" where nothing did.

    Args:
        result: as compare.json has it.
        name: the column's; with `!` at its end, the searches' own network is meant.
        measure: see `Table`.
    """
    columns = {column["name"]: column for column in result["columns"]}
    column = columns.get(name.removesuffix("!"), {})
    if measure in ("hours", "correlation"):
        value = column.get({"hours": "search_hours"}.get(measure, measure))
        return "" if value is None else f"{value:.3g}"
    own = "own_network_" if name.endswith("!") else ""
    error, spread = column.get(f"{own}test_error"), column.get(f"{own}spread")
    if error is None:
        return ""
    value = f"{100 - error if measure == 'accuracy' else error:.2f}"
    return value if spread is None else f"{value} ± {spread:.2f} ({len(column[f'{own}errors'])})"


def keep(run: Path) -> Path:
    """Copy a comparison's results to results/, with the commit; return where to."""
    found = json.loads((run / "compare.json").read_text())
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{run.name}.json"
    path.write_text(json.dumps({"commit": commit(), **found}, indent=1) + "\n")
    return path


def commit() -> str:
    """The commit that is checked out."""
    asked = ["git", "-C", str(HERE), "rev-parse", "--short", "HEAD"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


def _table(table: Table, results: dict[str, Any]) -> list[str]:
    units = {"error": "test error, %", "accuracy": "accuracy, %", "hours": "GPU hours"}
    unit = table.unit or units.get(table.measure, table.measure)
    header = [unit, *table.columns, "comparison"]
    lines = [header, ["---"] * len(header)]
    for row in table.rows:
        link = f"[{row.comparison}](#{row.comparison})" if row.comparison else "none"
        lines.append([row.name, *(f.replace("-", "–") for f in row.figures.split()), link])
        if row.comparison in results:
            lines.append(["*here*", *_came_out(table, row, results[row.comparison]), ""])
    return [f"| {' | '.join(line)} |" for line in lines]


def _came_out(table: Table, row: Row, result: dict[str, Any]) -> list[str]:
    names = [row.columns.get(name, name) for name in table.columns.values()]
    return [here(result, name, table.measure) if name else "" for name in names]


def _result(result: dict[str, Any] | None) -> list[str]:
    """All that came out of a comparison."""
    if result is None:
        return ["Not run yet."]
    seeds = "one seed" if result["seeds"] == 1 else f"{result['seeds']} seeds"
    lines = [f"Run on {result['device']}, {seeds}, at commit {result['commit']}.", ""]
    if "test_error" not in result["columns"][0]:
        return lines
    lines += ["| column | test error, % | difference to the first | search, h | epoch, s |"]
    lines += ["| --- | --- | --- | --- | --- |"]
    for column in result["columns"]:
        name, error = column["name"], column["difference_standard_error"]
        difference = _text(column["difference"], "+.2f")
        difference += "" if error is None else f" ± {error:.2f}"
        hours, epoch = _text(column["search_hours"], ".3g"), _text(column["epoch_seconds"], ".3g")
        cells = [name, here(result, name, "error"), difference, hours, epoch]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _text(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form).replace("-", "−")


if __name__ == "__main__":
    for run in sys.argv[1:]:
        print(keep(Path(run)))
    README.write_text(readme(), encoding="utf-8")
    print(README)
