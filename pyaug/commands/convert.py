"""``pyaug convert``."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import tyro

from pyaug import exchange
from pyaug.commands.parsing import parse
from pyaug.errors import InputError
from pyaug.exchange import Imported
from pyaug.files import write_whole

Target = Literal["pyaug", "torchvision", "albumentations", "kornia", "timm"]


@dataclass(frozen=True, kw_only=True)
class Convert:
    """Options of the conversion."""

    source: tyro.conf.Positional[str]
    """A policy's name (see pyaug policies); a timm string such as rand-m9-mstd0.5-inc1; or a file:
    pyaug's policy.json, Albumentations' JSON (AutoAlbument's), Kornia's or Fast AutoAugment's
    lists, a PBA schedule, DeepAA's or DDAS's .npz. Nothing in it is executed."""
    to: Target = "pyaug"
    """What to write: pyaug's JSON, torchvision v2 code, Albumentations' JSON, Kornia's list as
    JSON, or a timm string."""
    out: Path | None = None
    """The file, which is replaced; by default it is printed."""
    epochs: int | None = None
    """Epochs of the search that a PBA schedule is of: 200 for rcifar10_16_wrn, 160 for
    rsvhn_16_wrn."""
    function: str | None = None
    """The function of Fast AutoAugment's archive.py, such as fa_reduced_cifar10."""
    at: float | None = None
    """Of a policy that changes over training, as DDAS finds it, the one of this fraction of it:
    1 is the last."""
    leave_out: bool = False
    """Apply nothing in place of operations that Albumentations has and pyaug has not, or that pyaug
    has and the target has not; each is named on stderr."""
    debug: bool = False
    """Show the traceback of an error."""


def main(arguments: Sequence[str]) -> None:
    """``pyaug convert``."""
    about = "Read a policy of another library or paper, and write it as pyaug or a library has it."
    options = parse(Convert, arguments, "convert", about)
    if options.out is not None:
        _check_path(options.out)
    imported = exchange.load(
        options.source,
        epochs=options.epochs,
        function=options.function,
        leave_out=options.leave_out,
    )
    if options.at is not None:
        if not 0 <= options.at <= 1:
            raise InputError(f"at: expected 0 to 1, got {options.at}")
        imported = replace(imported, policy=imported.policy.at(options.at))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        text = _WRITERS[options.to](imported, options.leave_out)
    for remark in (*imported.remarks, *(each.message for each in told)):
        print(f"not exactly the source's: {remark}", file=sys.stderr)
    if options.to == "pyaug" and imported.options:  # which a policy file does not hold
        beside = ", ".join(f"{name}={value!r}" for name, value in imported.options.items())
        print(f"to draw the source's pixels: pyaug.Augment(policy, {beside})", file=sys.stderr)
    if options.out is None:
        print(text, end="")
        return
    write_whole(options.out, text)
    print(options.out)


def _check_path(path: Path) -> None:
    """Refuse, before any work, a file that cannot be written."""
    if path.is_dir():
        raise InputError(f"out: expected a file, got the folder {path}")
    if not path.parent.is_dir():
        raise InputError(f"out: expected a folder that is there, got {path.parent}")


def _json(data: Any) -> str:
    return json.dumps(data, indent=1) + "\n"


_WRITERS: dict[str, Callable[[Imported, bool], str]] = {
    "pyaug": lambda i, _: _json(i.policy.to_json()),
    "torchvision": lambda i, leave_out: exchange.to_torchvision(
        i.policy, **i.options, leave_out=leave_out
    ),
    "albumentations": lambda i, leave_out: _json(
        exchange.to_albumentations(i.policy, **i.options, leave_out=leave_out)
    ),
    "kornia": lambda i, leave_out: _json(exchange.to_kornia(i.policy, leave_out=leave_out)),
    "timm": lambda i, leave_out: exchange.to_timm(i.policy, leave_out=leave_out) + "\n",
}
