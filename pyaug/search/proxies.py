"""What judges a policy in place of a full training: Tian et al., NeurIPS 2020 (arXiv 2009.14737).

Augmentation matters most late in a training (section 3.1). So one network is trained with an
augmentation that all policies share (stage 1, eq. 3); each policy to be judged starts from these
weights, trains them on for a few epochs, and has its validation accuracy as the reward (stage 2).
Table 5 compares this proxy with three others, which are here too.

Settings that the paper leaves to its supplement are the authors' code's, but for its batch norms'
momentum of 1/2.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice
from pathlib import Path
from typing import Literal, get_args, get_origin

import torch
import torch.nn.functional as F
from torch import Tensor

from pyaug import models, spaces, train
from pyaug.data import Batch, DataSet, Loader, Split
from pyaug.errors import ABOVE_0, AT_LEAST_0, AT_LEAST_1, SEED, SHARE, InputError, check_ranges
from pyaug.policy import Candidate, Policy, SubPolicy
from pyaug.progress import Progress
from pyaug.run import alone, isolated_rng
from pyaug.search.clock import Clock
from pyaug.search.engine import stage_folder
from pyaug.search.parts import check_space, divide, fitting, suited
from pyaug.search.world import World
from pyaug.train.config import complete
from pyaug.train.loop import descend, logits_of, optimiser_of
from pyaug.train.loop import evaluate as error_and_loss
from pyaug.train.pipeline import Pipeline


@dataclass(frozen=True)
class Config:
    """Options of both stages; the defaults are the paper's on CIFAR (section 4.2) or, where it
    does not say them, its authors' code's.
    """

    proxy: Literal["AF", "NF", "IT", "AV"] = "AF"
    """What is judged (table 5). AF, the paper's choice: stage 1 under the uniform policy, then
    training on under the policy. NF: stage 1 with the default augmentation alone, where the paper
    has none. IT: initial
    weights instead of stage 1. AV: stage 1 as AF, then no training, but the accuracy on validation
    images that are augmented."""
    train_images: int | None = None
    """Images to train on: 40,000, or four fifths where there are fewer than 50,000."""
    val_images: int | None = None
    """Images to validate on: 10,000, or a fifth."""
    model: str = "resnet18-32"
    """The network: the paper's on CIFAR-10; wrn-28-10 on CIFAR-100, resnet50 on ImageNet; or your
    own, as FILE.py:FUNCTION."""
    default_augmentation: bool = True
    """Whether the data set's crop, flip and cutout follow the policy."""
    batch_size: int = 256
    """Images a step."""
    weight_decay: float = 1e-4
    """L2 penalty, not on norms and biases."""
    label_smoothing: float = 0.05
    """Share of the target that is spread over all classes, in [0, 1)."""
    clip: float = 3.0
    """Largest norm of the gradient; 0: not clipped."""
    shared_epochs: int = 200
    """Stage 1: how often the images are seen; 150 on ImageNet."""
    shared_rate: float = 0.2
    """Stage 1: the highest rate of SGD; over an epoch it rises from a quarter, then it falls as a
    cosine to a 200th."""
    epochs: int = 10
    """Stage 2: how often the images are seen; 5 on ImageNet."""
    steps: int | None = None
    """Stage 2: so many steps instead of epochs."""
    rate: float = 0.001
    """Stage 2: the rate of SGD, constant."""
    rewarded_epochs: int | None = None
    """The reward is the mean of the accuracies after so many epochs of stage 2, the best; the code
    has 2. By default, as in the paper, the accuracy at the end."""
    seed: int = 0
    """Decides the parts of the data, the weights and all draws."""
    device: str = "auto"
    """auto (CUDA where there is one), cpu, cuda or cuda:N."""


def elements(
    space: Sequence[Candidate] | None, data: DataSet | None = None
) -> tuple[Candidate, ...]:
    """What pairs are made of, each with weight 1; by default the paper's 36, or what suits data."""
    every = spaces.aws() if space is None else space
    if space is None and data is not None:
        every = suited(every, data)
    return tuple(replace(element, weight=1.0) for element in every)


