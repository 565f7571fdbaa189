"""Deep AutoAugment (DeepAA): Zheng, Zhang, Yan, Zhang, ICLR 2022 (arXiv 2203.06172).

A deep policy is built from nothing: layers of augmentation are stacked, one at a time, until the
identity wins (section 3.1). A layer is a categorical distribution over 139 transformations, flip,
crop and cutout among them, so the found policy is trained with no default augmentation after it. A
layer is learned by regularised gradient matching (section 3.3): the mean gradient g of one image's
augmented copies shall point where v points, the mean gradient of validation images.

From the authors' code comes what the paper leaves open: validation images of the image's own class,
the initial logits, the numbers of draws, the pre-training, r divided by ||v|| too. Ours: when the
identity has won (`stops`), and that the layer in which it wins is not kept; what comes in from
outside an image is black, as in training, where the code has a grey.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from pyaug import models, spaces, train
from pyaug.augment import Augment
from pyaug.data import DataSet, Split
from pyaug.errors import ABOVE_0, AT_LEAST_0, AT_LEAST_1, SEED, InputError, check_ranges
from pyaug.policy import Candidate, Policy, SubPolicy
from pyaug.progress import Progress
from pyaug.run import pick_device
from pyaug.search.clock import Clock
from pyaug.search.engine import Search, conduct
from pyaug.search.gradient_matching import cosine, gradient, layer_loss, penalised, rewards
from pyaug.search.parts import check_space, divide, suited
from pyaug.train.network import Model, settled
from pyaug.train.pipeline import Pipeline

_ROUND = 32  # iterations between two checkpoints
_SCALES = (0.25, 16.0)  # of the loss in the first layer and above: the code's; Adam hardly minds


@dataclass(frozen=True)
class Config:
    """Options of the search; the defaults are the paper's (section 4.1) or its authors' code's."""

    pretraining_images: int | None = None
    """Images that the network is trained on first: 5,000, or half of all if that is fewer. The
    paper has 4,000, and 200,000 on ImageNet."""
    val_images: int | None = None
    """Images that v is computed from: 10,000, or half of those left if that is fewer."""
    train_images: int | None = None
    """Images that are augmented: 35,000, or half of those left if that is fewer."""
    model: str = "wrn-40-2"
    """The network whose gradients are matched; resnet18 on ImageNet; or your own, as
    FILE.py:FUNCTION."""
    pretraining_epochs: int = 45
    """Epochs of the pre-training; 30 on ImageNet."""
    pretraining_rate: float = 0.1
    """Highest learning rate of the pre-training, which falls as a cosine."""
    pretraining_decay: float = 5e-4
    """Weight decay of the pre-training."""
    max_layers: int = 6
    """K is at most this; 1 is DeepAA-simple, which is trained with the default augmentation."""
    iterations: int = 512
    """Updates of each layer."""
    batch_size: int = 16
    """Images an update, over which eq. 10 takes mean and deviation."""
    class_batch: int = 64
    """Validation images, all of an image's own class, whose mean gradient is v; as many as the
    smallest class has if these are fewer."""
    samples: int = 16
    """Draws of the layers below for each transformation (eq. 7), from the second layer on."""
    gradient_samples: int = 4
    """Draws of all layers for g (eq. 8), a multiple of the number of transformations."""
    penalty: float = 1.0
    """c, the weight of the rewards' standard deviation (eq. 10), from the second layer on."""
    policy_rate: float = 0.025
    """eta, Adam's rate for a layer's logits."""
    start: float = 8.0
    """How far the identity's logit lies above the others' at a layer's start; 0: uniform."""
    judged_images: int = 256
    """Training images on which a finished layer is judged; all of them if these are fewer."""
    at_once: int = 1024
    """Images that pass through the network at once; fewer need less memory."""
    seed: int = 0
    """Decides the parts of the data, the network's initial weights and all draws."""
    device: str = "auto"
    """auto (CUDA where there is one), cpu, cuda or cuda:N."""


def wants_default_augmentation(config: Config) -> bool:
    """Whether the data set's crop, flip and cutout are to follow the policy in a training.

    They are among the transformations, and only DeepAA-simple, one layer, is trained with them
    (section 4.4).
    """
    return config.max_layers == 1


