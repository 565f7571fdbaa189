"""A2-Aug: Li, Zhu, Huang, Du, Lu, Zhou, Gu, CVPR Workshops 2023 (10.1109/CVPRW59228.2023.00221).

N configurations of RandAugment are drawn, and one network learns from all of them at once: every
image of a batch is augmented by each (section 4.2), convolutions and classifier are shared, batch
norms are separate (section 4.3, eq. 6). The branches' logits are summed with learned weights to an
ensemble (eq. 7), which teaches each branch (eq. 8). At the end the branch with the best accuracy
on validation images, not augmented, is kept; its policy is what the search returns, and the plain
network with its batch norms, the method's main product, is written to the run's folder as
`network.pt`, a state that `models.build(name, classes=…, in_channels=…).load_state_dict` takes.

The authors published no code, and the supplement could not be had. Where the paper is silent:

- mu starts at 0, the mean; it moves by the network's SGD, without weight decay or clipping.
- The teacher is detached (eq. 8), as Q_i is in eq. 7: so the ensemble's loss trains mu alone and
  the others the network alone.
- Logits of length 1 make an almost flat softmax, and the gradient of eq. 8 is then a small part of
  the cross-entropies': about 1/40 for 10 classes and 1/1400 for 100. `distillation_scale`, ours,
  brings it nearer to them.
- RandAugment's pairs are drawn from `spaces.randaugment_grid`, all different.
- On CUDA the network runs with contiguous rows, as its batch norms need, not channels-last.
- The validation images are taken from the training images. The paper reports ImageNet's accuracy
  on the very images by which equation 2 chooses.
- mu is never what chooses: it follows the branch that is easiest on the training images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pyaug import models, policies, spaces, train
from pyaug.data import Batch, DataSet, Loader, Split
from pyaug.errors import ABOVE_0, AT_LEAST_0, AT_LEAST_1, SEED, InputError, check_ranges
from pyaug.planes import refuse_mixing
from pyaug.policy import Policy
from pyaug.progress import Progress
from pyaug.search import sbn
from pyaug.search.clock import Clock
from pyaug.search.engine import Search, conduct
from pyaug.search.parts import check_square, divide, suited_policy
from pyaug.train.config import complete, recipe
from pyaug.train.loop import descend
from pyaug.train.network import Model, settled
from pyaug.train.pipeline import Pipeline
from pyaug.train.schedule import learning_rate

_APART = 2**33  # between the branches' seeds: a pipeline's keys are its seed and that + 2^32


@dataclass(frozen=True)
class Config:
    """Options of the search; the defaults are the paper's (section 5), None the data set's."""

    augmentations: int | None = None
    """N, how many configurations of RandAugment are drawn and trained side by side: 4, on ImageNet
    3."""
    train_images: int | None = None
    """Images to train on, every class in its share: all that validation leaves."""
    val_images: int | None = None
    """Images that choose the best branch: 5,000, or a tenth of the training images if that is
    fewer, but one a class."""
    epochs: int | None = None
    """How often the images are seen, each time under all N augmentations: as in the data set's
    training recipe (200 on CIFAR); on ImageNet 120."""
    batch_size: int | None = None
    """Images a step; the network sees N times as many. Default: the recipe's."""
    learning_rate: float | None = None
    """The highest rate of SGD with Nesterov momentum, for network and mu. Default: the recipe's."""
    weight_decay: float | None = None
    """L2 penalty on the network. Default: the recipe's."""
    model: str | None = None
    """The network, one with batch norm: the recipe's; wrn-10-1 where that has none; or your
    own, as FILE.py:FUNCTION."""
    distillation_scale: float | None = None
    """What the normalised logits are multiplied by before their softmax (eq. 8); 0: no
    distillation. Default, ours: 4 + 6 log10(classes), so 10 for 10 classes and 16 for 100."""
    separate_norms: bool = True
    """Whether each branch has its own batch norms; without, as in the paper's ablation, all
    branches are the same network, and the first is returned."""
    default_augmentation: bool = True
    """Whether the data set's crop, flip and cutout follow each branch's augmentation."""
    seed: int = 0
    """Decides the configurations, the parts of the data, the weights and all draws."""
    device: str = "auto"
    """auto (CUDA where there is one), cpu, cuda or cuda:N."""


def draw_branches(count: int) -> tuple[Policy, ...]:
    """N different configurations of `spaces.randaugment_grid`, by torch's global generator.

    Args:
        count: N, at most the grid's 90.
    """
    grid = spaces.randaugment_grid()
    drawn = [grid[i] for i in torch.randperm(len(grid))[:count].tolist()]
    return tuple(
        replace(policies.randaugment(num_ops=n, magnitude=m), name=f"randaugment-{n}-{m}")
        for n, m in drawn
    )


