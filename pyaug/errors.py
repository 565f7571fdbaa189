"""The one error that a user's input can cause."""

import sys
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