def stops(p: Tensor, operations: Sequence[str], gains: Tensor) -> bool:
    """Whether the layer just learned ends the search, and is not kept.

    It does if the identity is likelier than every other operation at all its levels together: what
    the paper sees in the sixth layer. And it does if the layer is of no measurable use: the mean
    gain of cosine(v, g) over the layers below is not above its standard error.

    Args:
        p: the layer's probabilities, [N].
        operations: each transformation's operation, N names.
        gains: of cosine(v, g) by the layer, one for each image, at least 2.
    """
    shares = by_operation(p, operations)
    wins = all(shares["identity"] > s for name, s in shares.items() if name != "identity")
    return wins or not gains.mean().item() > standard_error(gains)


def standard_error(values: Tensor) -> float:
    """Of the mean of values [M], M >= 2."""
    return values.std().item() / math.sqrt(len(values))


def by_operation(p: Tensor, operations: Sequence[str]) -> dict[str, float]:
    """Probabilities [N] of transformations, summed over the levels of each operation."""
    shares = dict.fromkeys(operations, 0.0)
    for operation, probability in zip(operations, p.tolist(), strict=True):
        shares[operation] += probability
    return shares


def stacked(space: Sequence[Candidate], layers: Sequence[Tensor]) -> Policy:
    """The policy of layers of probabilities [N] over a space, the first one applied first."""
    stages = tuple(
        tuple(replace(c, weight=p) for c, p in zip(space, layer.tolist(), strict=True))
        for layer in layers
    )
    return Policy((SubPolicy(stages),))


# --- The search -----------------------------------------------------------------------------------


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
    """Search a policy for a data set; it is meant to be trained with no default augmentation.

    On the CPU, with as many threads, the same arguments give the same policy to the bit,
    interrupted and resumed or not.

    Args:
        data: its training images are divided into those that the network is trained on first,
            those that are augmented, and those to validate on.
        config: options.
        run: a folder for config, log, checkpoints, the policy and the pre-training.
        resume: go on in that folder after its last checkpoint.
        space: the transformations, the identity among them; by default the paper's 139.
        val: validation images of your own; ``val_images`` must then not be given.
        model: a network of your own instead of ``config.model``, or what builds one; see
            :data:`pyaug.train.network.Model`.

    Raises:
        InputError: an option out of range, a space without the identity, too few images, before
            any work.
    """
    needs = {"needs": "derivatives in forward mode", "trial": try_network}
    config = settled(config or Config(), data, model, **needs)
    space = suited(spaces.deep_autoaugment(data.name), data) if space is None else tuple(space)
    _check(config, data, space)
    about = {"val": val, "space": repr(space)}
    made = {"run": run, "resume": resume, "inputs": about}
    return conduct(lambda: _Search(data, config, space, val), data, config, **made)


def try_network(config: Config, data: DataSet) -> None:
    """Match the gradients of two images, which not every network allows."""
    device, classes = pick_device(config.device), len(data.classes)
    network = models.build(config.model, classes=classes, in_channels=data.shape[0])
    images, labels = torch.rand(2, *data.shape, device=device), torch.arange(2, device=device)
    network.to(device).eval()
    g = gradient(network, images, labels, images.new_ones(2))
    rewards(network, images, labels, g, g)


