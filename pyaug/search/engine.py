"""What every search shares: its parts of the data, its rounds, its folder, its clock."""

from __future__ import annotations

import contextlib
import io
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed

from pyaug import train
from pyaug._native import OPERATIONS
from pyaug.data import DataSet, Split, check_classes, stratified_splits
from pyaug.errors import InputError
from pyaug.policy import Candidate, Policy
from pyaug.progress import Progress
from pyaug.run import Run, alone, capture_rng, isolated_rng, progress, restore_rng
from pyaug.spaces import Axis


@dataclass(frozen=True)
class World:
    """The processes that search together: torchrun's, or, as by default, this one alone.

    They talk on the CPU, in a group of their own without a time limit: what rank 0 does alone, such
    as a training, may take hours.
    """

    rank: int = 0
    size: int = 1
    group: Any = None

    @classmethod
    def join(cls, device: torch.device) -> World:
        """This process among torchrun's, each with a CUDA device of its own; without it, alone."""
        if not distributed.is_available():
            return cls()
        if not distributed.is_initialized():
            if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
                return cls()
            distributed.init_process_group("gloo")
        if device.type == "cuda" and device.index is None:
            local = int(os.environ.get("LOCAL_RANK", distributed.get_rank()))
            torch.cuda.set_device(local % torch.cuda.device_count())
        group = distributed.new_group(backend="gloo", timeout=timedelta(days=365))
        return cls(distributed.get_rank(), distributed.get_world_size(), group)

    def all_gather(self, value: Tensor) -> Tensor:
        """Every rank's value, [...] on the CPU, as [size, ...]."""
        if self.group is None:
            return value[None]
        parts = [torch.empty_like(value) for _ in range(self.size)]
        distributed.all_gather(parts, value.contiguous(), group=self.group)
        return torch.stack(parts)

    def broadcast(self, value: Any) -> Any:
        """Rank 0's value, plain data and tensors, which the others get on the CPU."""
        if self.group is None:
            return value
        box = [None]
        if self.rank == 0:
            file = io.BytesIO()
            torch.save(value, file)
            box = [file.getvalue()]
        distributed.broadcast_object_list(box, src=0, group=self.group)
        if self.rank == 0:
            return value
        return torch.load(io.BytesIO(box[0]), map_location="cpu", weights_only=True)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """What rank 0 does alone within; if it fails there, every rank does, and none waits."""
        failed: Exception | None = None
        try:
            yield
        except Exception as error:
            failed = error
        said = self.broadcast(failed and str(failed))
        if failed:
            raise failed
        if said is not None:
            raise InputError(f"rank 0: {said}")


class Search(ABC):
    """A search between two of its rounds; a round is what lies between two checkpoints.

    `method` is its name on the command line, `rounds` how many there are at most, `steps` how many
    steps a round has. All random draws come from the global generators, or from keys of seed, epoch
    and index.
    """

    method: str
    rounds: int
    steps: int
    finished = False
    """Set where a search ends before its last round."""
    device: torch.device
    world = World()
    """Under torchrun, for a search that knows of it; then only rank 0 has a folder."""
    folder: Path | None = None
    """Of the run; set before `prepare`."""
    trained = 0.0
    """Seconds of trainings within rounds, which are in these trainings' own logs."""

    def prepare(self) -> None:  # noqa: B027  most need none
        """What comes before the first round, such as a training."""

    def train_network(
        self, name: str, data: DataSet, config: train.Config, *, policy: Policy | None = None
    ) -> train.Result:
        """A training that the search needs, in `stages/NAME` of its folder, or gone on with."""
        began, run = time.monotonic(), stage_folder(self.folder, name)
        result = train.train(data, config, run=run, resume=run is not None, policy=policy)
        self.trained += time.monotonic() - began
        return result

    @abstractmethod
    def round(self, number: int, bar: Progress) -> dict[str, Any]:
        """Do round `number`, from 0, telling `bar` of every step; return its line of the log."""

    @abstractmethod
    def policy(self) -> Policy:
        """What has been found."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """All that `restore` needs to go on to the same bits, the global generators aside."""

    @abstractmethod
    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a `state`."""


def stage_folder(folder: Path | None, name: str) -> Path | None:
    """Where a training goes that belongs to the search of a folder."""
    return folder and folder / "stages" / name


_REHEARSING = ContextVar("rehearsing", default=False)


@contextlib.contextmanager
def rehearsal() -> Iterator[None]:
    """Within, a search is checked and made but not run, so that its input's faults show at once."""
    token = _REHEARSING.set(True)
    try:
        yield
    finally:
        _REHEARSING.reset(token)


def conduct(
    make: Callable[[], Search],
    data: DataSet,
    config: Any,
    *,
    run: str | Path | None,
    resume: bool,
    inputs: Mapping[str, Any],
) -> Policy | None:
    """Run a search to its end: its seed, its folder, a checkpoint and a line of the log a round.

    Args:
        make: checks the input and makes the search, before the folder is touched.
        data: a run that is resumed must be given the same.
        config: the method's options; `seed` is one of them.
        run, resume: see `pyaug.run.Run`; without a folder nothing is kept.
        inputs: what else decides the outcome, as JSON values and splits.

    Returns:
        What was found; in a `rehearsal`, nothing.
    """
    if resume and run is None:
        raise InputError("resume: expected run, the folder to go on in")
    with isolated_rng(config.seed), contextlib.ExitStack() as stack:
        search = make()
        if search.world.size == 1:
            alone(f"search {search.method}")
        if _REHEARSING.get():
            return None
        about = {"data": data.name, "train": data.train, **inputs}
        about = {k: v.fingerprint() if isinstance(v, Split) else v for k, v in about.items()}
        folder = None
        with search.world.together():
            if run is not None and search.world.rank == 0:
                folder = stack.enter_context(Run(run, config, resume=resume, inputs=about))
        _fit(search, folder)
        policy = search.policy()
        if folder:
            policy.save(folder.path / "policy.json")
        return policy


