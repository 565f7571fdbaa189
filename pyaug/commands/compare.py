"""``pyaug compare``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TypeVar

from pyaug import compare, train
from pyaug.cli import SEARCHES
from pyaug.commands.options import General
from pyaug.commands.parsing import Texts, parse
from pyaug.commands.search import wants_default
from pyaug.commands.train import label
from pyaug.errors import InputError
from pyaug.run import alone

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Compare(General):
    """Options of a comparison, with the trainings' own."""

    methods: Texts = ()
    """Searches, a column each (see pyaug search); NAME=METHOD names the column otherwise, so that
    a method may stand there several times. What deep-aa finds in several layers is trained without
    the default augmentation, which it holds itself."""
    policies: Texts = ("baseline", "random", "trivialaugment-wide")
    """Columns without a search, the first of which the others are compared with: baseline (the
    default augmentation alone), crop-flip (that without its cutout, which papers call baseline),
    none (no augmentation), random (of Faster AutoAugment's form, another for each seed: a control
    for searches), a policy's name or file; NAME=POLICY names the column otherwise."""
    search_options: Texts = ()
    """Options of searches as COLUMN.OPTION=VALUE, such as faster-aa.epochs=5; for the others see
    pyaug search METHOD --help."""
    training_options: Texts = ()
    """Options of a column's trainings that differ from the others', in the same form."""
    comparison: compare.Config
    training: train.Config


def main(arguments: Sequence[str]) -> None:
    """``pyaug compare``."""
    about = "Search with each method, train with what each found and with policies, and compare."
    options = parse(Compare, arguments, "compare", about)
    alone("compare")
    out, chosen = options.out or Path("runs/compare"), columns(options)
    how = {"run": out, "resume": options.resume, "say": partial(print, flush=True)}
    table = compare.compare(options.load(), chosen, options.comparison, **how)
    print(f"\n{(out / 'compare.md').read_text()}\ntable: {out / 'compare.html'}")
    if table.failures:
        first = next(iter(table.failures.items()))
        many = f"{len(table.failures)} cells failed, --resume tries them again; the first:"
        raise InputError(f"{many} {first[0]}: {first[1]}")


def columns(options: Compare) -> list[compare.Column]:
    """The columns that a comparison's options ask for, checked as far as no data are needed.

    Raises:
        InputError: an unknown method or policy; options of a column that is not there, that its
            Config lacks, or of another type.
    """
    said = {"search_options": options.search_options, "training_options": options.training_options}
    changes = {field: _by_column(pairs, field) for field, pairs in said.items()}

    def changed(config: _T, name: str, field: str) -> _T:
        return _changed(config, changes[field].pop(name, {}), f"{field}: {name}")

    chosen = []
    for name, what in map(_named, options.policies):
        training = changed(options.training, name, "training_options")
        chosen.append(compare.known(what, training, name=name))
    for name, what in map(_named, options.methods):
        if what not in SEARCHES:
            raise InputError(f"methods: expected some of {', '.join(SEARCHES)}, got {what!r}")
        method = import_module(SEARCHES[what])
        start = replace(method.Config(), device=options.training.device)
        search = changed(start, name, "search_options")
        default = options.training.default_augmentation and wants_default(method, search)
        training = replace(options.training, default_augmentation=default)
        training = changed(training, name, "training_options")
        chosen.append(compare.Column(name, training, method=method, options=search))
    for field, left in changes.items():
        for name in left:
            raise InputError(f"{field}: expected the name of a column of theirs, got {name!r}")
    return chosen


def _named(column: str) -> tuple[str, str]:
    """A column's name and what stands there, of `NAME=WHAT` or `WHAT` alone."""
    name, equals, what = column.partition("=")
    return (name, what) if equals else (label(column), column)


def _by_column(pairs: Sequence[str], field: str) -> dict[str, dict[str, str]]:
    """Of `COLUMN.OPTION=VALUE` the values, by column and option."""
    found: dict[str, dict[str, str]] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        column, dot, option = key.rpartition(".")
        if not (equals and dot):
            raise InputError(f"{field}: expected COLUMN.OPTION=VALUE, got {pair!r}")
        found.setdefault(column, {})[option.replace("-", "_")] = value
    return found


def _changed(config: _T, values: dict[str, str], where: str) -> _T:
    """A config with some of its options read from text, where several numbers have commas."""
    kinds = {field.name: str(field.type) for field in fields(config) if field.name != "seed"}
    for option, value in values.items():
        if option not in kinds:
            raise InputError(f"{where}: expected an option of {', '.join(kinds)}, got {option!r}")
        several = [value]
        if "tuple" in kinds[option]:
            several = value.split(",") if value else []
        words = [f"--{option.replace('_', '-')}", *several]
        try:
            config = parse(type(config), words, "compare", "", start=config)
        except InputError as error:
            raise InputError(f"{where}: {str(error).partition(' (see')[0]}") from error
    return config
