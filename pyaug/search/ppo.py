"""Proximal Policy Optimization over ordered pairs: Schulman et al. 2017 (arXiv 1707.06347).

What AWS (section 3.4) learns its policy with, free of images: a distribution over the N^2 ordered
pairs of N elements, and the update that moves it towards pairs that were rewarded. A reward belongs
to the pairs k that a trial drew, n_k times each of M.

AWS's paper leaves the update open. The authors' code credits how often each of some 400,000 images
got a pair, a share that hardly differs from its mean, p_theta(k): the expected gradient is a
400,000th of the policy's, lost in an accuracy's noise. Here few pairs are drawn, so that a trial
says something about them. The code's ratio,
exp(old - new), moves away from the reward; this is Schulman's. Its other differences: the baseline
takes the reward in before the advantage is taken, and the Kullback-Leibler bound is 0.002.
"""

import math
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Form = Literal["factored", "conditional", "flat"]


def log_normalised_sigmoid(theta: Tensor) -> Tensor:
    """log(sigma(theta) / sum sigma(theta)), the sum over the last dimension (section 3.4)."""
    log_sigma = F.logsigmoid(theta)
    return log_sigma - log_sigma.logsumexp(-1, keepdim=True)


class Pairs(nn.Module):
    """p_theta over the ordered pairs (i, j) of N elements; uniform at first, theta = 0.

    With p the normalised sigmoid of its parameters, in float64, a form is

    - flat: p(i, j), the parameters ``theta`` [N^2] (the paper);
    - conditional: p_1(i) p_2(j | i), ``first`` [N] and ``second`` [N, N] (the authors' code);
    - factored: p_1(i) p_2(j), ``first`` [N] and ``second`` [N]: the fewest to learn from a trial.
    """

    def __init__(self, elements: int, form: Form):
        super().__init__()
        self.elements, self.form = elements, form
        n = elements
        shapes = {
            "flat": {"theta": (n * n,)},
            "conditional": {"first": (n,), "second": (n, n)},
            "factored": {"first": (n,), "second": (n,)},
        }[form]
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.zeros(shape, dtype=torch.float64)))

    def log_probabilities(self) -> Tensor:
        """log p_theta(i, j), float64 [N, N]."""
        if self.form == "flat":
            return log_normalised_sigmoid(self.theta).view(self.elements, self.elements)
        first, second = log_normalised_sigmoid(self.first), log_normalised_sigmoid(self.second)
        return first[:, None] + second  # second is [N, N], or [N] for every i alike

    def probabilities(self) -> Tensor:
        """p_theta(i, j), float64 [N, N], without gradient."""
        return self.log_probabilities().detach().exp()

    def sample(self, count: int) -> Tensor:
        """``count`` pairs drawn independently from the global generator, int64 [count, 2]."""
        drawn = torch.multinomial(self.probabilities().flatten(), count, replacement=True)
        return torch.stack([drawn // self.elements, drawn % self.elements], dim=1)


def shares(pairs: Tensor, elements: int) -> Tensor:
    """n_k / M: what share of the pairs, int64 [M, 2], each of the N^2 is; float64 [N, N]."""
    flat = pairs[:, 0] * elements + pairs[:, 1]
    return torch.bincount(flat, minlength=elements**2).double().view(elements, -1) / len(pairs)


def surrogate(old: Tensor, new: Tensor, share: Tensor, advantage: Tensor, *, clip: float) -> Tensor:
    """The clipped objective (Schulman et al., eq. 7), to be maximised, a scalar.

    The mean over R trials of sum_k share_k min(rho_k A, clip(rho_k, 1 - clip, 1 + clip) A), with
    rho_k = exp(new_k - old_k).

    Args:
        old, new: log-probabilities [N, N]; gradients pass to ``new``.
        share: [R, N, N], of each trial's pairs, n_k / M.
        advantage: [R].
        clip: epsilon.
    """
    ratio = (new - old).exp()
    a = advantage[:, None, None]
    return (
        (share * torch.minimum(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a)).sum((1, 2)).mean()
    )


def divergence(old: Tensor, new: Tensor) -> Tensor:
    """The Kullback-Leibler divergence KL(old || new) in nats, of log-probabilities [N, N]."""
    return (old.exp() * (old - new)).sum()


def entropy(log_p: Tensor) -> Tensor:
    """Of log-probabilities [N, N], in nats."""
    return -(log_p.exp() * log_p).sum()


class Baseline:
    """What rewards are compared with: exponential moving averages.

    The baseline is the average of previous rewards (section 3.4). What exceeds it is divided by its
    own root mean square, as accuracies of different tasks differ by different amounts.

    Args:
        weight: of what was before, in [0, 1).
    """

    def __init__(self, weight: float = 0.9):
        self.weight = weight
        self.value: float | None = None
        self.square, self.seen = 0.0, 0

    def advantage(self, reward: Tensor) -> Tensor:
        """A, float64 [R], of the rewards [R] of trials made at once; then takes these in.

        The baseline b is the one before these rewards; the first b is their mean. With
        d = reward - b, v <- w v + (1 - w) mean(d^2) after t calls, A = d / sqrt(v / (1 - w^t)),
        or 0 where all rewards so far were equal. Last b <- w b + (1 - w) mean(reward).
        """
        w, mean = self.weight, reward.mean().item()
        before = mean if self.value is None else self.value
        difference = reward - before
        self.seen += 1
        self.square = w * self.square + (1 - w) * difference.square().mean().item()
        self.value = w * before + (1 - w) * mean
        spread = math.sqrt(self.square / (1 - w**self.seen))
        return difference / max(spread, 1e-12)

    def state_dict(self) -> dict[str, Any]:
        """All that changes."""
        return {"value": self.value, "square": self.square, "seen": self.seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to it."""
        self.value, self.square, self.seen = state["value"], state["square"], state["seen"]


class Agent:
    """Moves a distribution towards what was rewarded.

    Args:
        pairs: the distribution, changed in place.
        rate: of Adam, betas 0.5 and 0.999; over the first ten updates it rises from an eighth.
        clip: epsilon of :func:`surrogate`.
        inner_steps: Adam's steps an update, at most.
        target_kl: an update ends once KL(before || after) exceeds it, in nats.
        weight: of :class:`Baseline`.
    """

    WARM_UP = 10

    def __init__(
        self,
        pairs: Pairs,
        *,
        rate: float = 0.1,
        clip: float = 0.2,
        inner_steps: int = 5,
        target_kl: float = 0.02,
        weight: float = 0.9,
    ):
        self.pairs, self.rate, self.clip = pairs, rate, clip
        self.inner_steps, self.target_kl = inner_steps, target_kl
        self.baseline = Baseline(weight)
        self.adam = torch.optim.Adam(pairs.parameters(), rate, (0.5, 0.999))

    def update(self, share: Tensor, reward: Tensor) -> dict[str, float]:
        """One update from R trials made under the present distribution.

        Args:
            share: float64 [R, N, N], what share of a trial's pairs each pair was.
            reward: float64 [R].

        Returns:
            For the log: reward and advantage, means over the trials; baseline, these rewards taken
            in; inner_steps taken; kl from the distribution before, and entropy after, in nats.
        """
        warm = min(1.0, self.baseline.seen / self.WARM_UP)
        for group in self.adam.param_groups:
            group["lr"] = self.rate * (1 + 7 * warm) / 8
        advantage = self.baseline.advantage(reward)
        new = self.pairs.log_probabilities()
        old, kl, step = new.detach(), 0.0, 0
        while step < self.inner_steps and kl <= self.target_kl:
            self.adam.zero_grad(set_to_none=True)
            (-surrogate(old, new, share, advantage, clip=self.clip)).backward()
            self.adam.step()
            new = self.pairs.log_probabilities()
            kl, step = divergence(old, new.detach()).item(), step + 1
        return {
            "reward": reward.mean().item(),
            "baseline": self.baseline.value,
            "advantage": advantage.mean().item(),
            "inner_steps": step,
            "kl": kl,
            "entropy": entropy(new.detach()).item(),
        }

    def state_dict(self) -> dict[str, Any]:
        """The distribution, Adam and the baseline."""
        return {name: getattr(self, name).state_dict() for name in _STATEFUL}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to them."""
        for name in _STATEFUL:
            getattr(self, name).load_state_dict(state[name])


_STATEFUL = ("pairs", "adam", "baseline")
