"""A run is a folder: what was asked for, what happened, and where to go on after a stop."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import platform
import random
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pyaug._native import info
from pyaug.errors import InputError
from pyaug.files import PARTIAL, write_whole
from pyaug.progress import progress

__all__ = [
    "Run",
    "alone",
    "capture_rng",
    "isolated_rng",
    "pick_device",
    "processes",
    "progress",
    "restore_rng",
]

_CONFIG, _LOG, _CHECKPOINT = "config.json", "log.jsonl", "checkpoint.pt"


class Run:
    """The folder of a run: `config.json`, `log.jsonl`, `checkpoint.pt`.

    Args:
        path: created where missing.
        config: a dataclass of numbers, strings, sequences and None.
        resume: go on in a folder that holds a run; where there is none, start one.
        inputs: what else decides the outcome (data set, policy), as JSON values.
        may_differ: fields of the config that a resumed run may change.

    Raises:
        InputError: a folder that holds something and `resume` is not set; one that cannot be
            written; one that holds no run, or a run of another config or of other inputs, when it
            is to be resumed.
    """

    def __init__(
        self,
        path: str | Path,
        config: Any,
        *,
        resume: bool = False,
        inputs: Mapping[str, Any] | None = None,
        may_differ: Sequence[str] = (),
    ):
        self.path = Path(path).expanduser()
        kind = f"{type(config).__module__}.{type(config).__qualname__}"
        facts = {"kind": kind, "config": dataclasses.asdict(config), "inputs": dict(inputs or {})}
        facts = json.loads(json.dumps(facts, default=str))
        try:
            self._open(facts, resume=resume, may_differ=may_differ)
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"{self.path}: cannot be used as a run folder ({reason})") from error

    def log(self, **values: Any) -> None:
        """Append a line to `log.jsonl` and flush it; numbers that are not finite become null."""
        self._log.write(json.dumps(_finite(values)).encode() + b"\n")
        self._log.flush()

    def save(self, state: dict[str, Any]) -> None:
        """Write `checkpoint.pt` atomically: it holds either the old state or the new one, whole.

        The state is of tensors, numbers, strings, None, and dicts, lists and tuples of them.
        A run resumed from here drops the log's lines after this point.
        """
        os.fsync(self._log.fileno())
        whole = {"state": state, "log_bytes": self._log.tell()}
        write_whole(self.path / _CHECKPOINT, lambda file: torch.save(whole, file))

    def load(self) -> dict[str, Any] | None:
        """The last state saved, its tensors on the CPU; None where none was.

        Raises:
            InputError: the file is damaged, or holds more than plain data.
        """
        whole = self._load()
        return None if whole is None else whole["state"]

    def close(self) -> None:
        """Close the log."""
        self._log.close()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, facts: dict[str, Any], *, resume: bool, may_differ: Sequence[str]) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        content = [p.name for p in self.path.iterdir() if not p.name.endswith(PARTIAL)]
        config = self.path / _CONFIG
        if content and not resume:
            raise InputError(f"{self.path}: expected an empty folder; --resume goes on in this one")
        if content and _CONFIG not in content:
            raise InputError(f"{self.path}: expected a run to resume, got no {_CONFIG}")
        if content:
            _check_same(config, facts, may_differ)
        else:
            circumstances = _circumstances(facts["config"].get("device"))
            text = json.dumps({**facts, **circumstances}, indent=2) + "\n"
            write_whole(config, text)
        whole = self._load()
        self._log = (self.path / _LOG).open("ab")
        kept = whole["log_bytes"] if whole else 0
        self._log.truncate(min(kept, self._log.tell()))
        self._log.seek(0, os.SEEK_END)

    def _load(self) -> dict[str, Any] | None:
        path = self.path / _CHECKPOINT
        if not path.exists():
            return None
        try:
            whole = torch.load(path, map_location="cpu", weights_only=True)
            return {"state": whole["state"], "log_bytes": whole["log_bytes"]}
        except Exception as error:  # torch.load has no error class of its own
            raise InputError(f"{path}: expected a checkpoint that pyaug wrote, whole") from error


def capture_rng() -> dict[str, Any]:
    """The state of Python's, NumPy's and torch's global generators, as `Run.save` takes it."""
    version, numbers, gauss = random.getstate()
    _, keys, place, has_gauss, cached = np.random.get_state()
    return {
        "python": [version, list(numbers), gauss],
        "numpy": [torch.from_numpy(keys.astype(np.int64)), int(place), int(has_gauss), cached],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
    }


def restore_rng(state: dict[str, Any]) -> None:
    """Set the global generators as `capture_rng` found them."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    keys, *rest = state["numpy"]
    np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"][: torch.cuda.device_count()])


@contextlib.contextmanager
def isolated_rng(seed: int) -> Iterator[None]:
    """Seed the global generators, and give the caller's states back at the end."""
    before, first = capture_rng(), torch.initial_seed()
    try:
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)
        yield
    finally:
        restore_rng(before)
        if not before["cuda"] and torch.cuda.is_initialized():  # by what was run
            torch.cuda.manual_seed_all(first)


def pick_device(name: str) -> torch.device:
    """A device by name: `auto` (CUDA where there is one), `cpu`, `cuda` or `cuda:N`.

    Raises:
        InputError: another name, or a device that this machine lacks.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (":" in name and not (kind == "cuda" and number.isdecimal())):
        raise InputError(f"device: expected auto, cpu, cuda or cuda:N, got {name!r}")
    if kind == "cuda" and not torch.cuda.is_available():
        raise InputError("cuda was asked for, but torch sees no CUDA device; use --device cpu")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise InputError(f"device: expected one of {torch.cuda.device_count()}, got {name}")
    return torch.device(name)


def processes() -> tuple[int, int]:
    """This process's rank among torchrun's, and how many they are; (0, 1) without it."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def alone(what: str) -> None:
    """Raise InputError where torchrun has started several processes for what is done by one."""
    if processes()[1] > 1:
        raise InputError(f"torchrun: expected one process for {what}, got {processes()[1]}")


def _check_same(path: Path, facts: dict[str, Any], may_differ: Sequence[str]) -> None:
    try:
        before = json.loads(path.read_text())
        kind, config, inputs = before["kind"], before["config"], before["inputs"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: expected a config that pyaug wrote") from error
    if kind != facts["kind"]:
        raise InputError(f"{path.parent}: expected a run of {facts['kind']}, got one of {kind}")
    for was, now in ((config, facts["config"]), (inputs, facts["inputs"])):
        for key in [*now, *was.keys() - now.keys()]:
            if key not in may_differ and was.get(key) != now.get(key):
                change = f"expected {key} = {was.get(key)!r} as before, got {now.get(key)!r}"
                raise InputError(f"{path.parent}: to resume, {change}")


def _circumstances(device: str | None) -> dict[str, Any]:
    """What repeating the run takes beside its options: versions, device, command, processes."""
    versions = {"pyaug": info()["pyaug"], "python": platform.python_version()}
    versions["torch"] = torch.__version__
    for library in ("numpy", "torchvision", "optuna"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[library] = metadata.version(library)
    return {
        "versions": versions,
        "device": _device_name(device) if device else "",
        "command": shlex.join(sys.orig_argv),
        "processes": processes()[1],
    }


def _device_name(device: str) -> str:
    picked = pick_device(device)
    if picked.type == "cuda":
        return torch.cuda.get_device_name(picked)
    return f"CPU, {info()['CPU kernels']}"


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return value
