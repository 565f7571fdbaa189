"""AWS, Augmentation-wise Weight Sharing: Tian et al., NeurIPS 2020 (arXiv 2009.14737).

A policy is a distribution p_theta over ordered pairs of 36 elements (section 3.4). It is learned by
PPO (``ppo.py``) from the accuracy that networks reach when they start from shared weights and are
trained on under it for a few epochs (``proxies.py``): Algorithm 1.

Under torchrun every process makes a trial of its own at the same time, and an update sees them all.

The paper does not say what about a policy a trial's reward belongs to; in the authors' code it is
next to nothing, see ``ppo.py``. Here a trial draws M pairs from p_theta and is trained on with
these, each as likely.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from pyaug.data import DataSet, Split
from pyaug.errors import ABOVE_0, AT_LEAST_1, SHARE, InputError, check_ranges
from pyaug.policy import Candidate, Policy, SubPolicy
from pyaug.progress import Progress
from pyaug.run import pick_device
from pyaug.search import proxies
from pyaug.search.engine import Search, conduct
from pyaug.search.ppo import Agent, Form, Pairs, shares
from pyaug.search.proxies import Proxy, elements
from pyaug.search.world import World
from pyaug.train.network import Model, settled


@dataclass(frozen=True)
class Config(proxies.Config):
    """Options of the search; the defaults are the paper's on CIFAR (section 4.2) or, where it
    does not say them, its authors' code's.
    """

    trials: int = 500
    """T_max, how often the policy is updated."""
    pairs: int = 4
    """M, how many pairs a trial draws; ours."""
    form: Form = "factored"
    """What of a pair (i, j) has a probability. flat: the pair, the paper's 36 x 36 parameters;
    conditional: i, then j given i, the code's; factored: i and j. The default is ours: of so few
    trials it makes the most."""
    credit: Literal["drawn", "frequency"] = "drawn"
    """What a reward belongs to. drawn: the M pairs; frequency, as in the authors' code: all pairs,
    as often as the trial's images got them under p_theta itself, from which little is learnt."""
    policy_rate: float = 0.1
    """Adam's rate for theta, 0.2 on ImageNet; an eighth of it at first, rising over ten trials."""
    inner_steps: int = 5
    """PPO: Adam's steps a trial, at most."""
    ratio_clip: float = 0.2
    """PPO: epsilon, up to which a change of a probability counts, as a share of it."""
    target_kl: float = 0.02
    """PPO: a trial's steps end once the policy has moved so far, in nats; the code has 0.002."""
    baseline: float = 0.9
    """Weight of the previous rewards in the baseline, a moving average."""
    returned: Literal["last", "best"] = "last"
    """Which theta is returned. last: as in the paper; best: under which the highest reward came, as
    in the code, often by luck."""


def pair_policy(probabilities: Tensor, space: Sequence[Candidate], **about: str) -> Policy:
    """The policy that applies element i, then element j, with ``probabilities[i, j]``.

    Args:
        probabilities: [N, N], above 0, of any sum.
        space: N elements.
        about: the policy's name and source.

    Returns:
        N weighted sub-policies; the i-th's first stage is element i, its second a categorical. In
        ``Program.choice`` column 0 is the first element, column 2 the second.
    """
    made = []
    for first, row in zip(space, probabilities.tolist(), strict=True):
        second = tuple(replace(c, weight=p) for c, p in zip(space, row, strict=True))
        made.append(SubPolicy(((first,), second), weight=math.fsum(row)))
    return Policy(tuple(made), **about)


def drawn_policy(pairs: Tensor, space: Sequence[Candidate]) -> Policy:
    """What a trial is trained on with: the pairs, int64 [M, 2], each as likely."""
    return Policy(tuple(SubPolicy(((space[i],), (space[j],))) for i, j in pairs.tolist()))


def search(
    data: DataSet,
    config: Config | None = None,
    *,
    run: str | Path | None = None,
    resume: bool = False,
    space: Sequence[Candidate] | None = None,
    val: Split | None = None,
    model: Model | None = None,
) -> Policy:
    """Search a policy for a data set (Algorithm 1).

    On the CPU, with as many threads, the same arguments give the same policy to the bit,
    interrupted and resumed or not.

    Args:
        data: its training images are divided into two parts, to train on and to validate on.
        config: options.
        run: a folder for config, log, checkpoints and the policy; stage 1 is in its stages/shared.
        resume: go on in that folder after its last checkpoint.
        space: the elements of the pairs, each of probability 1; by default the paper's 36.
        val: validation images of your own.
        model: a network of your own instead of ``config.model``, or what builds one; see
            :data:`pyaug.train.network.Model`.

    Raises:
        InputError: an option out of range, too few images, before any work; a loss that is not
            finite.
    """
    config, space = config or Config(), elements(space, data)
    _check(config, data, space)
    world = World.join(pick_device(config.device))
    config = settled(config, data, model)
    about = {"val": val, "space": repr(space), "processes": world.size}

    def make() -> Search:
        return _Search(Proxy(data, config, space, val), config, world)

    return conduct(make, data, config, run=run, resume=resume, inputs=about)


