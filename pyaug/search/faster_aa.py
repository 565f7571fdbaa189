"""Faster AutoAugment: Hataya, Zdenek, Yoshizoe, Nakayama, ECCV 2020 (arXiv 1911.06987).

A policy is learned by gradient descent so that augmented images look like the data set's own: the
Wasserstein distance between the two, which a critic estimates, is minimised together with the
classification loss of the augmented images (section 4.2, Algorithm 2). Every operation takes part
in every stage, weighted (eq. 7); its probability is relaxed (eq. 4); gradients pass through
discrete operations straight (eq. 5, 6).

Where paper and authors' code differ the paper is followed: relaxation 0.05, both translations,
the gradient penalty's norm over C, H and W. From the code come what the paper leaves open, the
batch in two halves and uniform initial parameters, and one thing that it does not: a critic step
and a policy step alternate, and the classifier learns from real images alone, where Algorithm 2
updates everything at once.

All is in float32. In bfloat16, on CIFAR-10 and WRN-40-2, cosines with it were 0.74 to 0.88 of the
penalty's gradient, and 0.36 to 0.97 of that to the policy's parameters.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyaug import models, ops, spaces
from pyaug._native import OPERATIONS
from pyaug.data import DataSet, Loader, Split, stratified_subset
from pyaug.errors import ABOVE_0, AT_LEAST_0, AT_LEAST_1, SEED, InputError, check_ranges
from pyaug.policy import Candidate, Policy, SubPolicy
from pyaug.progress import Progress
from pyaug.run import isolated_rng, pick_device
from pyaug.search.attention import differentiable_attention
from pyaug.search.clock import Clock
from pyaug.search.engine import Search, conduct
from pyaug.search.parts import check_space, suited
from pyaug.spaces import Axis
from pyaug.train.network import Model, settled

_EDGE = 1e-3  # keeps log p / (1 - p) and its gradient finite


@dataclass(frozen=True)
class Config:
    """Options of the search; the defaults are the paper's (section 5.2)."""

    images: int | None = None
    """How many training images, every class in its share: 4,000, or all if they are fewer. The
    paper has 1,000 on SVHN, and on ImageNet 6,000 of 120 classes."""
    sub_policies: int = 10
    """L, the number of sub-policies."""
    stages: int = 2
    """K, the operations of a sub-policy."""
    temperature: float = 0.05
    """eta of the softmax over a stage's weights (eq. 7)."""
    relaxation: float = 0.05
    """lambda of the relaxed Bernoulli gate (eq. 4)."""
    start: Literal["random", "even"] = "random"
    """Initial parameters: random as in the authors' code, w, mu and p from U(0, 1); even: w = 0,
    mu = p = 1/2, where every operation has the same chance."""
    chunk: int = 8
    """How many images share a sub-policy; 1 gives each image its own, at no cost."""
    epochs: int = 20
    """How often the images are seen."""
    batch_size: int | None = None
    """Images a step, 128, or all if they are fewer; half of them are augmented, the other half stay
    real."""
    model: str = "wrn-40-2"
    """The critic's and classifier's common network; conv-small has no batch norm, under which a
    gradient penalty is doubtful. Or your own, as FILE.py:FUNCTION."""
    classification: float = 0.1
    """epsilon, the weight of the classification loss."""
    penalty: float = 10.0
    """The weight of the gradient penalty."""
    policy_rate: float = 1e-3
    """Adam's rate for w, mu and p."""
    critic_rate: float = 1e-3
    """Adam's rate for the critic."""
    seed: int = 0
    """Decides the subset, all initial parameters and all draws."""
    device: str = "auto"
    """auto (CUDA where there is one), cpu, cuda or cuda:N."""