def distillation_scale(classes: int) -> float:
    """The default for a number of classes (ours): 10 for 10 classes, 16 for 100."""
    return 4 + 6 * math.log10(classes)


def ensemble_logits(logits: Tensor, mu: Tensor) -> Tensor:
    """Q_ens = sum_i softmax(mu)_i Q_i (eq. 7); its gradient reaches mu alone (section 4.2).

    Args:
        logits: Q, float [B, N, C] for B images, N branches and C classes.
        mu: float [N].

    Returns:
        Float [B, C].
    """
    return torch.einsum("n,bnc->bc", torch.softmax(mu, 0), logits.detach())


def distillation_loss(logits: Tensor, teacher: Tensor, scale: float) -> Tensor:
    """L_kd = sum_i KL(Q_ens / ||Q_ens|| || Q_i / ||Q_i||) (eq. 8), in nats, mean over the images.

    Each side is a softmax over the classes of `scale` times the logits of Euclidean length 1.

    Args:
        logits: Q, float [B, N, C], the students.
        teacher: Q_ens, float [B, C]; gets no gradient.
        scale: 0 or more; 1 is the equation as it is printed.
    """
    students = F.log_softmax(scale * F.normalize(logits, dim=2), 2)
    teachers = F.log_softmax(scale * F.normalize(teacher.detach(), dim=1), 1)
    teachers = teachers[:, None].expand_as(students)
    total = F.kl_div(students, teachers, reduction="sum", log_target=True)
    return total / len(logits)


def objective(logits: Tensor, mu: Tensor, labels: Tensor, *, scale: float) -> Tensor:
    """The terms of equation 5, whose sum is minimised; each is a mean over the images, in nats.

    Args:
        logits: Q, float [B, N, C].
        mu: float [N].
        labels: int64 [B].
        scale: see `distillation_loss`.

    Returns:
        Float [N + 2]: the cross-entropy of each Q_i, that of Q_ens, and L_kd.
    """
    q_ens = ensemble_logits(logits, mu)
    each = labels[:, None].expand(logits.shape[:2])
    branches = F.cross_entropy(logits.transpose(1, 2), each, reduction="none").mean(0)
    ensemble = F.cross_entropy(q_ens, labels)
    distillation = distillation_loss(logits, q_ens, scale)
    return torch.cat([branches, ensemble[None], distillation[None]])


def search(
    data: DataSet,
    config: Config | None = None,
    *,
    run: str | Path | None = None,
    resume: bool = False,
    branches: Sequence[Policy] | None = None,
    val: Split | None = None,
    model: Model | None = None,
) -> Policy:
    """Train one network under N policies and return the one that suits the data set best.

    On the CPU, with as many threads, the same arguments give the same policy and network to the
    bit, interrupted and resumed or not. `data.test` is evaluated once, after the choice, for the
    log's last line.

    Args:
        data: its training images are divided into a part to train on and one to choose by.
        config: options.
        run: a folder for config, log, checkpoints, the policy and `network.pt`.
        resume: go on in that folder after its last checkpoint.
        branches: two or more policies of your own instead of RandAugment's.
        val: images of your own to choose by, instead of a part of the training images.
        model: a network of your own instead of ``config.model``, or what builds one; see
            :data:`pyaug.train.network.Model`.

    Raises:
        InputError: an option out of range, too few images, a network without batch norm, before
            any work; a loss that is not finite.
    """
    config = settled(config or Config(), data, model)
    config, training = _complete(config, data, branches, val)
    about = {"test": data.test, "val": val}
    about["branches"] = "drawn" if branches is None else repr(tuple(branches))
    return conduct(
        lambda: _Search(data, config, training, branches, val),
        data,
        config,
        run=run,
        resume=resume,
        inputs=about,
    )


