"""The one error that a user's input can cause."""

import math
from typing import Any


class InputError(ValueError):
    """What was given is not what was expected.

    The message is one line: what came, where, and what was expected instead. The command line
    prints it and exits with 2.
    """


def finite_number(value: Any, field: str) -> float:
    """The value as a float; InputError if it is no number, NaN or infinite."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{field}: expected a finite number, got {value!r}")
    return float(value)