class _Search(Search):
    method = "aws"

    def __init__(self, proxy: Proxy, config: Config, world: World) -> None:
        self.proxy, self.config, self.world = proxy, config, world
        self.space, self.device = proxy.space, proxy.device
        self.pairs = Pairs(len(self.space), config.form)
        self.agent = Agent(
            self.pairs,
            rate=config.policy_rate,
            clip=config.ratio_clip,
            inner_steps=config.inner_steps,
            target_kl=config.target_kl,
            weight=config.baseline,
        )
        self.highest, self.best = -math.inf, copy.deepcopy(self.pairs.state_dict())
        self.rounds, self.steps = config.trials, max(1, proxy.steps)

    def prepare(self) -> None:
        """Obtain w_share."""
        self.proxy.share(self.folder, world=self.world)

    def round(self, number: int, bar: Progress) -> dict[str, Any]:
        """A trial on every rank, and the update of theta."""
        share, reward, loss = self.trial(number * self.world.size + self.world.rank, bar)
        mine = torch.cat([torch.tensor([reward, loss], dtype=torch.float64), share.flatten()])
        together = self.world.all_gather(mine)  # so every rank makes the same update, to the bit
        proxies.check_finite(*together[:, :2].flatten().tolist())
        rewards, shares_ = together[:, 0], together[:, 2:].view(-1, *share.shape)
        if (reward := rewards.mean().item()) > self.highest:
            self.highest = reward
            self.best = copy.deepcopy(self.pairs.state_dict())
        with self.proxy.clock("policy"):
            facts = self.agent.update(shares_, rewards)
        facts["loss"] = together[:, 1].mean().item()
        told = {"trial": number + 1, "reward": facts["reward"], "entropy": facts["entropy"]}
        bar.advance(0 if self.proxy.steps else 1, **told)
        marginals = self.policy().marginals()
        parts = self.proxy.clock.read()
        return {"trial": number + 1, **facts, "marginals": marginals, "parts": parts}

    def trial(self, number: int, bar: Progress) -> tuple[Tensor, float, float]:
        """This rank's: the share of every pair, float64 [N, N], the reward and the loss."""
        n, m = len(self.space), self.config.pairs
        if self.config.credit == "drawn":
            # Every rank draws for all, so that their generators stay together.
            drawn = self.pairs.sample(self.world.size * m).view(-1, m, 2)[self.world.rank]
            judged = self.proxy.trial(drawn_policy(drawn, self.space), number, bar=bar)
            return shares(drawn, n), *judged
        tally = torch.zeros((n, n), dtype=torch.int64, device=self.device)
        policy = pair_policy(self.pairs.probabilities(), self.space)
        judged = self.proxy.trial(policy, number, tally=tally, bar=bar)
        return tally.cpu().double() / tally.sum().item(), *judged

    def policy(self) -> Policy:
        """What theta says."""
        pairs = self.pairs
        if self.config.returned == "best":
            pairs = Pairs(len(self.space), self.config.form)
            pairs.load_state_dict(self.best)
        about = {"name": "aws", "source": f"pyaug search aws, {self.config}"}
        return pair_policy(pairs.probabilities(), self.space, **about)

    def state(self) -> dict[str, Any]:
        """The agent, and the best so far."""
        return {"agent": self.agent.state_dict(), "highest": self.highest, "best": self.best}

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to them."""
        self.agent.load_state_dict(state["agent"])
        self.highest, self.best = state["highest"], state["best"]


_RANGES = {
    **dict.fromkeys(("trials", "pairs", "inner_steps"), AT_LEAST_1),
    **dict.fromkeys(("policy_rate", "ratio_clip", "target_kl"), ABOVE_0),
    "baseline": SHARE,
}


def _check(config: Config, data: DataSet, space: Sequence[Candidate]) -> None:
    proxies.check(config, data, space)
    check_ranges(config, _RANGES)
    if config.proxy == "AV" and config.credit == "frequency":
        raise InputError("credit: expected drawn for proxy AV, where no images are trained on")