class SoftPolicy(nn.Module):
    """L sub-policies of K stages whose choices are soft, over N operations.

    Parameters, each [L, K, N]: ``w``, weights before the softmax; ``mu``, magnitudes scaled to
    [0, 1]; ``p``, probabilities. mu and p are clamped to [0, 1], without gradient outside; the
    authors' code leaves them where a step took them, dead ever after, here they are projected.
    """

    operations: Tensor

    def __init__(
        self,
        space: Sequence[Axis],
        *,
        sub_policies: int,
        stages: int,
        temperature: float,
        relaxation: float,
        start: str = "random",
    ):
        super().__init__()
        self.space, self.temperature, self.relaxation = tuple(space), temperature, relaxation
        shape = (sub_policies, stages, len(self.space))
        self.w, self.mu, self.p = (nn.Parameter(torch.rand(shape)) for _ in range(3))
        if start == "even":
            nn.init.zeros_(self.w)
            for parameter in (self.mu, self.p):
                nn.init.constant_(parameter, 0.5)
        names = [axis.operation for axis in self.space] + ["identity"]
        self.register_buffer("operations", ops.codes(names, "SoftPolicy"))
        rows = [OPERATIONS[axis.operation] for axis in self.space]
        for name, values in {
            "weak": [axis.weak or 0.0 for axis in self.space],
            "strong": [axis.strong or 0.0 for axis in self.space],
            "unchanged": [row.identity for row in rows],
        }.items():
            self.register_buffer(name, torch.tensor(values, dtype=torch.float64))
        self.register_buffer("signed", torch.tensor([axis.random_sign for axis in self.space]))

    def forward(self, images: Tensor, sub_policy: Tensor) -> Tensor:
        """Augment float images [B, C, H, W] in [0, 1], image b by ``sub_policy[b]`` (Algorithm 1).

        The partners of sample_pairing are the images as they came in.
        """
        out = images
        for stage in range(self.w.shape[1]):
            weights, magnitudes, noise = self._draw(sub_policy, stage)
            out = ops.mix(out, self.operations, weights, magnitudes, noise=noise, partners=images)
        return out

    def _draw(self, sub_policy: Tensor, stage: int) -> tuple[Tensor, Tensor, Tensor]:
        """Weights and magnitudes [B, N + 1], the identity last, and noise [B, N + 1, 4]."""
        w, mu, p = (parameter[:, stage][sub_policy] for parameter in (self.w, self.mu, self.p))
        chosen = torch.softmax(w / self.temperature, dim=1)  # sigma_eta(w)
        p = p.clamp(_EDGE, 1 - _EDGE)
        b = torch.sigmoid((torch.logit(p) + torch.logit(torch.rand_like(p))) / self.relaxation)
        # b is eq. 4. Eq. 3 inside eq. 7: sum_n sigma_n (b_n O_n(X) + (1 - b_n) X).
        gated = chosen * b
        weights = torch.cat([gated, (chosen - gated).sum(1, keepdim=True)], dim=1)
        m = self.weak + mu.clamp(0, 1).double() * (self.strong - self.weak)
        mirrored = self.signed & (torch.rand_like(p) < 0.5)
        m = torch.where(mirrored, 2 * self.unchanged - m, m)
        noise = torch.rand((*weights.shape, 4), device=weights.device)
        return weights, F.pad(m, (0, 1)), noise

    def project(self) -> None:
        """Bring mu and p back to where they have a gradient, after a step that left it."""
        with torch.no_grad():
            self.mu.clamp_(0, 1)
            self.p.clamp_(_EDGE, 1 - _EDGE)

    def policy(self, *, name: str = "", source: str = "") -> Policy:
        """What the parameters say: operations drawn by softmax(w / eta), gates by p."""
        weights = torch.softmax(self.w.detach().double() / self.temperature, dim=2).tolist()
        mu, p = (q.detach().double().clamp(0, 1).tolist() for q in (self.mu, self.p))
        made = []
        for l in range(len(weights)):  # noqa: E741  the paper's l
            stages = []
            for k in range(len(weights[l])):
                row = zip(self.space, weights[l][k], mu[l][k], p[l][k], strict=True)
                stages.append(tuple(_candidate(axis, w, m, q) for axis, w, m, q in row))
            made.append(SubPolicy(tuple(stages)))
        return Policy(tuple(made), name=name, source=source)