class _Search(Search):
    method = "deep-aa"

    def __init__(
        self, data: DataSet, config: Config, space: Sequence[Candidate], val: Split | None
    ) -> None:
        self.config, self.data, self.space = config, data, space
        self.device = pick_device(config.device)
        self.operations = [c.operation for c in space]
        parts = divide(data, _parts(config, len(data.train), val), seed=config.seed, val=val)
        self.pretraining, self.train, self.val = (part.to(self.device) for part in parts)
        members = [(self.val.labels == c).nonzero()[:, 0] for c in range(len(data.classes))]
        self.class_batch = min(config.class_batch, *map(len, members))
        self.members = pad_sequence(members, batch_first=True, padding_value=-1)
        nothing = {"default_augmentation": False, "seed": config.seed, "device": self.device}
        self.normalise = Pipeline(data, None, **nothing).normalise
        self.judged = torch.randperm(len(self.train))[: config.judged_images].to(self.device)
        self.judged_mates = self.classmates(self.train.labels[self.judged])
        self.steps = min(_ROUND, config.iterations)
        self.layer_rounds = math.ceil(config.iterations / self.steps)
        self.rounds = config.max_layers * self.layer_rounds
        self.clock = Clock(self.device)
        self.layers: list[Tensor] = []  # p_theta of the layers below, 1 to k - 1, each [N]
        self.cosines: list[Tensor] = []  # of the judged images, each [M], under 0 to k - 1 layers
        self.open_layer()

    def prepare(self) -> None:
        """Train the network whose gradients are matched; the validation part tests it.

        What is no option is the authors' code's.
        """
        config, data = self.config, self.data
        settings = train.Config(
            model=config.model,
            epochs=config.pretraining_epochs,
            batch_size=min(128, len(self.pretraining)),
            learning_rate=config.pretraining_rate,
            weight_decay=config.pretraining_decay,
            warmup_epochs=0,
            milestones=(),
            clip=5,
            seed=config.seed,
            device=str(self.device),
        )
        parts = DataSet(data.name, self.pretraining, self.val, data.classes, data.mean, data.std)
        self.network = self.train_network("pretraining", parts, settings).model

    def open_layer(self) -> None:
        """Begin layer k: new logits, a new optimiser, and the layers below frozen."""
        self.logits = torch.zeros(len(self.space), device=self.device)
        self.logits[self.operations.index("identity")] = self.config.start
        self.logits.requires_grad_()
        self.adam = torch.optim.Adam([self.logits], self.config.policy_rate)
        below = stacked(self.space, self.layers).sub_policies[0].stages
        self.augment = Augment(Policy((SubPolicy((*below, self.space)),))).to(self.device)

    def round(self, number: int, bar: Progress) -> dict[str, Any]:
        """A part of a layer; the layer's last part judges it, too."""
        layer, iterations = len(self.layers) + 1, self.config.iterations
        begun = number % self.layer_rounds * self.steps
        ended = min(begun + self.steps, iterations)
        total = torch.zeros((), device=self.device)
        for _ in range(begun, ended):
            total += self.step()
            bar.advance(1)
        p = torch.softmax(self.logits.detach().double(), 0).cpu()
        shares = by_operation(p, self.operations)
        identity = shares["identity"]
        facts: dict[str, Any] = {
            "iteration": (layer - 1) * iterations + ended,
            "layer": layer,
            "cosine": total.item() / (ended - begun),
            "entropy": -(p * p.clamp_min(1e-30).log()).sum().item(),
            "identity": identity,
            "likeliest": max(shares, key=shares.get),
            "share": max(shares.values()),
            "marginals": stacked(self.space, [*self.layers, p]).marginals(),
        }
        bar.advance(0, layer=layer, cosine=facts["cosine"], identity=identity)
        if ended == iterations:
            facts |= self.close_layer(p)
            bar.advance(begun + self.steps - ended)
        return {**facts, "parts": self.clock.read()}

    def step(self) -> Tensor:
        """An update of layer k by a batch of images; return the mean of cosine(v, g)."""
        places = torch.randint(len(self.train), (self.config.batch_size,), device=self.device)
        images, labels = self.train.images[places], self.train.labels[places]
        mates = self.classmates(labels)
        p = torch.softmax(self.logits.detach(), 0)
        pairs = [self.match(*row, p) for row in zip(images, labels, mates, strict=True)]
        r_each, cosines = map(torch.stack, zip(*pairs, strict=True))
        with self.clock("policy"):
            r = penalised(r_each, self.config.penalty if self.layers else 0.0)
            self.adam.zero_grad()
            layer_loss(self.logits, r, scale=_SCALES[bool(self.layers)]).backward()
            self.adam.step()
        return cosines.mean()

    def match(
        self, image: Tensor, label: Tensor, mates: Tensor, p: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One image's rewards in layer k, [N], and its cosine(v, g)."""
        v = self.validation_gradient(mates, label)
        every = torch.arange(len(p), device=self.device)
        if self.layers:
            drawn = torch.multinomial(p, self.config.gradient_samples * len(p), replacement=True)
            g = self.mean_gradient(self.copies(image, drawn), label)  # eq. 8
            copies = self.copies(image, every.repeat_interleave(self.config.samples))  # eq. 7
        else:
            copies = self.copies(image, every)
            g = self.mean_gradient(copies, label, p)  # eq. 3, exactly
        with self.clock("forward"):
            labels = label.expand(len(copies))
            r = rewards(self.network, copies, labels, v, g, at_once=self.config.at_once)
        return r.view(len(p), -1).mean(1), cosine(v, g)

    def copies(self, image: Tensor, n: Tensor) -> Tensor:
        """An image augmented by draws of the layers below, then by transformations n [R]."""
        with self.clock("augmentation"):
            force = torch.full((len(n), 2 + len(self.layers)), -1, device=self.device)
            force[:, -1] = n
            images = image.expand(len(n), -1, -1, -1)
            return self.normalise(self.augment(images, force=force, partners=self.train.images))

    def mean_gradient(self, images: Tensor, label: Tensor, p: Tensor | None = None) -> Tensor:
        """The mean gradient of images of one label, weighted by p or evenly, [D]."""
        with self.clock("backward"):  # its forward pass, too
            labels = label.expand(len(images))
            weights = images.new_full((len(images),), 1 / len(images)) if p is None else p
            return gradient(self.network, images, labels, weights, at_once=self.config.at_once)

    def validation_gradient(self, mates: Tensor, label: Tensor) -> Tensor:
        """v: the mean gradient of an image's class mates, [D]."""
        return self.mean_gradient(self.normalise(self.val.images[mates]), label)

    def classmates(self, labels: Tensor) -> Tensor:
        """Places of validation images of each label, none twice: [B] to int64 [B, class_batch]."""
        members = self.members[labels]
        drawn = torch.rand(members.shape, device=self.device).masked_fill(members < 0, -1.0)
        return members.gather(1, drawn.topk(self.class_batch, dim=1).indices)

    def close_layer(self, p: Tensor) -> dict[str, Any]:
        """Judge a finished layer: keep it and open the next one, or end the search without it."""
        if not self.cosines:
            self.cosines.append(self.judge(stacked(self.space, [])))
        cosines = self.judge(stacked(self.space, [*self.layers, p]))
        gains, improvement = cosines - self.cosines[-1], cosines - self.cosines[0]
        self.finished = stops(p, self.operations, gains)
        if not self.finished:
            self.layers.append(p)
            self.cosines.append(cosines)
        self.open_layer()
        return {
            "gain": gains.mean().item(),
            "gain_error": standard_error(gains),
            "improvement": improvement.mean().item(),  # figure 4(a)
            "improvement_std": improvement.std().item(),  # figure 4(b)
        }

    def judge(self, policy: Policy) -> Tensor:
        """cosine(v, g) of each judged image, [M], with g from draws of a policy (eq. 8).

        Images, class mates and the sampler's numbers are the same at every call.
        """
        augment = Augment(policy, seed=self.config.seed).to(self.device)
        draws = self.config.gradient_samples * len(self.space) if policy.operations else 1
        images, labels = self.train.images[self.judged], self.train.labels[self.judged]
        cosines = []
        for image, label, mates in zip(images, labels, self.judged_mates, strict=True):
            with self.clock("augmentation"):
                copies = self.normalise(augment(image.expand(draws, -1, -1, -1)))
            v = self.validation_gradient(mates, label)
            cosines.append(cosine(v, self.mean_gradient(copies, label)))
        return torch.stack(cosines).cpu()

    def policy(self) -> Policy:
        """The layers that were kept."""
        source = f"pyaug search deep-aa, {self.config}"
        return replace(stacked(self.space, self.layers), name="deep-aa", source=source)

    def state(self) -> dict[str, Any]:
        """The layers, finished and begun, and what goes with them."""
        return {
            "layers": self.layers,
            "cosines": self.cosines,
            "logits": self.logits.detach(),
            "adam": self.adam.state_dict(),
            "augment": self.augment.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to them."""
        self.layers, self.cosines = list(state["layers"]), list(state["cosines"])
        self.open_layer()
        with torch.no_grad():
            self.logits.copy_(state["logits"])
        self.adam.load_state_dict(state["adam"])
        self.augment.load_state_dict(state["augment"])


_COUNTS = (
    *("pretraining_epochs", "max_layers", "iterations", "batch_size"),
    *("class_batch", "samples", "gradient_samples", "at_once"),
)
_RANGES = {
    **dict.fromkeys(_COUNTS, AT_LEAST_1),
    **dict.fromkeys(("pretraining_rate", "policy_rate"), ABOVE_0),
    **dict.fromkeys(("pretraining_decay", "penalty", "start"), AT_LEAST_0),
    "judged_images": (2, True, math.inf),
    "seed": SEED,
}


def _check(config: Config, data: DataSet, space: Sequence[Candidate]) -> None:
    check_ranges(config, _RANGES)
    check_space(space, data)
    if "identity" not in [c.operation for c in space]:
        raise InputError("space: expected the identity among the transformations")
    models.check(config.model)
    pick_device(config.device)


def _parts(config: Config, count: int, val: Split | None) -> dict[str, tuple[int | None, int]]:
    """The parts' numbers, as asked for and by default, for `divide`."""
    pretraining = min(5_000, count // 2)
    left = count - pretraining
    val_images = 0 if val else min(10_000, left // 2)
    return {
        "pretraining_images": (config.pretraining_images, pretraining),
        "train_images": (config.train_images, min(35_000, left - val_images)),
        "val_images": (config.val_images, val_images),
    }
