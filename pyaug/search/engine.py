"""How every search runs: round by round, in a folder, from where it stopped."""

from __future__ import annotations

import contextlib
import io
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import torch

from pyaug import train
from pyaug.data import DataSet, Split
from pyaug.errors import InputError
from pyaug.policy import Policy
from pyaug.progress import Progress
from pyaug.run import Run, alone, capture_rng, isolated_rng, progress, restore_rng
from pyaug.search.world import World
from pyaug.train.network import going_on


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
        # The search, not its caller, says what is computed in lower precision.
        stack.enter_context(torch.autocast(search.device.type, enabled=False))
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
        with going_on(search.folder or "the run"):
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
