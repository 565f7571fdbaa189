"""The README says what the native table says."""

from pathlib import Path

from pyaug._native import OPERATIONS

README = Path(__file__).parents[1] / "README.md"
SHORT = {"exact": "exact", "straight-through": "through", "none": "–"}


def table():
    """The operation table as Markdown; paste it where the test fails."""
    rows = ["| operation | magnitude | gradients | what it does |", "|---|---|---|---|"]
    for o in OPERATIONS.values():
        range_ = f"{o.unit}, {o.low:g} to {o.high:g}" if o.has_magnitude else "–"
        gradients = f"{SHORT[o.image_gradient]} / {SHORT[o.magnitude_gradient]}"
        rows.append(f"| `{o.name}` | {range_} | {gradients} | {o.summary} |")
    return "\n".join(rows)


def test_the_operation_table_is_the_native_one():
    assert table() in README.read_text(), f"expected in README.md:\n{table()}"
