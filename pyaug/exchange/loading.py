"""A policy of any known kind, recognised by its content."""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path
from typing import Any

from pyaug import policies, policy_json
from pyaug.errors import InputError
from pyaug.exchange import fast_autoaugment, kornia
from pyaug.exchange.albumentations import from_albumentations
from pyaug.exchange.arrays import from_ddas, from_deep_aa
from pyaug.exchange.pba import from_pba
from pyaug.exchange.scales import Imported, is_list, literal, pairs_of_triples, placed, read_text
from pyaug.exchange.timm import from_timm
from pyaug.policy import Policy

_TIMM = re.compile(r"(rand|augmix|v0r?|originalr?|3a)(-.*)?")


def load(
    source: str | Path,
    *,
    epochs: int | None = None,
    function: str | None = None,
    leave_out: bool = False,
) -> Imported:
    """Read a policy: a file of any kind that this package reads, a timm string, or a known name.

    Args:
        source: a path; or a string such as ``rand-m9-mstd0.5-inc1``; or a name, as ``pyaug
            policies`` lists them.
        epochs: see :func:`from_pba`; PBA's files need it.
        function: see :func:`from_fast_autoaugment`; its ``archive.py`` needs it.
        leave_out: see :func:`from_albumentations`.

    Raises:
        InputError: none of these, or more than one; what the kind's own function refuses.
    """
    if not isinstance(source, str | Path):
        raise InputError(f"source: expected a path or a string, got {type(source).__name__}")
    path = Path(os.path.expanduser(source))
    if not os.path.exists(path):  # pathlib's own raises where a name is too long
        if source in policies.names():
            return Imported(policies.get(source))
        if isinstance(source, str) and _TIMM.fullmatch(source):
            return from_timm(source)
        raise InputError(
            f"source: expected a file, a known policy's name or a timm string, got {str(source)!r}"
        )
    start = _start(path)
    if start.startswith(b"PK"):
        return _archive(path)
    if start.startswith(b"\x93NUMPY"):
        return from_ddas(path)
    text = read_text(path)
    if text.lstrip().startswith("["):
        return _lists(path, text, epochs)
    if text.lstrip().startswith("{"):
        return _object(path, text, leave_out)
    return fast_autoaugment.from_fast_autoaugment(path, function=function)


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(6)
    except OSError as error:
        raise InputError(f"{path}: cannot read it: {error}") from None


def _archive(path: Path) -> Imported:
    """By its arrays' names."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist()}
    except Exception as error:  # zipfile has many of its own
        raise InputError(f"{path}: cannot read it: {error}") from None
    if "policy_probs" in names:
        return from_deep_aa(path)
    if "dis_ps" in names:
        return from_ddas(path)
    raise InputError(
        f"{path}: expected an .npz with policy_probs (DeepAA) or dis_ps (DDAS), got "
        f"{', '.join(sorted(names)) or 'nothing'}"
    )


def _object(path: Path, text: str, leave_out: bool) -> Imported:
    """By its keys."""
    with placed(str(path)):
        data = literal(text)
        if isinstance(data, dict) and "transform" in data:
            return from_albumentations(data, leave_out=leave_out)
        if isinstance(data, dict) and data.get("format") == policy_json.FORMAT:
            return Imported(Policy.from_json(data))
        raise InputError("expected pyaug's policy (format) or Albumentations' (transform)")


def _lists(path: Path, text: str, epochs: int | None) -> Imported:
    """By the lines' length, or by the first operation's name."""
    first = text.strip().splitlines()[0]
    if _is_update(first):
        if epochs is None:
            raise InputError(f"{path}: epochs: PBA's schedule needs the epochs of its search")
        return from_pba(path, epochs=epochs)
    with placed(str(path)):
        data = literal(text)
        names = {name for _, triples in pairs_of_triples(data) for name, _, _ in triples}
        if names <= kornia.NAMES:
            return kornia.from_kornia(data)
        if names <= fast_autoaugment.SCALES.keys():
            return fast_autoaugment.from_fast_autoaugment(data)
        known = sorted({*kornia.NAMES, *fast_autoaugment.SCALES})
        strange = sorted(names - set(known))
        raise InputError(
            f"unknown operation {strange[0]!r}; known: {', '.join(known)}"
            if strange
            else "expected either Kornia's names or Fast AutoAugment's, got both"
        )


def _is_update(line: str) -> bool:
    """Whether a line is one of PBA's log."""
    try:
        update: Any = literal(line)
    except InputError:
        return False
    return is_list(update) and len(update) == 6 and isinstance(update[2], int)
