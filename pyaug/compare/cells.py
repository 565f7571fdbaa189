"""The cells of a comparison, a search or a training each, in folders of their own."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import torch

from pyaug import grids, train
from pyaug.compare.columns import Column
from pyaug.compare.table import Outcome, Table
from pyaug.data import DataSet, stratified_subset
from pyaug.errors import AT_LEAST_1, InputError, check_ranges
from pyaug.policy import Policy
from pyaug.progress import duration
from pyaug.report import runs
from pyaug.run import Run
from pyaug.search.engine import rehearsal
from pyaug.train.config import complete
from pyaug.train.network import settled

_ASIDE = {"device", "workers"}  # a finished cell may have had others
_SHOWN = 2  # images, in the page


@dataclass(frozen=True)
class Config:
    """Options of a comparison."""

    seeds: int = 3
    """How often each column is trained, with seeds from --seed on."""
    images: int | None = None
    """So many training images, every class in its share, others for each seed; by default all. The
    columns of a seed share them, and its searches see no others."""
    searches: Literal["one", "each"] | None = None
    """One search a method, with the first seed, or one for each seed. By default each with
    --images, for a policy that was searched on other images than it is trained with knows more
    than the rest do; else one, and then the spread is that of the trainings alone."""


def compare(
    data: DataSet,
    columns: Sequence[Column],
    config: Config | None = None,
    *,
    run: str | Path,
    resume: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Table:
    """Search and train every column with every seed, and write what came out.

    The folder gets a run `search-COLUMN-SEED` or `train-COLUMN-SEED` for each cell and, anew after
    each, `compare.html`, `compare.md` and `compare.json`. A cell that fails is told there and in
    `Table.failures`, and the others go on.

    Args:
        data: searched and trained on its train part, evaluated on its test part.
        columns: the others are compared with the first.
        config: options.
        run: the folder.
        resume: go on there. Finished cells are read, not run again; other columns and another
            number of seeds than before are welcome.
        say: is told a line about each cell once it has ended.

    Raises:
        InputError: an option out of its range, columns without names or of one name, trainings
            that cannot be, before any work; a folder that holds something and `resume` is not
            set, or another comparison.
    """
    config = config or Config()
    columns = [_settled(column, data) for column in columns]
    cells = _Cells(data, columns, config, Path(run).expanduser())
    about = {"data": data.name}
    about |= {"train": data.train.fingerprint(), "test": data.test.fingerprint()}
    with Run(run, config, resume=resume, inputs=about, may_differ=("seeds",)) as folder:

        def log(**facts: Any) -> None:
            folder.log(**facts)
            folder.save({})  # so that the line is still there after a resume

        cells.table.facts |= _circumstances(folder.path)
        for seed in cells.seeds:
            for column in columns:
                if column.method is not None and cells.search_seed(seed) == seed:
                    say(cells.attempt(cells.search, column, seed, log=log))
            for column in columns:
                say(cells.attempt(cells.train, column, seed, log=log))
    return cells.table


class _Cells:
    """The cells, and the table of those that are done."""

    def __init__(self, data: DataSet, columns: Sequence[Column], config: Config, folder: Path):
        _check(columns, config)
        self.config, self.folder = config, folder
        first = columns[0].training.seed
        self.seeds = range(first, first + config.seeds)
        self.subjects = grids.from_data(data, _SHOWN)
        self.data = lru_cache(1)(lambda seed: _subset(data, config.images, seed))
        trainings = [complete(column.training, self.data(first)) for column in columns]
        for column in columns:
            complete(replace(column.training, seed=self.seeds[-1]), self.data(first))
            if column.method is not None:
                with rehearsal():
                    options = replace(column.options, seed=first)
                    column.method.search(self.data(first), options, run=None)
        self.outcomes = {column.name: Outcome(column.name) for column in columns}
        facts = _facts(self.data(first), trainings[0], config)
        self.table = Table(facts, list(self.outcomes.values()))

    def search_seed(self, seed: int) -> int:
        """The seed of the search whose policy a seed's training gets."""
        searches = self.config.searches or ("each" if self.config.images else "one")
        return seed if searches == "each" else self.seeds[0]

    def attempt(
        self,
        work: Callable[[Column, int], str],
        column: Column,
        seed: int,
        *,
        log: Callable[..., None],
    ) -> str:
        """Do a cell, or note why it failed, and write the table anew; return what is to be said."""
        from pyaug.compare import page  # needs what the core does without

        cell, began = f"{work.__name__}-{column.name}-{seed}", time.monotonic()
        facts = {}
        try:
            said = work(column, seed)
        except Exception as error:  # a cell must not lose the others
            known = isinstance(error, InputError)
            line = " ".join(str(error).split()) or type(error).__name__
            facts["error"] = line if known else f"internal error: {line}"
            facts |= {} if known else {"traceback": traceback.format_exc()}
            self.outcomes[column.name].failures[cell] = facts["error"]
            said = f"failed: {facts['error']}"
        log(cell=cell, seconds=time.monotonic() - began, **facts)
        page.write(self.table, self.folder, self.subjects)
        return f"{cell}: {said}"

    def search(self, column: Column, seed: int) -> str:
        """The cell of a search."""
        path = self.folder / f"search-{column.name}-{seed}"
        config, data = replace(column.options, seed=seed), self.data(seed)
        full = getattr(column.method, "completed", lambda config, data: config)(config, data)
        ended = (path / "policy.json").exists()
        if not (ended and _same(runs.read(path).search.config, full, aside=_ASIDE)):
            column.method.search(data, config, run=path, resume=True)
        record = self.outcomes[column.name].searches[seed] = runs.read(path).search
        return duration(record.seconds)

    def train(self, column: Column, seed: int) -> str:
        """The cell of a training; nothing where its search failed."""
        path = self.folder / f"train-{column.name}-{seed}"
        outcome, data = self.outcomes[column.name], self.data(seed)
        if column.method is None:
            policy = column.policy(data, seed)
        elif self.search_seed(seed) in outcome.searches:
            policy = outcome.searches[self.search_seed(seed)].policy
        else:
            return "waits for its search"
        config = complete(replace(column.training, seed=seed), data)
        aside = _ASIDE if column.training.bf16 is not None else {*_ASIDE, "bf16"}  # by device
        if not _trained(path, config, policy, aside=aside):
            train.train(data, config, run=path, resume=True, policy=policy)
        outcome.trainings[seed] = runs.read(path).groups[0].records[0]
        return f"test error {outcome.errors[seed]:.2f} %"


