"""RandAugment: Cubuk, Zoph, Shlens, Le, NeurIPS 2020 (arXiv 1909.13719).

A policy is two numbers: N operations of 14, drawn uniformly, all of them at level M. Few policies
need no clever search: under each pair of a grid a network is trained, and the pair whose network
errs least on images that were held out wins. `pyaug.policies.randaugment` is a pair's policy.

The paper holds out 5,000 images, and tries a few N and M of its own choice on each data set. The
grid of all of `pyaug.spaces.randaugment_grid`, the default here, is ours.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from pyaug import policies, spaces, train
from pyaug.data import DataSet, Split, order
from pyaug.errors import AT_LEAST_1, SEED, InputError, check_ranges
from pyaug.policy import Policy
from pyaug.progress import Progress
from pyaug.run import pick_device
from pyaug.search.engine import Search, conduct
from pyaug.search.parts import divide, suited_policy
from pyaug.train.config import complete
from pyaug.train.network import Model, settled

_STRONGEST = 30  # M runs from 0 to this
_MOST_OPS = 100  # far beyond what leaves anything of an image
_TRAINING = ("model", "epochs", "batch_size", "learning_rate", "device")  # as train has them


@dataclass(frozen=True)
class Config:
    """Options of the search; None means: the paper's, or what the data set's recipe has."""

    num_ops: str | None = None
    """Values of N, the number of operations, such as 2,3; by default 1, 2 and 3."""
    magnitudes: str | None = None
    """Values of M, the level of the operations, 0 to 30, such as 5,10,15; by default 1 to 30."""
    trials: int | None = None
    """How many pairs of the grid are tried, drawn at random; by default all."""
    seeds: int = 1
    """Trainings of each pair, whose errors are averaged; with seeds from the search's own on."""
    train_images: int | None = None
    """Images that the networks are trained on: the paper's 45,000, or what the data set allows."""
    val_images: int | None = None
    """Images held out to judge them: the paper's 5,000, or what the data set allows."""
    model: str | None = None
    """The network, by a name that pyaug train --model takes; by default the data set's."""
    epochs: int | None = None
    """Epochs of each training."""
    batch_size: int | None = None
    """Images a step."""
    learning_rate: float | None = None
    """The highest rate of SGD."""
    seed: int = 0
    """Decides the division of the images, the pairs that are drawn, and all trainings."""
    device: str = "auto"
    """auto (CUDA where there is one), cpu, cuda or cuda:N."""


def search(
    data: DataSet,
    config: Config | None = None,
    *,
    run: str | Path | None = None,
    resume: bool = False,
    val: Split | None = None,
    model: Model | None = None,
) -> Policy:
    """Search a policy for a data set.

    On the CPU, with as many threads, the same arguments give the same policy to the bit,
    interrupted and resumed or not.

    Args:
        data: its training images are divided into a part to train on and one to judge by.
        config: options.
        run: a folder for config, log, checkpoints and the policy; each training has a folder of
            its own in ``stages``, such as ``n2-m14-s0`` for N = 2, M = 14 and seed 0.
        resume: go on in that folder, in the midst of a training too.
        val: images to judge by, instead of a part of the training images.
        model: a network of your own instead of ``config.model``, or what builds one; see
            :data:`pyaug.train.network.Model`.

    Raises:
        InputError: an option out of range, too few images, before any work.
    """
    config = settled(config or Config(), data, model)
    check_ranges(config, dict.fromkeys(("trials", "seeds"), AT_LEAST_1) | {"seed": SEED})
    pairs(config)
    made = {"run": run, "resume": resume, "inputs": {"val": val}}
    return conduct(lambda: _Search(data, config, val), data, config, **made)


