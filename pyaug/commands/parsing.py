"""Typed dataclasses from the words of a command line, by tyro."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import tyro

from pyaug.errors import InputError

_T = TypeVar("_T")
Texts = Annotated[tuple[str, ...], tyro.conf.arg(metavar="[TEXT ...]")]
"""Any number of words."""


def parse(
    options: type[_T],
    arguments: Sequence[str],
    command: str,
    about: str,
    *,
    start: _T | None = None,
) -> _T:
    """Options from the command line; what tyro refuses becomes an InputError.

    With `start`, these are its changes: what is not said stays, and True or False follows a switch.
    """
    others = {} if start is None else {"default": start}
    switches = tyro.conf.FlagCreatePairsOff if start is None else tyro.conf.FlagConversionOff
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(
                options,
                args=list(arguments),
                prog=f"pyaug {command}",
                description=about,
                config=(
                    tyro.conf.OmitArgPrefixes,
                    tyro.conf.PositionalRequiredArgs,
                    switches,
                ),
                registry=_numbers,
                **others,
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        raise InputError(f"{_complaint(said.getvalue())} (see pyaug {command} --help)") from None


def _complaint(box: str) -> str:
    """The first paragraph of tyro's box below its title, on one line."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", box)
    lines = [line.strip("│|╭╮╰╯+ ") for line in plain.splitlines()[1:]]
    rules = [not line.strip("─━-") for line in lines]
    start = rules.index(False) if False in rules else 0
    end = rules.index(True, start) if True in rules[start:] else len(lines)
    said = " ".join(lines[start:end]).removeprefix("Error parsing ").rstrip(".")
    # Options of two values are two numbers, in _PLAIN.
    few = r"Missing value for argument '([^']+)'\. Expected 2 values"
    return re.sub(few, r"\1: expected two numbers, got fewer", said) or "unreadable options"


_numbers = tyro.constructors.ConstructorRegistry()
_PLAIN = {  # what it is called in the help and in errors
    int: ("INT", "a whole number"),
    float: ("FLOAT", "a number"),
    str: ("TEXT", "text"),
    Path: ("PATH", "a path"),
    tuple[float, ...]: ("[FLOAT ...]", "numbers"),
    tuple[float, float]: ("FLOAT FLOAT", "two numbers"),
    tuple[Path, ...]: ("PATH ...", "paths"),
}


@_numbers.primitive_rule
def _plain(info: Any) -> Any:
    """These types, and these or None: help and errors without tyro's type algebra."""
    union = get_origin(info.type) in (Union, UnionType)
    wanted = [t for t in (get_args(info.type) if union else [info.type]) if t is not type(None)]
    if len(wanted) != 1 or wanted[0] not in _PLAIN:
        return None
    kind = wanted[0]
    metavar, expected = _PLAIN[kind]
    several = get_origin(kind) is tuple
    count: Any = len(get_args(kind)) if several and ... not in get_args(kind) else "*"

    def read(words: list[str]) -> Any:
        try:
            return tuple(map(get_args(kind)[0], words)) if several else kind(words[0])
        except ValueError:
            raise ValueError(f"expected {expected}, got {' '.join(words)!r}") from None

    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=count if several else 1,
        metavar=metavar,
        instance_from_str=read,
        is_instance=lambda value: value is None or isinstance(value, tuple if several else kind),
        str_from_instance=lambda value: (
            ["None"] if value is None else [str(v) for v in (value if several else [value])]
        ),
    )