def evaluate(
    policy: Policy,
    data: DataSet,
    config: Config,
    *,
    run: str | Path,
    space: Sequence[Candidate] | None = None,
    val: Split | None = None,
    number: int = 0,
) -> float:
    """What a policy is worth by ``config.proxy``, in [0, 1]: the reward of a trial under it.

    Args:
        policy: any.
        data: its training images are divided into two parts, to train on and to validate on.
        config: options.
        run: a folder: stage 1 is trained in its stages/shared, or gone on with, or read.
        space: the elements whose pairs stage 1 is trained with; by default the paper's 36.
        val: validation images of your own.
        number: of the trial, from 0; decides its draws.

    Raises:
        InputError: an option out of range, too few images, before any work; a loss that is not
            finite.
    """
    space = elements(space, data)
    check(config, data, space)
    alone("a proxy")
    with isolated_rng(config.seed):
        proxy = Proxy(data, config, space, val)
        proxy.share(Path(run), world=World())
        reward, loss = proxy.trial(policy, number)
        check_finite(reward, loss)
        return reward


def check_finite(*values: float) -> None:
    """Raise InputError for a trial whose reward or loss is not finite."""
    if not all(map(math.isfinite, values)):
        got = ", ".join(f"{value:g}" for value in values)
        raise InputError(f"rate: expected one that converges, got rewards and losses {got}")


