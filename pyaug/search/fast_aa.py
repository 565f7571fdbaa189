"""Fast AutoAugment: Lim, Kim, Kim, Kim, Kim, NeurIPS 2019 (arXiv 1905.00397).

Density matching (section 3.2, Algorithm 1): a network theta is trained on one part of the images,
D_M, without a policy. A policy T suits it if it is right on the other part, D_A, augmented by T:
no policy that is tried costs a training. Which ones are tried, a tree-structured Parzen estimator
says. The paper's is HyperOpt's; this one is Optuna's, set as HyperOpt's is where it can be: each
parameter by itself, after 20 random trials. The share of trials that counts as good is Optuna's, a
tenth.

Where paper and authors' code differ:

- The paper minimises the cross-entropy of T(D_A), every image once under each sub-policy. The code
  maximises the share of images that are right under any of them. Both are options, and accuracy on
  T(D_A); the default is the code's, by which the published policies were found.
- The code augments an image by sub-policies drawn at random, and crops and flips it too. Here, as
  in the paper, it gets each sub-policy once, and nothing else.
- A level in the code runs over a signed range, -30 to 30 degrees, and then the sign is drawn anew:
  0.5 changes nothing, 0 and 1 are the same. Here mu = |2 level - 1|, from nothing to the strongest.
  The enhancers' levels do run through their identity, from factor 0.1 to 1.9.
- The code leaves out a sub-policy with the operations of another one of its policy. Here all stay.
"""

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyaug import spaces, train
from pyaug.augment import Augment
from pyaug.data import DataSet, Loader, Split, stratified_subset
from pyaug.errors import AT_LEAST_1, SEED, InputError, check_ranges
from pyaug.policy import Policy, SubPolicy
from pyaug.progress import Progress
from pyaug.run import pick_device
from pyaug.search.clock import Clock
from pyaug.search.engine import Search, conduct
from pyaug.search.parts import check_space, divide, suited
from pyaug.spaces import Axis
from pyaug.train.config import MOST_VIEWS, complete
from pyaug.train.network import Model, settled
from pyaug.train.pipeline import Pipeline, repeated

_RANDOM_FIRST = 20  # HyperOpt's n_startup_jobs
Reward = Literal["max", "mean", "loss"]
Explorer = Literal["tpe", "random"]


@dataclass(frozen=True)
class Config:
    """Options of the search; the defaults are the paper's (section 4)."""

    images: int | None = None
    """How many training images, every class in its share: 4,000, or all if they are fewer."""
    folds: int = 5
    """K, how often the images are divided anew, each time with a network of its own."""
    held_out: float = 0.4
    """The share of the images that a fold holds out from training, to try policies on."""
    repeats: int = 2
    """T, the searches of each fold, which know nothing of each other."""
    trials: int = 200
    """B, the policies that a search tries."""
    top: int = 10
    """N, how many of these are kept."""
    sub_policies: int = 5
    """N_T, the sub-policies of a policy that is tried."""
    stages: int = 2
    """N_tau, the operations of a sub-policy."""
    reward: Reward = "max"
    """What is maximised. max: the share of images that the network gets right under any of the
    sub-policies; mean: under one of them, on average; loss: minus the cross-entropy."""
    explorer: Explorer = "tpe"
    """Where trials come from: the Parzen estimator, or random, to compare with."""
    model: str = "wrn-40-2"
    """The folds' network, or your own, as FILE.py:FUNCTION."""
    epochs: int | None = None
    """Epochs of each fold's training; by default the data set's recipe's."""
    batch_size: int | None = None
    """Images a step of these, and a trial's at once; by default the recipe's."""
    learning_rate: float | None = None
    """The highest rate of SGD; by default the recipe's."""
    seed: int = 0
    """Decides the subset, the folds, the networks, all trials and all draws."""
    device: str = "auto"
    """auto (CUDA where there is one), cpu, cuda or cuda:N."""


class Trial(NamedTuple):
    """A policy that was tried."""

    parameters: dict[str, Any]
    """For operation k of sub-policy l: ``operation_l_k``, its place in the space, from 0;
    ``probability_l_k`` and ``level_l_k``, its p and mu in [0, 1]."""
    reward: float
    """The larger the better."""


def policy_of(parameters: Mapping[str, Any], config: Config, space: Sequence[Axis]) -> Policy:
    """The policy T of a trial's parameters: N_T sub-policies of N_tau operations, each as likely.

    Stage k of sub-policy l has one candidate: an operation of the space, applied with probability
    p, at magnitude weak + mu (strong - weak). See :class:`Trial` for the parameters.
    """
    made = []
    for l in range(config.sub_policies):  # noqa: E741  the sub-policy's number
        stages = []
        for k in range(config.stages):
            axis = space[parameters[f"operation_{l}_{k}"]]
            p = parameters[f"probability_{l}_{k}"]
            stages.append((axis.at(parameters[f"level_{l}_{k}"], probability=p),))
        made.append(SubPolicy(tuple(stages)))
    return Policy(tuple(made))