def pairs(config: Config) -> tuple[tuple[int, float], ...]:
    """The pairs (N, M) that a search tries, in its order: a pure function of the config.

    All of the grid, by N and then by M; or ``config.trials`` pairs of it, drawn without
    replacement.

    Raises:
        InputError: values that are no numbers or out of range; more trials than pairs.
    """
    said = {"num_ops": (1, _MOST_OPS), "magnitudes": (0, _STRONGEST)}
    axes = {name: _values(config, name, *ends) for name, ends in said.items()}
    grid = spaces.randaugment_grid(**{name: axis for name, axis in axes.items() if axis})
    if config.trials is None:
        return grid
    if config.trials > len(grid):
        most = f"at most {len(grid)}, the pairs of the grid"
        raise InputError(f"trials: expected {most}, got {config.trials}")
    drawn = order(len(grid), seed=config.seed, epoch=0)[: config.trials]
    return tuple(grid[place] for place in drawn.tolist())


def _values(config: Config, option: str, lowest: int, highest: int) -> list[int]:
    """The ascending values of a list such as 1,2,3, each once; none where the option is None."""
    text = getattr(config, option)
    try:
        values = sorted({int(word) for word in text.split(",")}) if text is not None else []
    except (AttributeError, ValueError):
        values = [-1]
    if any(not lowest <= value <= highest for value in values):
        what = f"whole numbers from {lowest} to {highest}, separated by commas"
        raise InputError(f"{option}: expected {what}, got {text!r}")
    return values


class _Search(Search):
    method = "randaugment"

    def __init__(self, data: DataSet, config: Config, val: Split | None):
        self.config, self.pairs, self.device = config, pairs(config), pick_device(config.device)
        asked = {"train_images": (config.train_images, 45_000)}
        asked["val_images"] = (config.val_images, 5_000)
        part, held_out = divide(data, asked, seed=config.seed, val=val)
        self.data = replace(data, train=part, test=held_out)
        complete(self.training(config.seeds - 1), self.data)
        self.rounds, self.steps = len(self.pairs), config.seeds
        self.errors: list[float] = []

    def training(self, number: int) -> train.Config:
        """The options of a pair's training ``number``, from 0."""
        options = {name: getattr(self.config, name) for name in _TRAINING}
        return train.Config(**options, seed=self.config.seed + number)

    def round(self, number: int, bar: Progress) -> dict[str, Any]:
        """A pair: its trainings."""
        num_ops, magnitude = self.pairs[number]
        policy = self.of_pair(num_ops, magnitude)
        errors = []
        for i in range(self.config.seeds):
            training = self.training(i)
            name = f"n{num_ops}-m{magnitude}-s{training.seed}"
            result = self.train_network(name, self.data, training, policy=policy)
            errors.append(result.test_error)
            bar.advance(1)
        self.errors.append(fmean(errors))
        best, best_num_ops, best_magnitude = self.best()
        bar.advance(0, trial=number + 1, val_error=self.errors[-1], best_error=best)
        return {
            "trial": number + 1,
            "num_ops": num_ops,
            "magnitude": magnitude,
            "val_error": self.errors[-1],
            "best_error": best,
            "best_num_ops": best_num_ops,
            "best_magnitude": best_magnitude,
            "marginals": self.policy().marginals(),
        }

    def of_pair(self, num_ops: int, magnitude: float) -> Policy:
        """RandAugment's policy, of the operations that suit the images."""
        return suited_policy(policies.randaugment(num_ops=num_ops, magnitude=magnitude), self.data)

    def best(self) -> tuple[float, int, float]:
        """The smallest error so far, in percent, its N and M; of equals the least N, then M."""
        tried = zip(self.errors, self.pairs, strict=False)
        return min((error, *pair) for error, pair in tried)

    def policy(self) -> Policy:
        """That of the best pair."""
        _, num_ops, magnitude = self.best()
        found = self.of_pair(num_ops, magnitude)
        return replace(found, source=f"{found.source}; pyaug search randaugment, {self.config}")

    def state(self) -> dict[str, Any]:
        """The errors of the pairs that were tried."""
        return {"errors": self.errors}

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to them."""
        self.errors = list(state["errors"])
