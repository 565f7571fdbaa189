"""Direct Differentiable Augmentation Search (DDAS): Liu et al., ICCV 2021 (arXiv 2104.04282).

An image is augmented with probability p_tp and, if so, by N_o operations drawn from p_o (section
3.1). Both probabilities descend the validation loss after one step of the weights (section 3.3):
at each step L^ policies are drawn uniformly, the weights move along the mixture of their gradients
and the clean one, and how each gradient agrees with the validation gradient there says whether its
policy should be more probable (section 3.4, Algorithm 1). The probabilities of each epoch are kept
and played back over training (section 3.5.4).

Where paper and authors' code differ the paper is followed: mean losses under a momentum and a
weight decay, where the code sums them and has neither; eta in eq. 16 and 17, which the code leaves
out, so that the updates fade with its cosine; probabilities kept after each epoch, not before it;
p_tp smoothed. From the code come what the paper leaves open: the data set's crop, flip and cutout
follow the policy; batch norm is in training mode throughout, for the validation gradient too, so
that its running statistics are never read; how the mean filter ends. Ours: the copies of an image
share all random numbers, so that g_0 - g_l is the policy's doing.

All is in float32. In bfloat16, on CIFAR-10 and WRN-40-2, the products g_val . (g_0 - g_l) of the
first steps had a cosine of 0.70 with it, and one in eight had the other sign.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyaug import models, spaces
from pyaug.augment import Augment
from pyaug.data import Batch, DataSet, Loader, Split
from pyaug.errors import ABOVE_0, AT_LEAST_0, AT_LEAST_1, SEED, SHARE, InputError, check_ranges
from pyaug.policy import Candidate, Policy, SubPolicy
from pyaug.progress import Progress
from pyaug.run import pick_device
from pyaug.search.clock import Clock
from pyaug.search.engine import Search, conduct
from pyaug.search.parts import check_space, divide, fitting, suited
from pyaug.train.network import Model, settled
from pyaug.train.pipeline import Pipeline
from pyaug.train.schedule import learning_rate

Schedule = Literal["dynamic", "fixed-probability", "fixed-operations", "fixed"]


@dataclass(frozen=True)
class Config:
    """Options of the search; the defaults are the paper's for CIFAR (section 4.2, appendix C.1)."""

    train_images: int | None = None
    """How many images the weights learn from: 5,000, or half of all where these are too few.
    The paper has 3,000 on SVHN, and on ImageNet 6,000 of 120 classes."""
    val_images: int | None = None
    """How many others the policy is judged on: 5,000, or half of all. The paper has 3,000 on
    SVHN, and 1,200 on ImageNet."""
    policies: int = 3
    """L^, the policies drawn at each step; 2 on ImageNet."""
    stages: int = 2
    """N_o, the operations of a policy."""
    start_probability: float = 0.35
    """p_tp at the beginning."""
    epochs: int = 20
    """How often the training images are seen; 40 on ImageNet."""
    batch_size: int = 32
    """Training images a step; each is seen as it is and under every policy drawn."""
    val_batch_size: int = 256
    """Validation images a step, or all if they are fewer; 64 on ImageNet."""
    model: str = "wrn-40-2"
    """The network; ResNet-18 on ImageNet; or your own, as FILE.py:FUNCTION."""
    learning_rate: float = 0.05
    """eta at the beginning, of SGD; it falls as a cosine to 0. 0.01 on ImageNet."""
    momentum: float = 0.9
    """Of SGD, in [0, 1)."""
    weight_decay: float = 5e-4
    """L2 penalty, as SGD applies it; 1e-4 on ImageNet."""
    operation_rate: float = 0.005
    """Adam's rate for alpha_o, the logits of p_o; 0.003 on ImageNet."""
    probability_rate: float = 0.001
    """Adam's rate for alpha_tp, the logit of p_tp; 0.002 on ImageNet. 0 keeps p_tp as it begins,
    as in the paper's table 5."""
    smoothing: int = 2
    """F_s, over how many epochs p_tp is averaged; 6 on ImageNet, 1: not at all."""
    schedule: Schedule = "dynamic"
    """What training plays back: dynamic, both p_tp and p_o of every epoch; fixed-probability,
    fixed-operations or fixed: p_tp, p_o or both as they were last (the paper's table 6)."""
    default_augmentation: bool = True
    """Whether the data set's crop, flip and cutout follow the policy."""
    seed: int = 0
    """Decides the parts of the data, the initial weights, the order and all draws."""
    device: str = "auto"
    """auto (CUDA where there is one), cpu, cuda or cuda:N."""