def _candidate(axis: Axis, weight: float, mu: float, p: float) -> Candidate:
    magnitude = None if axis.weak is None else axis.weak + mu * (axis.strong - axis.weak)
    return Candidate(axis.operation, magnitude, weight, p, axis.random_sign)


class Critic(nn.Module):
    """d_theta and f: one network with two heads, a linear classifier and a two-layer critic."""

    def __init__(
        self, model: str, *, classes: int, in_channels: int, size: tuple[int, int] = (32, 32)
    ):
        super().__init__()
        shape = {"classes": classes, "size": size}
        self.features, width = models.features(model, in_channels, **shape)
        self.classifier = nn.Linear(width, classes)
        self.critic = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Float images [B, C, H, W] in [0, 1] to scores [B] and logits [B, classes]."""
        features = self.features(2 * images - 1)  # mean and deviation 0.5
        return self.critic(features)[:, 0], self.classifier(features)


def gradient_penalty(critic: Critic, real: Tensor, augmented: Tensor) -> Tensor:
    """E (||grad_x D(x)|| - 1)^2 between pairs (Gulrajani et al. 2017), norms over C, H and W."""
    share = torch.rand(len(real), 1, 1, 1, device=real.device)
    between = (share * real + (1 - share) * augmented).requires_grad_()
    with differentiable_attention(), torch.autocast(real.device.type, enabled=False):
        scores, _ = critic(between)
        (gradient,) = torch.autograd.grad(scores.sum(), between, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


def search(
    data: DataSet,
    config: Config | None = None,
    *,
    run: str | Path | None = None,
    resume: bool = False,
    space: Sequence[Axis] | None = None,
    target: Split | None = None,
    model: Model | None = None,
) -> Policy:
    """Search a policy for a data set.

    On the CPU, with as many threads, the same arguments give the same policy to the bit,
    interrupted and resumed or not.

    Args:
        data: its training images, held in memory, are searched on.
        config: options.
        run: a folder for config, log, checkpoints and the policy.
        resume: go on in that folder after its last checkpoint.
        space: the operations and their ranges; by default the paper's 17.
        target: what augmented images should look like: as many images as ``data.train``; by
            default these themselves.
        model: a network of your own instead of ``config.model``, or what builds one; see
            :data:`pyaug.train.network.Model`.

    Raises:
        InputError: an option out of range, too few images, before any work.
    """
    config = settled(config or Config(), data, model, needs="second derivatives", trial=try_critic)
    space = suited(spaces.faster_autoaugment(), data) if space is None else tuple(space)
    _check(config, data, space, target)
    about = {"target": target, "images": _count(config, data, target), "space": repr(space)}
    made = {"run": run, "resume": resume, "inputs": about}
    return conduct(lambda: _Search(data, config, space, target), data, config, **made)


def distance(
    soft: SoftPolicy,
    data: DataSet,
    config: Config,
    *,
    steps: int = 200,
    seed: int = 0,
    target: Split | None = None,
) -> float:
    """The Wasserstein distance between augmented and real images, by a fresh critic.

    The estimate seen during the search comes from a critic that trails the policy, and is not
    monotone. Here the policy is frozen, a new critic is trained for ``steps`` steps, and the
    estimate is the mean of its last quarter.
    """
    with isolated_rng(seed):
        trial = _Search(data, config, soft.space, target)
        trial.soft.load_state_dict(soft.state_dict())
        estimates, epoch = [], 0
        while len(estimates) < steps:
            for batch in trial.loader.epoch(epoch):
                real, labels, clean, _ = trial.halves(batch)
                with torch.no_grad():
                    augmented = trial.soft(clean, trial.sub_policies(len(clean)))
                estimates.append(trial.critic_step(real, labels, augmented)["distance"])
            epoch += 1
        last = torch.stack(estimates[:steps])[-max(1, steps // 4) :]
        return last.mean().item()


def try_critic(config: Config, data: DataSet) -> None:
    """Compute a gradient penalty's gradient, which not every network allows."""
    device = pick_device(config.device)
    images = torch.rand(2, *data.shape, device=device)
    gradient_penalty(critic_of(config, data).to(device), images, images.flip(0)).backward()