def rewards(logits: Tensor, labels: Tensor, kind: Reward) -> Tensor:
    """Each image's part of a trial's reward, which is their mean.

    Args:
        logits: float [L, B, C], the network's of B images under each of L sub-policies.
        labels: int64 [B].
        kind: max: 1 where the label has the largest of C logits under any sub-policy, else 0; mean:
            the share of sub-policies under which it has; loss: minus the cross-entropy in nats,
            its mean over the sub-policies.

    Returns:
        [B].
    """
    wanted = labels.expand(logits.shape[:2])
    if kind == "loss":
        return -F.cross_entropy(logits.movedim(2, 1), wanted, reduction="none").mean(0)
    right = (logits.argmax(2) == wanted).to(logits.dtype)
    return right.amax(0) if kind == "max" else right.mean(0)


def best(trials: Sequence[Trial], count: int) -> list[Trial]:
    """The ``count`` trials with the largest rewards, the best first, the earlier of equals."""
    return sorted(trials, key=lambda trial: -trial.reward)[:count]


def suggest(
    trials: Sequence[Trial], config: Config, space: Sequence[Axis], *, seed: int
) -> dict[str, Any]:
    """The parameters of the next trial: a pure function of its arguments.

    The estimator is told all earlier trials and its generator seeded anew every time. So a search
    that was interrupted goes on to the same trials; one that carried a generator on could not.
    """
    optuna = _optuna()
    unit = optuna.distributions.FloatDistribution(0, 1)
    places = optuna.distributions.CategoricalDistribution(range(len(space)))
    distributions = {
        f"{what}_{l}_{k}": distribution
        for l in range(config.sub_policies)  # noqa: E741
        for k in range(config.stages)
        for what, distribution in (("operation", places), ("probability", unit), ("level", unit))
    }
    if config.explorer == "random":
        sampler = optuna.samplers.RandomSampler(seed)
    else:
        sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=_RANDOM_FIRST, multivariate=False
        )
    told = [
        optuna.trial.create_trial(params=p, distributions=distributions, value=reward)
        for p, reward in trials
    ]
    with _silent(optuna):
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.add_trials(told)
        return study.ask(distributions).params


def _optuna() -> ModuleType:
    try:
        import optuna  # heavy, and only this search needs it
    except ModuleNotFoundError as error:
        message = f'pyaug search fast-aa needs {error.name}: pip install "pyaug[search]"'
        raise InputError(message) from error
    return optuna


@contextlib.contextmanager
def _silent(optuna: ModuleType) -> Iterator[None]:
    """Without Optuna's line on every new study; its warnings stay."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _derived(*parts: int) -> int:
    """One seed below 2^32 of several numbers."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def search(
    data: DataSet,
    config: Config | None = None,
    *,
    run: str | Path | None = None,
    resume: bool = False,
    space: Sequence[Axis] | None = None,
    val: Split | None = None,
    model: Model | None = None,
) -> Policy:
    """Search a policy for a data set; it needs Optuna.

    On the CPU, with as many threads, the same arguments give the same policy to the bit,
    interrupted and resumed or not, under one version of Optuna.

    Args:
        data: its training images, held in memory, are divided into each fold's two parts.
        config: options.
        run: a folder for config, log, checkpoints and the policy; the networks are trained in
            folders of their own, ``stages/fold-1`` and so on.
        resume: go on in that folder after its last trial.
        space: the operations and their ranges; by default the paper's, without sample_pairing.
        val: images to try policies on, instead of what each fold holds out.
        model: a network of your own instead of ``config.model``, or what builds one; see
            :data:`pyaug.train.network.Model`.

    Raises:
        InputError: an option out of range, too few images, no Optuna, before any work.
    """
    config = settled(config or Config(), data, model)
    space = suited(spaces.fast_autoaugment(), data) if space is None else tuple(space)
    _check(config, data, space)
    about = {"val": val, "space": repr(space)}
    made = {"run": run, "resume": resume, "inputs": about}
    return conduct(lambda: _Search(data, config, space, val), data, config, **made)


class _Fold(NamedTuple):
    held_out: Split  # D_A
    network: nn.Module  # trained on D_M
    clean: float  # the reward of the images as they are


