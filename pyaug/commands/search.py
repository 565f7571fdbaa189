"""``pyaug search METHOD``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

from pyaug import report, words
from pyaug.cli import SEARCHES
from pyaug.commands.options import General
from pyaug.commands.parsing import parse
from pyaug.errors import InputError
from pyaug.run import processes

_C = TypeVar("_C")


@dataclass(frozen=True, kw_only=True)
class Search(General, Generic[_C]):
    """Options of a search, with the method's own."""

    method: _C


def main(arguments: Sequence[str]) -> None:
    """``pyaug search METHOD``."""
    name, *rest = arguments or ["--help"]
    if name in ("-h", "--help"):
        lines = [f"  {name:11}  {_first_line(import_module(m))}" for name, m in SEARCHES.items()]
        print("usage: pyaug search METHOD [OPTIONS]\n\nmethods:\n" + "\n".join(lines))
        return
    if name not in SEARCHES:
        raise InputError(f"search: expected one of {', '.join(SEARCHES)}, got {name!r}")
    module = import_module(SEARCHES[name])
    options = parse(Search[module.Config], rest, f"search {name}", _first_line(module))
    out = options.out or Path("runs") / name
    data = options.load()
    policy = module.search(data, options.method, run=out, resume=options.resume)
    if processes()[0]:
        return
    page = report.write(out, data=data)
    print(*words.sentences(policy), sep="\n")
    if policy.marginals().keys() <= {"identity"}:
        print("Nothing was found that is better than the images as they are.")
    elif not wants_default(module, options.method):
        print("It holds crop, flip and cutout itself: pyaug train --no-default-augmentation")
    print(f"policy: {out / 'policy.json'}\nreport: {page}")


def wants_default(method: ModuleType, config: Any) -> bool:
    """Whether a network is to be trained with the default augmentation after a method's policy."""
    return getattr(method, "wants_default_augmentation", lambda config: True)(config)


def _first_line(module: ModuleType) -> str:
    return (module.__doc__ or "").splitlines()[0]