class _Search(Search):
    method = "a2-aug"

    def __init__(
        self,
        data: DataSet,
        config: Config,
        training: train.Config,
        branches: Sequence[Policy] | None,
        val: Split | None,
    ):
        self.config, self.training, self.test = config, training, data.test
        self.device = torch.device(training.device)
        drawn = branches or [suited_policy(p, data) for p in draw_branches(config.augmentations)]
        self.branches = tuple(drawn)
        self.names = [f"{n} {policy.name}".strip() for n, policy in enumerate(self.branches, 1)]
        parts = {"train_images": (config.train_images, 1)}
        parts["val_images"] = (config.val_images if val is None else None, 1)
        images, self.val = divide(data, parts, seed=config.seed, val=val, hold=False)
        batches = {"shuffle": True, "drop_last": True, "seed": config.seed, "device": self.device}
        batches["workers"] = training.workers
        self.loader = Loader(images, config.batch_size, **batches)
        self.rounds, self.steps = config.epochs, len(self.loader)
        default = {"default_augmentation": config.default_augmentation, "device": self.device}
        self.pipelines = [
            Pipeline(data, policy, seed=config.seed + n * _APART, **default)
            for n, policy in enumerate(self.branches)
        ]
        shape = {"classes": len(data.classes), "in_channels": data.shape[0]}
        network = models.build(config.model, **shape)
        if config.separate_norms:
            network = sbn.separate(network, len(self.branches))
        self.network = network.to(self.device)
        self.mu = torch.zeros(len(self.branches), device=self.device, requires_grad=True)
        weights = {"params": list(network.parameters()), "weight_decay": config.weight_decay}
        nesterov = {"lr": config.learning_rate, "momentum": training.momentum, "nesterov": True}
        self.sgd = torch.optim.SGD([weights, {"params": [self.mu]}], **nesterov)
        self.rate = partial(
            learning_rate,
            steps=self.rounds * self.steps,
            highest=config.learning_rate,
            warmup=round(training.warmup_epochs * self.steps),
            milestones=[round(m * self.steps) for m in training.milestones],
        )
        self.best = 0
        self.clock = Clock(self.device)

    def round(self, number: int, bar: Progress) -> dict[str, Any]:
        """An epoch; after the last one the network is written and tested."""
        self.network.train()
        for pipeline in self.pipelines:
            pipeline.at(number / self.rounds)
        total = torch.zeros(len(self.branches) + 2, device=self.device)
        for i, batch in enumerate(self.loader.epoch(number)):
            rate = self.rate(number * self.steps + i)
            total += self.step(batch, epoch=number, rate=rate)
            bar.advance(1)
        *losses, ensemble, distillation = (total / self.steps).tolist()
        if not math.isfinite(sum(losses) + ensemble + distillation):
            what = f"expected one that converges, got losses {losses} in epoch {number + 1}"
            raise InputError(f"learning_rate: {what} with {self.config.learning_rate}")
        with self.clock("validation"):
            errors = self.errors(self.val)
        # Eq. 2; of equals the first.
        self.best = min(range(len(self.branches)), key=errors.__getitem__)
        facts = {
            "epoch": number + 1,
            "learning_rate": rate,
            "losses": self._named(losses),
            "ensemble_loss": ensemble,
            "distillation_loss": distillation,
            "mu": self._named(torch.softmax(self.mu.detach(), 0).tolist()),
            "val_error": errors[self.best],
            "val_errors": self._named(errors),
            "best": self.best + 1,
            "marginals": self.branches[self.best].marginals(),
        }
        bar.advance(0, epoch=number + 1, best=self.best + 1, val_error=errors[self.best])
        last = self._end() if number + 1 == self.rounds else {}
        return facts | last | {"parts": self.clock.read()}

    def policy(self) -> Policy:
        """The best branch's, by validation accuracy (eq. 2)."""
        best = self.branches[self.best]
        source = f"pyaug search a2-aug, {self.config}"
        return replace(best, name="a2-aug", source=f"{best.source}; {source}".removeprefix("; "))

    def step(self, batch: Batch, *, epoch: int, rate: float) -> Tensor:
        """A step of SGD down equation 5; returns its terms, see `objective`."""
        with self.clock("augmentation"):
            views = [pipeline.train(batch, epoch=epoch) for pipeline in self.pipelines]
            rows = torch.stack(views, 1).flatten(0, 1)  # image b of branch n at b N + n
        with self.clock("forward"):
            logits = self.logits(rows)
            scale = self.config.distillation_scale
            terms = objective(logits, self.mu, batch.labels, scale=scale)
        with self.clock("backward"):
            for group in self.sgd.param_groups:
                group["lr"] = rate
            descend(terms.sum(), self.network, self.sgd, clip=self.training.clip)
        return terms.detach()

    def logits(self, rows: Tensor) -> Tensor:
        """Q, float32 [B, N, C], of normalised rows [B N, …]."""
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.training.bf16):
            logits = self.network(rows)
        return logits.float().unflatten(0, (-1, len(self.branches)))

    def errors(self, split: Split) -> list[float]:
        """Top-1 error in percent of every branch and then of the ensemble, no image augmented."""
        self.network.eval()
        count = len(self.branches)
        wrong = torch.zeros(count + 1, dtype=torch.int64, device=self.device)
        workers = self.training.workers
        batches = {"shuffle": False, "device": self.device, "workers": workers}
        loader = Loader(split, self.config.batch_size, **batches)
        with torch.no_grad():
            for batch in loader.epoch(0):
                images = self.pipelines[0].normalise(batch.images)
                q = self.logits(images.repeat_interleave(count, 0))
                q = torch.cat([q, ensemble_logits(q, self.mu)[:, None]], 1)
                wrong += (q.argmax(2) != batch.labels[:, None]).sum(0)
        return [100 * count / len(split) for count in wrong.tolist()]

    def state(self) -> dict[str, Any]:
        """The network, mu, their optimiser and the branch that is best."""
        return {
            "network": self.network.state_dict(),
            "mu": self.mu.detach(),
            "sgd": self.sgd.state_dict(),
            "best": self.best,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to them."""
        self.network.load_state_dict(state["network"])
        self.mu.data.copy_(state["mu"])
        self.sgd.load_state_dict(state["sgd"])
        self.best = state["best"]

    def _end(self) -> dict[str, Any]:
        """Write the plain network; how it and the others fare on the test images."""
        if self.folder:
            torch.save(sbn.export(self.network, self.best), self.folder / "network.pt")
        errors = self.errors(self.test)
        return {"test_error": errors[self.best], "test_errors": self._named(errors)}

    def _named(self, values: Sequence[float]) -> dict[str, float]:
        """Values by branch, from 1, and that of the ensemble if there is one more."""
        names = [*self.names, "ensemble"][: len(values)]
        return dict(zip(names, values, strict=True))


_RANGES = {
    "augmentations": (2, True, len(spaces.randaugment_grid()) + 1),
    **dict.fromkeys(("train_images", "val_images", "epochs", "batch_size"), AT_LEAST_1),
    "learning_rate": ABOVE_0,
    **dict.fromkeys(("weight_decay", "distillation_scale"), AT_LEAST_0),
    "seed": SEED,
}


def completed(config: Config, data: DataSet) -> Config:
    """The config with every None replaced, as a run of it records them."""
    return _complete(config, data, None, None)[0]


def _complete(
    config: Config, data: DataSet, branches: Sequence[Policy] | None, val: Split | None
) -> tuple[Config, train.Config]:
    """The config with every None replaced, and what the recipe adds to it, both checked."""
    check_ranges(config, _RANGES)
    imagenet, known = data.name == "imagenet", recipe(data).model
    fields = ("batch_size", "learning_rate", "weight_decay", "seed", "device")
    training = complete(
        train.Config(
            model=config.model or ("wrn-10-1" if known == "conv-small" else known),
            epochs=config.epochs or (120 if imagenet else None),
            **{field: getattr(config, field) for field in fields},
        ),
        data,
    )
    count = len(data.train)
    if val is not None and config.val_images is not None:
        raise InputError("val_images: expected none where val has images of its own")
    default_val = max(len(data.classes), min(5000, count // 10))
    val_images = len(val) if val is not None else config.val_images or default_val
    if val is None and val_images >= count:
        raise InputError(f"val_images: expected fewer than the {count} images, got {val_images}")
    train_images = config.train_images or count - (val_images if val is None else 0)
    scale = config.distillation_scale
    full = replace(
        config,
        augmentations=_count(config, data, branches, default=3 if imagenet else 4),
        train_images=train_images,
        val_images=val_images,
        model=training.model,
        epochs=training.epochs,
        batch_size=config.batch_size or min(training.batch_size, train_images),
        learning_rate=training.learning_rate,
        weight_decay=training.weight_decay,
        distillation_scale=distillation_scale(len(data.classes)) if scale is None else scale,
    )
    return full, training


def _count(
    config: Config, data: DataSet, branches: Sequence[Policy] | None, *, default: int
) -> int:
    """N; what is wrong with branches of the user's own is an InputError."""
    if branches is None:
        return config.augmentations or default
    if len(branches) < 2 or config.augmentations not in (None, len(branches)):
        wanted = config.augmentations or "2 or more"
        raise InputError(f"branches: expected {wanted} policies, got {len(branches)}")
    for n, policy in enumerate(branches):
        refuse_mixing(sorted(policy.operations), data.shape[0], f"branches[{n}]")
        check_square(policy.operations, data, f"branches[{n}]")
    return len(branches)
