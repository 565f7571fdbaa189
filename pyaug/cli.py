"""The command line: ``pyaug COMMAND``.

Exit codes: 0, done; 2, something in the input is wrong, and one line on stderr says what; 130,
interrupted; 1, an error that is pyaug's own. Commands with options are in :mod:`pyaug.commands`,
which needs ``pyaug[search]``; those here need nothing but the core.
"""

from __future__ import annotations

import os
import shlex
import sys
import traceback
import warnings
from collections.abc import Sequence
from importlib import import_module, metadata

from pyaug import policies
from pyaug._native import OPERATIONS, info
from pyaug.errors import InputError

SEARCHES = {
    "faster-aa": "pyaug.search.faster_aa",
    "ddas": "pyaug.search.ddas",
    "deep-aa": "pyaug.search.deep_aa",
    "aws": "pyaug.search.aws",
    "a2-aug": "pyaug.search.a2_aug",
    "fast-aa": "pyaug.search.fast_aa",
    "randaugment": "pyaug.search.randaugment",
}
"""The methods of `pyaug search`: each a module with a Config and a function `search`."""

COMMANDS = {
    "search": f"find a policy for a data set ({', '.join(SEARCHES)})",
    "train": "train a network, with a policy or without",
    "compare": "search and train with several methods and policies, and write one table",
    "bench": "measure pyaug beside other libraries",
    "preview": "draw what a policy or an operation does to images",
    "convert": "read and write policies as other libraries have them",
    "report": "write the report of a run anew",
    "policies": "list the policies that are known by name",
    "ops": "list the operations",
    "info": "say what is installed, built and loaded",
}
_EXTRA = ("tyro", "rich", "matplotlib", "jinja2", "optuna")
# Of these; the others need the report's too.
_NEEDED = dict.fromkeys(("preview", "bench"), ("tyro", "matplotlib")) | {"convert": ("tyro",)}
_RESUMED = ("search", "train", "compare")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in given
    arguments = [argument for argument in given if argument != "--debug"]
    try:
        with warnings.catch_warnings():
            if not debug:
                warnings.showwarning = _warn
            _dispatch(arguments)
        sys.stdout.flush()
        return 0
    except SystemExit as stop:  # tyro's, after --help
        return stop.code if isinstance(stop.code, int) else 0
    except BrokenPipeError:  # as in `pyaug ops | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            traceback.print_exc()
        code, line = _verdict(error, given)
        print(" ".join(line.split()), file=sys.stderr)
        return code


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    """A warning as one line, without the place in the source."""
    print(f"warning: {' '.join(str(message).split())}", file=sys.stderr)


def _verdict(error: BaseException, given: list[str]) -> tuple[int, str]:
    """The exit code of an error, and what to say."""
    if isinstance(error, InputError):
        return 2, f"error: {error}"
    if isinstance(error, KeyboardInterrupt):
        return 130, "interrupted" + _how_to_go_on(given)
    said = f"internal error: {str(error) or type(error).__name__}"
    return 1, said if "--debug" in given else f"{said}; run again with --debug"


def _dispatch(arguments: list[str]) -> None:
    name, *rest = arguments or ["--help"]
    if name in ("-h", "--help"):
        print(_overview())
    elif name == "--version":
        print(f"pyaug {info()['pyaug']}")
    elif name not in COMMANDS:
        kind = "option" if name.startswith("-") else "command"
        raise InputError(f"unknown {kind} {name!r}; known: {', '.join(COMMANDS)}")
    elif name in _PLAIN:
        _plain(name, rest)
    else:
        _need(name)
        import_module(f"pyaug.commands.{name}").main(rest)


def _plain(name: str, rest: list[str]) -> None:
    """A command without options."""
    if rest and rest[0] in ("-h", "--help"):
        print(f"usage: pyaug {name}\n\n{COMMANDS[name].capitalize()}.")
    elif rest:
        raise InputError(f"pyaug {name} takes no options, got {rest[0]!r}")
    else:
        print(_PLAIN[name]())


def _need(name: str) -> None:
    """Refuse, before any work, a command whose libraries are missing."""
    for library in _NEEDED.get(name, ("tyro", "matplotlib", "jinja2")):
        try:
            import_module(library)
        except ModuleNotFoundError as error:
            raise InputError(
                f'pyaug {name} needs {error.name}: pip install "pyaug[search]"'
            ) from error


def _how_to_go_on(given: list[str]) -> str:
    if given[:1] and given[0] in _RESUMED:
        resumed = given if "--resume" in given else [*given, "--resume"]
        return f"; to go on: {shlex.join(['pyaug', *resumed])}"
    return ""


def _overview() -> str:
    commands = "\n".join(f"  {name:9} {said}" for name, said in COMMANDS.items())
    return (
        "usage: pyaug COMMAND [OPTIONS]\n\n"
        "Finds the augmentation policy that suits a data set, and applies any policy.\n\n"
        f"commands:\n{commands}\n\n"
        "options:\n"
        "  --help    this text; after a command its options\n"
        "  --version pyaug's version\n"
        "  --debug   show the traceback of an error\n\n"
        "first steps:\n"
        "  pyaug preview --policy trivialaugment-wide photo.jpg\n"
        "  pyaug search faster-aa --model conv-small\n"
        "  pyaug train --policy runs/faster-aa/policy.json"
    )


def _policies() -> str:
    return _columns([(name, policies.summary(name)) for name in policies.names()])


def _ops() -> str:
    rows = [("operation", "magnitude", "identity", "what it does")]
    for row in OPERATIONS.values():
        magnitude = f"{row.unit}, {row.low:g} to {row.high:g}" if row.has_magnitude else ""
        identity = f"{row.identity:g}" if row.has_magnitude else ""
        rows.append((row.name, magnitude, identity, row.summary))
    return _columns(rows)


def _info() -> str:
    rows = list(info().items())
    for library in (*_EXTRA, "torchvision"):
        try:
            rows.append((library, metadata.version(library)))
        except metadata.PackageNotFoundError:
            extra = "vision" if library == "torchvision" else "search"
            rows.append((library, f'not installed: pip install "pyaug[{extra}]"'))
    return _columns(rows)


def _columns(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


_PLAIN = {"policies": _policies, "ops": _ops, "info": _info}