def critic_of(config: Config, data: DataSet) -> Critic:
    """A new critic for a data set's images."""
    channels, *size = data.shape
    shape = {"in_channels": channels, "size": tuple(size)}
    return Critic(config.model, classes=len(data.classes), **shape)


class _Search(Search):
    method = "faster-aa"

    def __init__(
        self, data: DataSet, config: Config, space: Sequence[Axis], target: Split | None
    ) -> None:
        self.config, self.device = config, pick_device(config.device)
        count = _count(config, data, target)
        subset = data.train
        if count < len(data.train):
            subset = stratified_subset(data.train, count, seed=config.seed, option="images")
        subset = subset.hold().to(self.device)
        self.target = target.hold().to(self.device) if target else subset
        self.loader = Loader(
            subset, _batch(config, count), shuffle=True, seed=config.seed, drop_last=True
        )
        self.soft = SoftPolicy(
            space,
            sub_policies=config.sub_policies,
            stages=config.stages,
            temperature=config.temperature,
            relaxation=config.relaxation,
            start=config.start,
        ).to(self.device)
        self.critic = critic_of(config, data).to(self.device)
        betas = (0.0, 0.999)
        self.policy_adam = torch.optim.Adam(self.soft.parameters(), config.policy_rate, betas)
        self.critic_adam = torch.optim.Adam(self.critic.parameters(), config.critic_rate, betas)
        self.rounds, self.steps = config.epochs, len(self.loader)
        self.clock = Clock(self.device)

    def round(self, number: int, bar: Progress) -> dict[str, Any]:
        """An epoch."""
        totals: dict[str, Tensor] = {}
        for batch in self.loader.epoch(number):
            for name, value in self.step(batch).items():
                totals[name] = totals.get(name, 0.0) + value
            bar.advance(1)
        facts: dict[str, Any] = {k: (v / len(self.loader)).item() for k, v in totals.items()}
        if not all(map(math.isfinite, facts.values())):
            raise InputError(
                f"policy_rate, critic_rate: expected ones that converge, got losses {facts} in "
                f"epoch {number + 1}"
            )
        facts |= self.soft_facts()
        bar.advance(0, epoch=number + 1, distance=facts["distance"], untouched=facts["untouched"])
        return {"epoch": number + 1, **facts, "parts": self.clock.read()}

    def policy(self) -> Policy:
        """What the parameters say."""
        return self.soft.policy(name="faster-aa", source=f"pyaug search faster-aa, {self.config}")

    def step(self, batch) -> dict[str, Tensor]:
        """One critic step and one policy step (Algorithm 2, alternating)."""
        real, real_labels, clean, labels = self.halves(batch)
        with self.clock("augmentation"):
            augmented = self.soft(clean, self.sub_policies(len(clean)))
        facts = self.critic_step(real, real_labels, augmented.detach())
        for parameter in self.critic.parameters():
            parameter.requires_grad_(False)
        with self.clock("forward"):
            scores, logits = self.critic(augmented)
            loss = F.cross_entropy(logits, labels)
        with self.clock("backward"):
            self.policy_adam.zero_grad(set_to_none=True)
            (self.config.classification * loss - scores.mean()).backward()
        with self.clock("policy"):
            self.policy_adam.step()
            self.soft.project()
        for parameter in self.critic.parameters():
            parameter.requires_grad_(True)
        return facts | {"augmented_loss": loss.detach()}

    def critic_step(self, real: Tensor, labels: Tensor, augmented: Tensor) -> dict[str, Tensor]:
        """Move theta and f towards a larger distance and a better classifier."""
        with self.clock("forward"):
            real_scores, logits = self.critic(real)
            scores, _ = self.critic(augmented)
            d = real_scores.mean() - scores.mean()
            loss = F.cross_entropy(logits, labels)
        with self.clock("backward"):  # the penalty is a backward pass itself
            penalty = gradient_penalty(self.critic, real, augmented)
            self.critic_adam.zero_grad(set_to_none=True)
            (self.config.classification * loss - d + self.config.penalty * penalty).backward()
            self.critic_adam.step()
        return {"distance": d.detach(), "real_loss": loss.detach(), "penalty": penalty.detach()}

    def halves(self, batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """A batch as (real images, their labels, images to augment, their labels).

        Each real image has one to be paired with: of an odd batch the last is left out.
        """
        half = len(batch.images) // 2
        second = slice(half, 2 * half)
        real = self.target.images[batch.index[second]].float() / self.target.white
        clean = batch.images[:half].float() / self.loader.split.white
        return real, batch.labels[second], clean, batch.labels[:half]

    def sub_policies(self, count: int) -> Tensor:
        """A sub-policy for every image, int64 [B]: drawn uniformly for each chunk."""
        chunks = -(-count // self.config.chunk)
        drawn = torch.randint(self.config.sub_policies, (chunks,), device=self.device)
        return drawn.repeat_interleave(self.config.chunk)[:count]

    def soft_facts(self) -> dict[str, Any]:
        """How decided the policy is, and what it does on average."""
        with torch.no_grad():
            chosen = torch.softmax(self.soft.w.double() / self.config.temperature, dim=2)
            applied = (chosen * self.soft.p.double().clamp(0, 1)).sum(2)  # [L, K]
            entropy = -(chosen * chosen.clamp_min(1e-30).log()).sum(2).mean()
        return {
            "entropy": entropy.item(),
            "untouched": (1 - applied).prod(1).mean().item(),
            "marginals": self.soft.policy().marginals(),
        }

    def state(self) -> dict[str, Any]:
        """The policy, the critic and their optimisers."""
        return {name: getattr(self, name).state_dict() for name in _STATEFUL}

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to them."""
        for name in _STATEFUL:
            getattr(self, name).load_state_dict(state[name])


_STATEFUL = ("soft", "critic", "policy_adam", "critic_adam")


_RANGES = {
    **dict.fromkeys(("sub_policies", "stages", "chunk", "epochs"), AT_LEAST_1),
    **dict.fromkeys(("temperature", "relaxation", "policy_rate", "critic_rate"), ABOVE_0),
    **dict.fromkeys(("classification", "penalty"), AT_LEAST_0),
    "seed": SEED,
}


def _check(config: Config, data: DataSet, space: Sequence[Axis], target: Split | None) -> None:
    if config.start not in ("random", "even"):
        raise InputError(f"start: expected random or even, got {config.start!r}")
    check_ranges(config, _RANGES)
    count, most = _count(config, data, target), len(data.train)
    if not 1 <= count <= most:
        raise InputError(f"images: expected at most {most}, the training images, got {count}")
    if count < 2:
        raise InputError(f"images: expected at least 2, got {count}")
    if not 2 <= _batch(config, count) <= count:
        raise InputError(f"batch_size: expected 2 to {count} images, got {config.batch_size}")
    if target is not None and (len(target) != most or count != most):
        raise InputError("target: expected as many images as the training part, all of them used")
    check_space(space, data)
    models.check(config.model)
    pick_device(config.device)


def _batch(config: Config, count: int) -> int:
    return min(128, count) if config.batch_size is None else config.batch_size


def _count(config: Config, data: DataSet, target: Split | None) -> int:
    """How many images are searched on; all where each has an image of the target beside it."""
    most = len(data.train)
    default = most if target is not None else min(4000, most)
    return default if config.images is None else config.images