class _Search(Search):
    method = "fast-aa"
    steps = 1

    def __init__(self, data: DataSet, config: Config, space: Sequence[Axis], val: Split | None):
        self.config, self.space, self.val = config, space, val
        self.device = pick_device(config.device)
        count = min(4000, len(data.train)) if config.images is None else config.images
        subset = stratified_subset(data.train, count, seed=config.seed, option="images")
        self.data = replace(data, train=subset.hold())
        options = {name: getattr(config, name) for name in _TRAINING}
        self.training = complete(train.Config(**options), self.divided(0))
        self.rounds = config.folds * config.repeats * config.trials
        plain = {"default_augmentation": False, "seed": config.seed, "device": self.device}
        self.normalise = Pipeline(data, None, **plain).normalise
        self.folds: list[_Fold] = []
        self.kept: list[Trial] = []  # the best of the searches that ended
        self.tried: list[Trial] = []  # all of the one that runs
        self.clock = Clock(self.device)

    def divided(self, k: int) -> DataSet:
        """Fold k: D_M as the training part, D_A as the test part, every class in its share."""
        count = len(self.data.train)
        held_out = round(self.config.held_out * count)
        sizes = {"(1 - held_out) x images": count - held_out, "held_out x images": held_out}
        asked = {name: (size if self.val is None else None, size) for name, size in sizes.items()}
        d_m, d_a = divide(self.data, asked, seed=_derived(self.config.seed, k), val=self.val)
        return replace(self.data, train=d_m, test=d_a)

    def prepare(self) -> None:
        """Train every fold's network, with the default augmentation alone."""
        for k in range(self.config.folds):
            data = self.divided(k)
            result = self.train_network(f"fold-{k + 1}", data, self.training)
            error, loss = result.test_error, result.test_loss
            clean = -loss if self.config.reward == "loss" else 1 - error / 100
            self.folds.append(_Fold(data.test.to(self.device), result.model, clean))

    def round(self, number: int, bar: Progress) -> dict[str, Any]:
        """A trial: one policy that the estimator asks for, judged."""
        study, trial = divmod(number, self.config.trials)
        k, t = divmod(study, self.config.repeats)
        if trial == 0:
            self.kept += best(self.tried, self.config.top)
            self.tried = []
        with self.clock("policy"):
            seed = _derived(self.config.seed, k, t, trial)
            parameters = suggest(self.tried, self.config, self.space, seed=seed)
        tried = policy_of(parameters, self.config, self.space)
        reward = self.judge(self.folds[k], tried, draw=number)
        self.tried.append(Trial(parameters, reward))
        kept = [one.reward for one in best(self.tried, self.config.top)]
        bar.advance(1, fold=str(k + 1), reward=reward, best=kept[0])
        return {
            "trial": number + 1,
            "fold": k + 1,
            "repeat": t + 1,
            "reward": reward,
            "best": kept[0],
            "kept": math.fsum(kept) / len(kept),
            "clean": self.folds[k].clean,
            "marginals": self.policy().marginals(),
            "parts": self.clock.read(),
        }

    def judge(self, fold: _Fold, policy: Policy, *, draw: int) -> float:
        """The reward of T(D_A): every image under each sub-policy of a policy T.

        ``draw`` decides what is random about it: the same number, the same draws.
        """
        augment = Augment(policy, seed=self.config.seed).to(self.device)
        count, bf16 = len(policy.sub_policies), self.training.bf16
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for batch in Loader(fold.held_out, self.training.batch_size, shuffle=False).epoch(0):
            size = len(batch.index)
            with self.clock("augmentation"):
                views = repeated(batch, count)  # view l gets sub-policy l
                force = torch.full((count, size, 1 + policy.steps), -1, device=self.device)
                force[:, :, 0] = torch.arange(count, device=self.device)[:, None]
                drawn = {"index": views.index, "epoch": draw, "force": force.flatten(0, 1)}
                images = augment(views.images, **drawn, partners=batch.images)
            with self.clock("forward"), torch.no_grad():
                with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=bf16):
                    logits = fold.network(self.normalise(images)).float()
                logits = logits.unflatten(0, (count, size))
                total += rewards(logits, batch.labels, self.config.reward).sum()
        return total.item() / len(fold.held_out)

    def policy(self) -> Policy:
        """The sub-policies of all trials that are kept, each as likely."""
        kept = self.kept + best(self.tried, self.config.top)
        each = [policy_of(trial.parameters, self.config, self.space) for trial in kept]
        found = (sub_policy for policy in each for sub_policy in policy.sub_policies)
        source = f"pyaug search fast-aa, {self.config}"
        return Policy(tuple(found), name="fast-aa", source=source)

    def state(self) -> dict[str, Any]:
        """The trials; the networks are in their own folders."""
        return {name: [tuple(trial) for trial in getattr(self, name)] for name in _STATEFUL}

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to them."""
        for name in _STATEFUL:
            setattr(self, name, [Trial(*trial) for trial in state[name]])


_STATEFUL = ("kept", "tried")
_TRAINING = (
    "model",
    "epochs",
    "batch_size",
    "learning_rate",
    "seed",
    "device",
)  # as train has them

_RANGES = {
    **dict.fromkeys(("images", "repeats", "trials", "top", "stages"), AT_LEAST_1),
    "folds": (2, True, math.inf),
    "sub_policies": (1, True, MOST_VIEWS + 1),
    "held_out": (0, False, 1),
    "seed": SEED,
}


def _check(config: Config, data: DataSet, space: Sequence[Axis]) -> None:
    _optuna()
    check_ranges(config, _RANGES)
    for option, known in {"reward": get_args(Reward), "explorer": get_args(Explorer)}.items():
        if (given := getattr(config, option)) not in known:
            raise InputError(f"{option}: expected one of {', '.join(known)}, got {given!r}")
    if config.top > config.trials:
        raise InputError(f"top: expected at most trials = {config.trials}, got {config.top}")
    check_space(space, data)
