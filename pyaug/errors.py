"""The one error that a user's input can cause, and checks of numbers."""

import dataclasses
import math
import sys
from collections.abc import Mapping
from numbers import Real
from typing import Any


class InputError(ValueError):
    """What was given is not what was expected.

    The message is one line: what came, where, and what was expected instead. The command line
    prints it and exits with 2.
    """


def finite_number(value: Any, field: str) -> float:
    """The value as a float; InputError if it is no number, NaN or infinite."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not abs(value) <= sys.float_info.max:  # not: NaN compares as false
        raise InputError(f"{field}: expected a finite number, got {value!r}")
    return float(value)


def whole_number(value: Any, low: int, high: int | None, field: str) -> int:
    """The value; InputError if it is no whole number in the range, None for no end."""
    number = isinstance(value, int) and not isinstance(value, bool)
    if not number or value < low or (high is not None and value > high):
        bound = f"from {low} on" if high is None else f"from {low} to {high}"
        raise InputError(f"{field}: expected a whole number {bound}, got {value!r}")
    return value


AT_LEAST_0 = (0, True, math.inf)
AT_LEAST_1 = (1, True, math.inf)
ABOVE_0 = (0, False, math.inf)
SHARE = (0, True, 1)
"""0 or more, less than 1."""
SEED = (0, True, 2**32)


def check_ranges(config: Any, ranges: Mapping[str, tuple[float, bool, float]]) -> None:
    """Check a dataclass of options; None passes.

    Args:
        config: the dataclass.
        ranges: for a field, its smallest value, whether that itself is allowed, and what lies
            above all values.

    Raises:
        InputError: the first field out of its range, or with a fraction where its type is int.
    """
    whole = {f.name for f in dataclasses.fields(config) if "int" in str(f.type)}
    for field, (low, included, high) in ranges.items():
        value = getattr(config, field)
        if value is None:
            continue
        kind = "whole number" if field in whole else "number"
        if not isinstance(value, Real) or (field in whole and not float(value).is_integer()):
            raise InputError(f"{field}: expected a {kind}, got {value!r}")
        if not (low < value < high or (included and value == low)):
            bound = f"{'at least' if included else 'more than'} {low}"
            above = f", less than {high}" if high < math.inf else ""
            raise InputError(f"{field}: expected {bound}{above}, got {value}")