def batch_probabilities(alpha_tp: Tensor, alpha_o: Tensor, policies: Tensor) -> Tensor:
    """P(D_0) = 1 - p_tp, then P(D_l) / Z = p_tp P(phi_l) / Z of each policy drawn (eq. 3, 12).

    Args:
        alpha_tp: scalar; p_tp is its sigmoid.
        alpha_o: [K]; p_o is its softmax.
        policies: int64 [L^, N_o], the candidates that make up each phi_l.

    Returns:
        [1 + L^], summing to 1.
    """
    p_tp = torch.sigmoid(alpha_tp)
    # P(phi_l) is a product of p_o's entries: over the sum Z of them all, it is a softmax again.
    shares = torch.softmax(alpha_o[policies].sum(1), dim=0)
    return torch.cat([(1 - p_tp).reshape(1), p_tp * shares])


def meta_gradient(
    alpha_tp: Tensor, alpha_o: Tensor, policies: Tensor, d: Tensor, *, rate: float
) -> tuple[Tensor, Tensor]:
    """The gradient of the validation loss to alpha_tp and alpha_o (eq. 15 to 17, section 3.5.2).

    With Z and Z_g held constant, and zero where all of d is. Adam takes no notice of a constant
    factor, but eta falls from step to step.

    Args:
        alpha_tp, alpha_o, policies: see :func:`batch_probabilities`.
        d: [L^], the dot products g_val . (g_0 - g_l).
        rate: eta, of the step that led to g_val.

    Returns:
        Eq. 17 times dp_tp / dalpha_tp, a scalar; eq. 16 through dp_o / dalpha_o, [K].
    """
    z_g = d.abs().sum().clamp_min(torch.finfo(d.dtype).tiny)
    # P(D_l) / Z contains p_tp, whose own derivative is p_tp (1 - p_tp).
    credit = rate * d / z_g * batch_probabilities(alpha_tp, alpha_o, policies)[1:]
    times = F.one_hot(policies, len(alpha_o)).sum(1).to(d.dtype)  # [L^, K], in each phi_l
    # dP(phi_l) / dalpha_o^k = P(phi_l) (times_lk - N_o p_o^k).
    total, expected = credit.sum(), policies.shape[1] * torch.softmax(alpha_o, dim=0)
    return total * torch.sigmoid(-alpha_tp), credit @ times - total * expected


def smooth(p_tp: Sequence[float], width: int) -> list[float]:
    """The mean filter of size F_s over p_tp's epochs (section 3.5.4).

    Each value becomes the mean of ``width`` ones from itself on; the last ones share the last full
    window, as in the authors' code. A width beyond the number of epochs means all of them.
    """
    width = min(width, len(p_tp))
    starts = [min(epoch, len(p_tp) - width) for epoch in range(len(p_tp))]
    return [math.fsum(p_tp[start : start + width]) / width for start in starts]


def two_level(
    space: Sequence[Candidate], p_tp: float, p_o: Sequence[float], *, stages: int
) -> Policy:
    """With probability p_tp as many candidates as stages, each drawn by p_o [K] (figure 2)."""
    stage = tuple(replace(candidate, weight=p) for candidate, p in zip(space, p_o, strict=True))
    return Policy((SubPolicy((stage,) * stages, probability=p_tp),))


def scheduled(policies: Sequence[Policy], *, name: str = "", source: str = "") -> Policy:
    """Search epochs stretched over a training by nearest neighbours (section 3.5.4).

    Policy e of E applies from the fraction e / E of training on; one that is the same as its
    predecessor begins no new span, and a single span is no schedule.
    """
    count = len(policies)
    spans = [e for e in range(count) if e == 0 or policies[e] != policies[e - 1]]
    if len(spans) == 1:
        return replace(policies[0], name=name, source=source)
    entries = tuple((e / count, policies[e]) for e in spans)
    return Policy(name=name, source=source, schedule=entries)


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
    """Search a schedule of policies for a data set.

    On the CPU, with as many threads, the same arguments give the same policy to the bit,
    interrupted and resumed or not.

    Args:
        data: its training images are divided into those to train and those to validate on.
        config: options.
        run: a folder for config, log, checkpoints and the policy.
        resume: go on in that folder after its last checkpoint.
        space: the candidates; their weights are what is searched. By default the paper's for the
            data set, :func:`pyaug.spaces.ddas`.
        val: validation images of your own; the training images are then for training alone, and
            ``val_images`` must not be given.
        model: a network of your own instead of ``config.model``, or what builds one; see
            :data:`pyaug.train.network.Model`.

    Raises:
        InputError: an option out of range, too few images, before any work; a loss that is not
            finite.
    """
    config = settled(config or Config(), data, model)
    space = suited(spaces.ddas(data.name), data) if space is None else tuple(space)
    _check(config, data, space)
    about = {"val": val, "space": repr(space)}
    made = {"run": run, "resume": resume, "inputs": about}
    return conduct(lambda: _Search(data, config, space, val), data, config, **made)