def _settled(column: Column, data: DataSet) -> Column:
    """The column, with networks of the user's own loaded and tried."""
    options = column.options and settled(column.options, data)
    return replace(column, training=settled(column.training, data), options=options)


def _check(columns: Sequence[Column], config: Config) -> None:
    check_ranges(config, {"seeds": AT_LEAST_1, "images": AT_LEAST_1})
    if config.searches not in (None, "one", "each"):
        raise InputError(f"searches: expected one or each, got {config.searches!r}")
    names = [column.name for column in columns]
    if not names:
        raise InputError("columns: expected at least one, got none")
    for name in names:
        if not re.fullmatch(r"[\w.-]+", name):
            raise InputError(f"columns: expected names of letters, digits, . _ and -, got {name!r}")
        if names.count(name) > 1:
            raise InputError(f"columns: expected different names (NAME=…), got {name} twice")
    if len({column.training.seed for column in columns}) > 1:
        raise InputError("columns: expected trainings of one first seed, got several")


def _subset(data: DataSet, images: int | None, seed: int) -> DataSet:
    """The data set with a seed's training images; its mean and deviation stay."""
    if images is None:
        return data
    return replace(data, train=stratified_subset(data.train, images, seed=seed, option="images"))


def _same(recorded: dict[str, Any], config: Any, *, aside: set[str]) -> bool:
    """Whether a run's options are those asked for, some aside."""
    asked = json.loads(json.dumps(dataclasses.asdict(config)))
    return all(key in aside or recorded.get(key) == value for key, value in asked.items())


def _trained(path: Path, config: train.Config, policy: Policy | None, *, aside: set[str]) -> bool:
    """Whether this training has ended there."""
    log = path / "log.jsonl"
    if not log.exists() or b"\n" not in log.read_bytes():
        return False
    record = runs.read(path).groups[0].records[0]
    same = _same(record.config, config, aside=aside) and record.policy == policy
    return record.finished and same


def _facts(data: DataSet, training: train.Config, config: Config) -> dict[str, Any]:
    cuda = training.device.startswith("cuda")
    return {
        "data": data.name,
        "train_images": len(data.train),
        "test_images": len(data.test),
        "model": training.model,
        "epochs": training.epochs,
        "seeds": config.seeds,
        "device": torch.cuda.get_device_name(training.device) if cuda else "CPU",
    }


def _circumstances(folder: Path) -> dict[str, Any]:
    """The command that makes this table from nothing, and the versions it began with."""
    command = [word for word in sys.orig_argv if word != "--resume"]
    versions = json.loads((folder / "config.json").read_text())["versions"]
    return {"command": runs.short(shlex.join(command)), "versions": versions}
