"""What a folder of runs holds: a search, trainings, or both."""

from __future__ import annotations

import json
import re
import shlex
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyaug.errors import InputError
from pyaug.policy import Policy

_SEARCH = re.compile(r"pyaug\.search\.(\w+)\.Config")
_TRAINING = "pyaug.train.config.Config"
AXES = ("epoch", "trial", "iteration", "round")
"""What a line of the log may be counted in; the first that is there."""
# These leave two trainings comparable.
_ASIDE = {"seed", "device", "workers", "bf16", "compile", "deterministic"}


@dataclass(frozen=True)
class Record:
    """One run, as its files have it."""

    path: Path
    kind: str
    config: dict[str, Any]
    inputs: dict[str, Any]
    versions: dict[str, str]
    command: str
    log: list[dict[str, Any]]
    policy: Policy | None
    stages: dict[str, float] = field(default_factory=dict)
    """Seconds of what a search trained before and between its rounds, by folder."""
    device: str = ""
    """What it ran on, in words; empty where that was not recorded."""
    processes: int = 1
    """How many torchrun had started."""

    @property
    def method(self) -> str:
        """The search's name on the command line; empty for a training."""
        match = _SEARCH.fullmatch(self.kind)
        return match[1].replace("_", "-") if match else ""

    @property
    def finished(self) -> bool:
        """Whether a search has its policy, or every epoch of a training is in the log."""
        if self.method:
            return self.policy is not None
        return bool(self.log) and self.log[-1].get("epoch") == self.config.get("epochs")

    @property
    def again(self) -> str:
        """The command that makes the run from nothing, as one types it; empty for none."""
        command = short(self.command)
        if self.processes > 1 and command.startswith("pyaug "):
            return f"torchrun --nproc-per-node {self.processes} -m {command}"
        return command

    @property
    def seconds(self) -> float:
        """What its epochs and stages took, those before a stop too."""
        return _seconds(self.log) + sum(self.stages.values())

    @property
    def parts(self) -> dict[str, float]:
        """A search's device time by part, in seconds."""
        spent: dict[str, float] = {}
        for line in self.log:
            for part, seconds in (line.get("parts") or {}).items():
                spent[part] = spent.get(part, 0.0) + seconds
        return spent

    @property
    def axis(self) -> str:
        """What the log's lines are counted in."""
        return next((axis for axis in AXES if self.log and axis in self.log[-1]), "epoch")

    def series(self, key: str, name: str | None = None) -> tuple[list[int], list[float]]:
        """Epochs and a key's values, or those of one name within it; what is no number is left out.

        Where a log is not counted in epochs, its own count (`axis`).
        """
        pairs = []
        for i, line in enumerate(self.log):
            value = line.get(key)
            value = value.get(name, 0.0) if name is not None and isinstance(value, dict) else value
            if isinstance(value, int | float):
                pairs.append((line.get(self.axis, i + 1), float(value)))
        return [count for count, _ in pairs], [value for _, value in pairs]


@dataclass(frozen=True)
class Group:
    """Trainings that differ in the seed only."""

    label: str
    records: list[Record]

    @property
    def baseline(self) -> bool:
        """Whether these were trained without a policy."""
        return self.records[0].inputs.get("policy") is None

    @property
    def errors(self) -> dict[int, float]:
        """The test error in percent at the end, by seed; unfinished trainings are left out."""
        done = [r for r in self.records if r.finished]
        return {r.config["seed"]: r.log[-1]["test_error"] for r in done}

    @property
    def mean(self) -> float | None:
        """The mean test error over the seeds, in percent."""
        return statistics.fmean(self.errors.values()) if self.errors else None

    @property
    def spread(self) -> float | None:
        """The sample standard deviation over the seeds; None for fewer than two."""
        return statistics.stdev(self.errors.values()) if len(self.errors) > 1 else None


@dataclass(frozen=True)
class Story:
    """What a report tells: at most one search, and trainings by group, the baseline first."""

    folder: Path
    search: Record | None
    groups: list[Group] = field(default_factory=list)

    @property
    def records(self) -> list[Record]:
        """Every run."""
        trainings = [record for group in self.groups for record in group.records]
        return ([self.search] if self.search else []) + trainings