class _Search(Search):
    method = "ddas"

    def __init__(
        self, data: DataSet, config: Config, space: Sequence[Candidate], val: Split | None
    ) -> None:
        self.config, self.space, self.device = config, tuple(space), pick_device(config.device)
        counts = {"train_images": config.train_images, "val_images": config.val_images}
        parts = {option: (count, 5000) for option, count in counts.items()}
        train, val = (p.to(self.device) for p in divide(data, parts, seed=config.seed, val=val))
        loader = partial(Loader, shuffle=True, drop_last=True)
        self.loader = loader(train, fitting(config, "batch_size", len(train)), seed=config.seed)
        # Another order: the images may be the training images again, turned.
        size = min(config.val_batch_size, len(val))
        self.val_loader = loader(val, size, seed=config.seed + 2**32)
        self.rounds, self.steps = config.epochs, len(self.loader)
        # The policy's draws have a key of their own, beside the pipeline's.
        uniform = two_level(space, 1.0, [1.0] * len(space), stages=config.stages)
        self.augment = Augment(uniform, seed=config.seed + 2**33).to(self.device)
        augmentation = {"default_augmentation": config.default_augmentation, "seed": config.seed}
        self.pipeline = Pipeline(data, None, device=self.device, **augmentation)
        classes, channels = len(data.classes), data.shape[0]
        self.model = models.build(config.model, classes=classes, in_channels=channels)
        self.model.to(self.device).train()
        self.theta = [w for w in self.model.parameters() if w.requires_grad]
        self.sgd = torch.optim.SGD(
            self.theta,
            lr=config.learning_rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
        )
        start = torch.logit(torch.tensor(config.start_probability))
        self.alpha = nn.ParameterDict({"tp": start, "o": torch.zeros(len(space))}).to(self.device)
        rates = {"tp": config.probability_rate, "o": config.operation_rate}
        groups = [{"params": [self.alpha[name]], "lr": rate} for name, rate in rates.items()]
        self.adam = torch.optim.Adam(groups, betas=(0.5, 0.999))
        self.p_tp: list[float] = []  # after each epoch
        self.p_o: list[list[float]] = []
        self.clock = Clock(self.device)

    def round(self, number: int, bar: Progress) -> dict[str, Any]:
        """An epoch, T of Algorithm 1."""
        done, total = number * self.steps, self.rounds * self.steps
        vals, sums = self.validation(done), torch.zeros(2, device=self.device)
        for t, batch in enumerate(self.loader.epoch(number), start=done):
            rate = learning_rate(t, steps=total, highest=self.config.learning_rate)
            sums += self.step(batch, next(vals), epoch=number, rate=rate)
            bar.advance(1)
        train_loss, val_loss = (sums / self.steps).tolist()
        if not (math.isfinite(train_loss) and math.isfinite(val_loss)):
            raise InputError(
                f"learning_rate: expected one that converges, got losses {train_loss} (train) and "
                f"{val_loss} (val) in epoch {number + 1} with {self.config.learning_rate}"
            )
        losses = {"train_loss": train_loss, "val_loss": val_loss}
        bar.advance(0, epoch=number + 1, val_loss=val_loss)
        return {"epoch": number + 1, **losses, **self.keep(), "parts": self.clock.read()}

    def keep(self) -> dict[str, Any]:
        """Keep p_tp and p_o (Algorithm 1, line 15); say what they are, p_o by operation."""
        p_o = torch.softmax(self.alpha["o"].detach().double(), dim=0)
        self.p_tp.append(torch.sigmoid(self.alpha["tp"].detach().double()).item())
        self.p_o.append(p_o.tolist())
        kept = two_level(self.space, self.p_tp[-1], self.p_o[-1], stages=self.config.stages)
        return {
            "p_tp": self.p_tp[-1],
            "p_o": two_level(self.space, 1.0, self.p_o[-1], stages=1).marginals(),
            "entropy": torch.special.entr(p_o).sum().item(),
            "marginals": kept.marginals(),
        }

    def step(self, batch: Batch, val: Batch, *, epoch: int, rate: float) -> Tensor:
        """A step t: the weights along eq. 12, then the policy along eq. 16 and 17.

        Returns:
            The expected training loss (eq. 12) and the validation loss after the step, [2].
        """
        alpha_tp, alpha_o = self.alpha["tp"], self.alpha["o"]
        shape = (self.config.policies, self.config.stages)
        with self.clock("augmentation"):
            drawn = torch.randint(len(self.space), shape, device=self.device)
            mini_batches = self.mini_batches(batch, drawn, epoch)
        made = [self.gradient(images, batch.labels) for images in mini_batches]
        losses, g = (torch.stack(each) for each in zip(*made, strict=True))  # [1 + L^], [1 + L^, n]
        with torch.no_grad(), self.clock("policy"):
            p = batch_probabilities(alpha_tp, alpha_o, drawn)
            self.descend(p @ g, rate)
        val_loss, g_val = self.gradient(self.pipeline.normalise(val.images), val.labels)
        with torch.no_grad(), self.clock("policy"):
            d = (g[0] - g[1:]) @ g_val
            alpha_tp.grad, alpha_o.grad = meta_gradient(alpha_tp, alpha_o, drawn, d, rate=rate)
            self.adam.step()
        return torch.stack([p @ losses, val_loss])

    def mini_batches(self, batch: Batch, policies: Tensor, epoch: int) -> Tensor:
        """D_0 and the D_l, as the network sees them: float32 [1 + L^, B, C, H, W].

        A policy is the whole mini-batch's; signs and noise are each image's own.
        """
        count = len(policies)
        index = batch.index.repeat(count)
        force = F.pad(policies, (1, 0)).repeat_interleave(len(batch.labels), dim=0)
        copies = batch.images.repeat(count, 1, 1, 1)
        drawn = {"index": index, "epoch": epoch, "force": force}
        augmented = self.augment(copies, **drawn, partners=batch.images)
        every = torch.cat([batch.images, augmented]), batch.labels, batch.index.repeat(1 + count)
        return self.pipeline.train(Batch(*every), epoch=epoch).unflatten(0, (1 + count, -1))

    def gradient(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The mean cross-entropy, a scalar, and its gradient to all n weights, [n]."""
        with self.clock("forward"):
            loss = F.cross_entropy(self.model(images), labels)
        with self.clock("backward"):
            gradients = torch.autograd.grad(loss, self.theta, materialize_grads=True)
            return loss.detach(), torch.cat([gradient.flatten() for gradient in gradients])

    def descend(self, g: Tensor, rate: float) -> None:
        """Eq. 6 with momentum, which leaves the step's derivative to each gradient at -eta."""
        sizes = [weights.numel() for weights in self.theta]
        for weights, gradient in zip(self.theta, g.split(sizes), strict=True):
            weights.grad = gradient.view_as(weights)
        for group in self.sgd.param_groups:
            group["lr"] = rate
        self.sgd.step()

    def validation(self, done: int) -> Iterator[Batch]:
        """The mini-batches V of all steps after so many, the images in a new order each time."""
        epoch, start = divmod(done, len(self.val_loader))
        while True:
            yield from self.val_loader.epoch(epoch, start=start)
            epoch, start = epoch + 1, 0

    def policies(self) -> list[Policy]:
        """What training plays back of each epoch (section 3.5.4)."""
        epochs, kept = len(self.p_tp), self.config.schedule
        p_tp, p_o = smooth(self.p_tp, self.config.smoothing), self.p_o
        if kept in ("fixed-probability", "fixed"):
            p_tp = self.p_tp[-1:] * epochs
        if kept in ("fixed-operations", "fixed"):
            p_o = self.p_o[-1:] * epochs
        stages = self.config.stages
        return [two_level(self.space, *p, stages=stages) for p in zip(p_tp, p_o, strict=True)]

    def policy(self) -> Policy:
        """The schedule of all epochs."""
        return scheduled(self.policies(), name="ddas", source=f"pyaug search ddas, {self.config}")

    def state(self) -> dict[str, Any]:
        """The network, the parameters, their optimisers and what was kept of them."""
        states = {name: getattr(self, name).state_dict() for name in _STATEFUL}
        return {**states, "p_tp": self.p_tp, "p_o": self.p_o}

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to them."""
        for name in _STATEFUL:
            getattr(self, name).load_state_dict(state[name])
        self.p_tp, self.p_o = state["p_tp"], state["p_o"]


_STATEFUL = ("model", "alpha", "sgd", "adam")


_RANGES = {
    **dict.fromkeys(("policies", "stages", "epochs", "smoothing"), AT_LEAST_1),
    **dict.fromkeys(("batch_size", "val_batch_size"), AT_LEAST_1),
    **dict.fromkeys(("weight_decay", "operation_rate", "probability_rate"), AT_LEAST_0),
    "start_probability": (0, False, 1),
    "learning_rate": ABOVE_0,
    "momentum": SHARE,
    "seed": SEED,
}


def _check(config: Config, data: DataSet, space: Sequence[Candidate]) -> None:
    check_ranges(config, _RANGES)
    if config.schedule not in get_args(Schedule):
        known = ", ".join(get_args(Schedule))
        raise InputError(f"schedule: expected one of {known}, got {config.schedule!r}")
    check_space(space, data)
    models.check(config.model)
    pick_device(config.device)