def _fit(search: Search, folder: Run | None) -> None:
    """The rounds that are left."""
    search.folder = folder and folder.path
    search.prepare()
    done, state = 0, None
    with search.world.together():
        state = folder.load() if folder else None
    state = search.world.broadcast(state)
    if state is not None:
        done, search.finished = state["rounds"], state["finished"]
        search.restore(state["search"])
        restore_rng(state["rng"])
    total = search.rounds * search.steps
    shown = {"stream": io.StringIO()} if search.world.rank else {}
    with progress(f"search {search.method}", total, done=done * search.steps, **shown) as bar:
        while done < search.rounds and not search.finished:
            began, trained = time.monotonic(), search.trained
            facts = search.round(done, bar)
            done += 1
            seconds = time.monotonic() - began - (search.trained - trained)
            with search.world.together():
                if folder:
                    folder.log(round=done, **facts, seconds=seconds)
                    state = {"search": search.state(), "rng": capture_rng()}
                    folder.save({"rounds": done, "finished": search.finished, **state})


class Clock:
    """Where a search's time goes, by part: augmentation, forward, backward, policy.

    On CUDA it is the time that passes on the device's stream, busy or waiting for the host, by
    events that nobody waits for until `read`.
    """

    def __init__(self, device: torch.device):
        self.device, self.cuda = device, device.type == "cuda"
        self.spans: list[tuple[str, Any, Any]] = []

    @contextlib.contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """Count the time within to a part; parts are not nested."""
        began = self._now()
        yield
        self.spans.append((part, began, self._now()))

    def read(self) -> dict[str, float]:
        """Seconds by part since the last reading."""
        if self.cuda:
            torch.cuda.synchronize(self.device)
        seconds: dict[str, float] = {}
        for part, began, ended in self.spans:
            span = began.elapsed_time(ended) / 1000 if self.cuda else ended - began
            seconds[part] = seconds.get(part, 0.0) + span
        self.spans.clear()
        return seconds

    def _now(self) -> Any:
        if not self.cuda:
            return time.perf_counter()
        with torch.cuda.device(self.device):
            event = torch.cuda.Event(enable_timing=True)
            event.record()
        return event


def check_square(operations: Iterable[str], data: DataSet, where: str) -> None:
    """Raise InputError for an operation that needs square images where these are not."""
    _, height, width = data.shape
    for operation in operations:
        if OPERATIONS[operation].square and height != width:
            got = f"{height} x {width}"
            raise InputError(f"{where}: {operation} expects square images, got {got}")


def check_space(space: Sequence[Axis | Candidate], data: DataSet) -> None:
    """Raise InputError for a space without operations, or with one that the images do not suit."""
    if not space:
        raise InputError("space: expected at least one operation, got none")
    check_square((element.operation for element in space), data, "space")


def divide(
    data: DataSet,
    parts: Mapping[str, tuple[int | None, int]],
    *,
    seed: int,
    val: Split | None = None,
    hold: bool = True,
) -> tuple[Split, ...]:
    """Disjoint parts of the training images, every class in its share.

    Args:
        data: its test part is never touched.
        parts: by option, how many images were asked for (None: not said) and the paper's number.
            What was not said is the paper's number or, where the training part is too small for
            that, what the parts that were said leave, in the paper's proportions.
        seed: the parts are a pure function of (labels, numbers, seed).
        val: validation images of the user's own, instead of the last part.
        hold: whether the parts are decoded and held in memory.

    Raises:
        InputError: a part smaller than the number of classes, too few images in all or of a class,
            naming the options; `val` of another shape, or without images of some class, or beside
            a number for the last part.
    """
    names = list(parts)
    if val is not None:
        if parts[names[-1]][0] is not None:
            raise InputError(f"{names[-1]}: expected none where val has images of its own")
        if val.shape != data.shape:
            raise InputError(f"val: expected images {data.shape}, got {val.shape}")
        check_classes(val.labels, data.classes, where="val")
        names.pop()
    said = {name: parts[name][0] for name in names if parts[name][0] is not None}
    papers = {name: parts[name][1] for name in names if parts[name][0] is None}
    left = len(data.train) - sum(said.values())
    if left < 0:
        asked = " + ".join(f"{name}={count}" for name, count in said.items())
        raise InputError(f"{asked}: expected at most the {len(data.train)} images that there are")
    whole = sum(papers.values())
    if left < whole:
        papers = {name: left * count // whole for name, count in papers.items()}
    counts = [{**papers, **said}[name] for name in names]
    drawn = stratified_splits(data.train, counts, seed=seed, options=names)
    parts_ = (*drawn, *([] if val is None else [val]))
    return tuple(part.hold() if hold else part for part in parts_)