def read(folder: str | Path) -> Story:
    """Read the run of a folder, and the trainings in its sub-folders.

    Raises:
        InputError: no run there, a file that is damaged, or nothing to tell yet.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise InputError(f"{folder}: expected the folder of a run, got none")
    own = _record(folder) if (folder / "config.json").exists() else None
    below = sorted(path.parent for path in folder.glob("*/config.json"))
    records = ([own] if own else []) + [_record(path) for path in below]
    trainings = [r for r in records if r.kind == _TRAINING]
    search = own if own and own.method else None
    if search is None and not trainings:
        raise InputError(f"{folder}: expected a run's config.json, or folders of trainings")
    if search and not search.log:
        raise InputError(f"{folder}: no round of the search has ended yet; see --resume")
    if search is None and not any(r.log for r in trainings):
        raise InputError(f"{folder}: no epoch of the training has ended yet; see --resume")
    return Story(folder, search, _groups([r for r in trainings if r.log]))


def short(command: str) -> str:
    """A recorded command as one types it: without the interpreter, its path and --resume."""
    words = shlex.split(command)
    for i, word in enumerate(words):
        if Path(word).name == "pyaug" or (word == "-m" and words[i + 1 : i + 2] == ["pyaug"]):
            rest = words[i + (2 if word == "-m" else 1) :]
            return shlex.join(["pyaug", *(word for word in rest if word != "--resume")])
        if word.endswith(".py"):
            return shlex.join(["python", *words[i:]])
    return command


def _record(path: Path) -> Record:
    config = path / "config.json"
    try:
        facts = json.loads(config.read_text())
        texts = facts["kind"], facts["config"], facts["inputs"]
        policy = path / "policy.json"
        return Record(
            path,
            *texts,
            versions=facts.get("versions", {}),
            command=facts.get("command", ""),
            log=_log(path / "log.jsonl"),
            policy=Policy.load(policy) if policy.exists() else None,
            stages={
                str(log.parent.relative_to(path / "stages")): _seconds(_log(log))
                for log in sorted((path / "stages").glob("**/log.jsonl"))
            },
            device=facts.get("device", ""),
            processes=facts.get("processes", 1),
        )
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{config}: expected a config that pyaug wrote") from error


def _seconds(log: list[dict[str, Any]]) -> float:
    return sum(line.get("seconds") or 0.0 for line in log)


def _log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log; a last one that a kill cut short is left out."""
    if not path.exists():
        return []
    lines = path.read_text().splitlines()
    made = []
    for i, line in enumerate(lines):
        try:
            made.append(json.loads(line))
        except ValueError as error:
            if i < len(lines) - 1:
                raise InputError(f"{path}, line {i + 1}: expected JSON") from error
    return made


def _groups(trainings: Sequence[Record]) -> list[Group]:
    by_setting: dict[str, list[Record]] = {}
    for record in trainings:
        setting = {k: v for k, v in record.config.items() if k not in _ASIDE}
        data = record.inputs.get("data")
        key = json.dumps([record.inputs.get("policy"), data, setting], sort_keys=True)
        by_setting.setdefault(key, []).append(record)
    groups = [Group(label, records) for label, records in _labelled(list(by_setting.values()))]
    return sorted(groups, key=lambda group: not group.baseline)


def _labelled(groups: list[list[Record]]) -> list[tuple[str, list[Record]]]:
    """Names for groups: the policy's and, where settings differ between them, these."""
    settings = [{**g[0].config, "data": g[0].inputs.get("data")} for g in groups]
    differing = [
        key
        for key in (settings[0] if settings else ())
        if key not in _ASIDE and any(s.get(key) != settings[0][key] for s in settings)
    ]
    labelled = []
    for records, setting in zip(groups, settings, strict=True):
        policy = records[0].policy
        name = (policy.name or "unnamed policy") if policy else "without a policy"
        extra = [f"{key.replace('_', ' ')} {setting.get(key)}" for key in differing]
        labelled.append((", ".join([name, *extra]), records))
    names = [label for label, _ in labelled]
    return [
        (f"{label} ({r[0].inputs['policy'][:6]})" if names.count(label) > 1 else label, r)
        for label, r in labelled
    ]