class Proxy:
    """Both stages, over elements checked by :func:`check`.

    ``data.train`` is D_tr, ``data.test`` D_val. A trial's number decides the order of its images
    and what is drawn for each.
    """

    def __init__(
        self, data: DataSet, config: Config, space: Sequence[Candidate], val: Split | None = None
    ):
        counts = {
            "train_images": (config.train_images, 40_000),
            "val_images": (config.val_images, 10_000),
        }
        parts = divide(data, counts, seed=config.seed, val=val)
        self.data = replace(data, **dict(zip(("train", "test"), parts, strict=True)))
        batch_size = fitting(config, "batch_size", len(parts[0]))
        config = replace(config, batch_size=batch_size)
        self.config, self.space = config, tuple(space)
        self.recipe = complete(_recipe(config), self.data)
        self.device = torch.device(self.recipe.device)
        held = self.data.to(self.device)
        order = {"shuffle": True, "seed": config.seed, "drop_last": True}
        self.loader, self.val = Loader(held.train, config.batch_size, **order), held.test
        network = {"classes": len(data.classes), "in_channels": data.shape[0]}
        self.model = models.build(config.model, **network).to(self.device)
        if self.device.type == "cuda":
            self.model.to(memory_format=torch.channels_last)
        self.optimiser = optimiser_of(self.model, self.recipe)
        self.steps = 0 if config.proxy == "AV" else config.steps or config.epochs * len(self.loader)
        self.epochs = -(-self.steps // len(self.loader))
        if (config.rewarded_epochs or 1) > max(1, self.epochs):
            got = f"at most {self.epochs}, a trial's epochs, got {config.rewarded_epochs}"
            raise InputError(f"rewarded_epochs: expected {got}")
        self.clock = Clock(self.device)

    def share(self, folder: Path | None, *, world: World) -> None:
        """Stage 1: w_share of eq. 3 and its momentum, trained by rank 0 and handed to all.

        The proposition of section 3.3: the uniform policy is the one to share.
        """
        shared = {"model": self.model.state_dict(), "optimiser": self.optimiser.state_dict()}
        with world.together():
            if self.config.proxy != "IT" and world.rank == 0:
                uniform = Policy((SubPolicy((self.space, self.space)),), name="uniform")
                policy = None if self.config.proxy == "NF" else uniform
                run = stage_folder(folder, "shared")
                resumed = {"run": run, "resume": run is not None}
                result = train.train(self.data, self.recipe, policy=policy, **resumed)
                shared = {"model": result.model.state_dict(), "optimiser": result.optimiser}
        self.shared = copy.deepcopy(world.broadcast(shared))

    def trial(
        self,
        policy: Policy,
        number: int,
        *,
        tally: Tensor | None = None,
        bar: Progress | None = None,
    ) -> tuple[float, float]:
        """Stage 2: load w_share and its momentum, train on under the policy, validate.

        Args:
            policy: any; with a tally, sub-policy i's first stage is element i alone and its second
                all elements.
            number: of the trial, from 0.
            tally: int64 [N, N] on the device, to which is added how many images got each pair.
            bar: told of every step.

        Returns:
            The reward in [0, 1], and the mean loss of the training, or, for AV, the validation's.
        """
        self.model.load_state_dict(self.shared["model"])
        crop_flip = {"default_augmentation": self.config.default_augmentation}
        pipeline = Pipeline(
            self.data, policy, **crop_flip, seed=self.config.seed, device=self.device
        )
        pipeline.at(1.0)  # of a schedule, the end: a trial stands for the end of a training
        if self.config.proxy == "AV":
            return self._accuracy(self._augmented(pipeline, number), pipeline)
        self.optimiser.load_state_dict(copy.deepcopy(self.shared["optimiser"]))
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.rate
        accuracies, total = [], torch.zeros((), device=self.device)
        whole = self.config.shared_epochs + self.epochs
        for epoch in range(self.epochs):
            self.model.train()
            pipeline.at((self.config.shared_epochs + epoch) / whole)
            place = number * self.epochs + epoch
            left = self.steps - epoch * len(self.loader)
            for batch in islice(self.loader.epoch(place), left):
                total += self._step(batch, pipeline, place)
                if tally is not None:
                    _count(tally, pipeline, batch, place)
                if bar:
                    bar.advance(1)
            if self.config.rewarded_epochs or epoch == self.epochs - 1:
                accuracies.append(self._accuracy(self.val, pipeline)[0])
        loss = total.item() / self.steps
        best = sorted(accuracies)[-(self.config.rewarded_epochs or 1) :]
        return math.fsum(best) / len(best), loss

    def _step(self, batch: Batch, pipeline: Pipeline, epoch: int) -> Tensor:
        """One step of SGD, as in stage 1 but for the rate; the loss."""
        with self.clock("augmentation"):
            images = pipeline.train(batch, epoch=epoch)
        with self.clock("forward"):
            logits = logits_of(self.model, images, self.recipe.bf16)
            smoothing = self.recipe.label_smoothing
            loss = F.cross_entropy(logits, batch.labels, label_smoothing=smoothing)
        with self.clock("backward"):
            descend(loss, self.model, self.optimiser, clip=self.recipe.clip)
        return loss.detach()

    def _accuracy(self, split: Split, pipeline: Pipeline) -> tuple[float, float]:
        """ACC of eq. 2 in [0, 1], and the mean cross-entropy."""
        with self.clock("validation"):
            loader = Loader(split, self.config.batch_size, shuffle=False)
            error, loss = error_and_loss(self.model, loader, pipeline, bf16=self.recipe.bf16)
        return 1 - error / 100, loss

    def _augmented(self, pipeline: Pipeline, epoch: int) -> Split:
        """The validation images, augmented as training images are."""
        with self.clock("augmentation"):
            images, index = self.val.images, torch.arange(len(self.val), device=self.device)
            for stage in pipeline.stages:
                images = stage(images, index=index, epoch=epoch)
        return Split(images, self.val.labels)


def _count(tally: Tensor, pipeline: Pipeline, batch: Batch, epoch: int) -> None:
    """Add the pairs that the images of a batch got: the same draws, made once more."""
    policy = pipeline.stages[0]
    choice = policy.sample(len(batch.index), index=batch.index, epoch=epoch).choice.long()
    pair = (choice[:, 0], choice[:, 2])  # the sub-policy, and its second stage's candidate
    tally.index_put_(pair, torch.ones_like(choice[:, 0]), accumulate=True)


def _recipe(config: Config) -> train.Config:
    """Stage 1's training; stage 2 takes over all but the rate and the length."""
    return train.Config(
        model=config.model,
        epochs=config.shared_epochs,
        batch_size=config.batch_size,
        learning_rate=config.shared_rate,
        first_learning_rate=config.shared_rate / 4,
        last_learning_rate=config.shared_rate / 200,
        weight_decay=config.weight_decay,
        decay_norms=False,
        warmup_epochs=min(1.0, config.shared_epochs / 10),
        milestones=(),
        label_smoothing=config.label_smoothing,
        clip=config.clip,
        default_augmentation=config.default_augmentation,
        seed=config.seed,
        device=config.device,
    )


_RANGES = {
    **dict.fromkeys(("batch_size", "shared_epochs", "epochs"), AT_LEAST_1),
    **dict.fromkeys(("steps", "rewarded_epochs"), AT_LEAST_1),
    **dict.fromkeys(("shared_rate", "rate"), ABOVE_0),
    **dict.fromkeys(("weight_decay", "clip"), AT_LEAST_0),
    "label_smoothing": SHARE,
    "seed": SEED,
}


def check(config: Config, data: DataSet, space: Sequence[Candidate]) -> None:
    """Raise InputError for an option out of range, or a space that cannot be used.

    Of a config that has more options, those that are one of some words are checked, too.
    """
    for field in fields(config):
        value, words = getattr(config, field.name), get_args(field.type)
        if get_origin(field.type) is Literal and value not in words:
            raise InputError(f"{field.name}: expected one of {', '.join(words)}, got {value!r}")
    check_ranges(config, _RANGES)
    check_space(space, data)
    for element in space:
        if element.probability != 1:
            got = f"{element.operation} at {element.probability}"
            raise InputError(f"space: expected elements of probability 1, got {got}")
